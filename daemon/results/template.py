"""A result built once for many films: where films differ stand-ins, which each film's own values replace.

highdicom takes tens of milliseconds for a report, and all but some values in it is the same for every film.
"""

import copy
import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from daemon.results.film import (
    complete_header,
    element_head,
    encode,
    encode_sequence,
    instance_number,
)

Value = str | float | np.ndarray


class StandIns:
    """Values that stand in a template for those of a film, each unlike all else in it.

    Attributes
    ----------
    names : dict of bytes to str
        What each is called, by its bytes in a data set, without padding.
    """

    def __init__(self) -> None:
        self.names: dict[bytes, str] = {}
        self._numbers = itertools.count(60_001)  # Rows and Columns end at 65535

    def text(self, name: str) -> str:
        """For a text, a decimal or an integer string, of digits."""
        return self._named(name, str(next(self._numbers)))

    def uid(self, name: str) -> str:
        """For a UID."""
        return self._named(name, f"2.25.{next(self._numbers)}")

    def number(self, name: str) -> float:
        """For a double."""
        number = float(next(self._numbers))
        self.names[struct.pack("<d", number)] = name
        return number

    def line(self, name: str) -> np.ndarray:
        """For a closed line of any number of points; (4, 2) float."""
        x = float(next(self._numbers))
        line = np.array([(x, 0), (x, 1), (0, 1), (x, 0)])
        self.names[line.astype("<f4").tobytes()] = name
        return line

    def film(self, sop_class_uid: str) -> Dataset:
        """For the header of a film: film, study and series, and number."""
        film = Dataset()
        film.SOPClassUID, film.SOPInstanceUID = sop_class_uid, self.uid("film")
        film.StudyInstanceUID, film.SeriesInstanceUID = self.uid("study"), self.uid("series")
        film.InstanceNumber = self.text("number")
        return film

    def _named(self, name: str, value: str) -> str:
        self.names[value.encode()] = name
        return value


@dataclass(frozen=True)
class _Gap:
    """A value that each film has of its own."""

    tag: BaseTag
    vr: str
    name: str

    def filled(self, values: Mapping[str, Value], character_set: str | None) -> bytes:
        value = values[self.name]
        if isinstance(value, float):
            encoded = struct.pack("<d", value)
        elif isinstance(value, np.ndarray):
            encoded = value.astype("<f4").tobytes()
        elif value.isascii():
            encoded = value.encode()
            encoded += (b"\0" if self.vr == "UI" else b" ") * (len(encoded) % 2)
        else:
            return encode([DataElement(self.tag, self.vr, value)], character_set)
        return element_head(self.tag, self.vr, len(encoded)) + encoded


@dataclass(frozen=True)
class _Sequence:
    """A sequence with gaps in its items."""

    tag: BaseTag
    items: list[list["bytes | _Gap | _Sequence"]]

    def filled(self, values: Mapping[str, Value], character_set: str | None) -> bytes:
        return encode_sequence(self.tag, [_filled(parts, values, character_set) for parts in self.items])


def of_film(film: Dataset) -> dict[str, Value]:
    """What stands in the gaps of `StandIns.film`."""
    header = complete_header(film)
    return {
        "film": header.SOPInstanceUID,
        "study": header.StudyInstanceUID,
        "series": header.SeriesInstanceUID,
        "number": str(instance_number(film)),
    }


class Template:
    """A data set with gaps.

    Parameters
    ----------
    ds : Dataset
        With file meta; as highdicom built it, of stand-ins where films differ.
    stand_ins : StandIns
    """

    def __init__(self, ds: Dataset, stand_ins: StandIns) -> None:
        self._file_meta = ds.file_meta
        self._parts = _parts(ds, stand_ins.names)

    def filled(self, values: Mapping[str, Value], character_set: str | None = None) -> Dataset:
        """The data set of one film, Explicit VR Little Endian, its elements not yet looked at.

        Parameters
        ----------
        values : mapping of str to str, float or array
            By the names of the stand-ins.
        character_set : str or None
            In which texts among them are encoded.
        """
        encoded = _filled(self._parts, values, character_set)
        ds = read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
        ds.file_meta = FileMetaDataset({element.tag: copy.copy(element) for element in self._file_meta})
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        return ds


def _parts(ds: Dataset, names: Mapping[bytes, str]) -> list[bytes | _Gap | _Sequence]:
    """A data set as what is the same for every film, encoded, and what is not."""
    parts: list[bytes | _Gap | _Sequence] = []
    for element in ds:
        if element.VR == "SQ":
            items = [_parts(item, names) for item in element.value]
            is_same = all(isinstance(part, bytes) for item in items for part in item)
            whole = encode_sequence(element.tag, [b"".join(item) for item in items]) if is_same else None
            parts.append(whole or _Sequence(element.tag, items))
            continue
        encoded = encode([element])
        value = encoded[12 if element.VR in EXPLICIT_VR_LENGTH_32 else 8 :]  # PS3.5 7.1.2
        name = names.get(value) or names.get(value[:-1])
        parts.append(_Gap(element.tag, element.VR, name) if name else encoded)
    return parts


def _filled(
    parts: list[bytes | _Gap | _Sequence], values: Mapping[str, Value], character_set: str | None
) -> bytes:
    return b"".join(part if isinstance(part, bytes) else part.filled(values, character_set) for part in parts)
