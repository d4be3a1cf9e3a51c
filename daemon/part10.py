"""Where the data set begins in a Part 10 file, and what identifies its bytes (PS3.10 7.1)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

_PREAMBLE_PREFIX_AND_GROUP_LENGTH_BYTES = 128 + 4 + 12


@dataclass(frozen=True)
class DataSetBytes:
    """The encoded data set of a Part 10 file.

    Parameters
    ----------
    transfer_syntax_uid : UID
    offset : int
        Where it begins in the file, in bytes.
    size_bytes : int
    digest : str
        BLAKE3 of its bytes, hexadecimal; the file meta information, which the receiver writes, is left out.
    """

    transfer_syntax_uid: UID
    offset: int
    size_bytes: int
    digest: str


def data_set_bytes(path: Path) -> DataSetBytes:
    """Find and digest the data set of a Part 10 file.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        If there is no file meta information.
    """
    meta = read_file_meta_info(path)
    offset = _PREAMBLE_PREFIX_AND_GROUP_LENGTH_BYTES + meta.FileMetaInformationGroupLength
    with path.open("rb") as file:
        file.seek(offset)
        digest = hashlib.file_digest(file, blake3).hexdigest()
        return DataSetBytes(UID(meta.TransferSyntaxUID), offset, file.tell() - offset, digest)
