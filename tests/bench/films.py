"""Films to send: made before the clock runs, each under UIDs of its own."""

import dataclasses
import os
import subprocess
import tempfile
from pathlib import Path

import foreign
import numpy as np
from conftest import make_film
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from model.pixels import display_picture

# Rows and columns of 12 bits in 16.
SIZES = {"big": (2500, 2000), "small": (512, 512)}
SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS lossless": JPEGLSLossless,
    "JPEG 2000 lossless": JPEG2000Lossless,
}
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_PREAMBLE_AND_GROUP_LENGTH = 144
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# One run's films have UIDs that no other run's have.
_ROOT = f"2.25.{1 + int.from_bytes(os.urandom(8)) % 9}{int.from_bytes(os.urandom(8)):020d}"


def _uids(number: int) -> dict[str, str]:
    """UIDs of a film, as long for one number as for another."""
    return {keyword: f"{_ROOT}.{place}{number:08d}" for place, keyword in enumerate(_UIDS, 1)}


@dataclasses.dataclass(frozen=True)
class Film:
    """A data set as it is sent, in two parts of which all films of a kind share the second.

    Parameters
    ----------
    header : bytes
        Encoded elements before *Pixel Data*.
    pixels : bytes
        *Pixel Data*, encoded.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    header: bytes
    pixels: bytes


class Kind:
    """Films of one size and transfer syntax.

    Parameters
    ----------
    size : str
        One of `SIZES`.
    syntax : str
        One of `SYNTAXES`.
    """

    _made = 0

    def __init__(self, size: str, syntax: str) -> None:
        self.ds = make_film(pixels=_chest(SIZES[size]), **_uids(0))
        with tempfile.TemporaryDirectory(prefix="fr-bench-") as folder:
            path = Path(folder) / "film.dcm"
            self.ds.save_as(path, enforce_file_format=True)
            _encode(path, SYNTAXES[syntax])
            self.part10 = path.read_bytes()
            meta = dcmread(path, stop_before_pixels=True).file_meta
        self._sop_class_uid = str(self.ds.SOPClassUID)
        self._transfer_syntax_uid = str(meta.TransferSyntaxUID)
        if self._transfer_syntax_uid != SYNTAXES[syntax]:
            raise ValueError(f"found a film in {meta.TransferSyntaxUID.name}, expected {syntax}")
        encoded = self.part10[_PREAMBLE_AND_GROUP_LENGTH + meta.FileMetaInformationGroupLength :]
        place = encoded.index(_PIXEL_DATA)
        self._header, self._pixels = encoded[:place], encoded[place:]

    def films(self, number: int) -> list[Film]:
        """So many films that were never sent."""
        begin, Kind._made = Kind._made + 1, Kind._made + number
        return [self._film(one) for one in range(begin, begin + number)]

    def _film(self, number: int) -> Film:
        header, placeholders, uids = self._header, _uids(0), _uids(number)
        for keyword, uid in uids.items():
            header = header.replace(placeholders[keyword].encode(), uid.encode())
        return Film(
            self._sop_class_uid, uids["SOPInstanceUID"], uids["StudyInstanceUID"], self._transfer_syntax_uid,
            header, self._pixels,
        )  # fmt: skip


def _chest(shape: tuple[int, int]) -> np.ndarray:
    """A real chest film at another size, 12 bits, with a detector's noise, which no coder can foretell."""
    picture, _ = display_picture(dcmread(get_testdata_file("RG1_UNCI.dcm", download=False)))
    rows, columns = shape
    smooth = Image.fromarray(picture).convert("F").resize((columns, rows), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(7).normal(0, 4, shape)
    return np.clip(np.asarray(smooth) * 16 + noise, 0, 4095).astype(np.uint16)


def _encode(path: Path, syntax: str) -> None:
    """Turn an uncompressed file into one of another transfer syntax; pydicom writes no lossless JPEG."""
    if syntax == JPEGLosslessSV1:
        program = foreign.require("dcmcjpeg", "dcmtk")
        subprocess.run([program, "--encode-lossless-sv1", "--uid-never", path, path], check=True)
    elif syntax != ExplicitVRLittleEndian:
        ds = dcmread(path)
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(path)
