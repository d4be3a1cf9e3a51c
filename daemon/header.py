"""The few elements a job row needs, from a data set that nobody has vouched for (PS3.5 section 7).

A data set may nest for ever, promise gigabytes or hold millions of elements. So this walks over it, steps
over every value it does not want, keeps no tree, and gives up at stated limits.
"""

import io
import struct
import zlib
from collections.abc import Collection
from typing import BinaryIO

from pydicom.charset import convert_encodings
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

MOST_ELEMENTS = 20_000
MOST_DEPTH = 64
MOST_VALUE_BYTES = 1024
# Of a deflated data set no more than this is inflated.
MOST_INFLATED_BYTES = 2 << 20

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SPECIFIC_CHARACTER_SET = 0x00080005
# VRs whose length takes four bytes (PS3.5 7.1.2).
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


class HeaderUnreadable(ValueError):
    """The bytes are no data set, or one beyond the limits of this module."""


def read_header(file: BinaryIO, transfer_syntax: UID, wanted: Collection[int], end: int) -> dict[int, str]:
    """Texts of the wanted elements of a data set, at its top level.

    Parameters
    ----------
    file : binary file
        At the first byte of the data set.
    transfer_syntax : UID
    wanted : collection of int
        Tags with a text value.
    end : int
        The first tag at which there is nothing more to look for.

    Returns
    -------
    dict of int to str
        What is there, padding removed; bytes that do not decode are shown as U+FFFD.

    Raises
    ------
    HeaderUnreadable
    """
    body = file
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        body = _inflated(file)
    found = find_elements(
        body,
        transfer_syntax.is_implicit_VR,
        transfer_syntax.is_little_endian,
        {*wanted, _SPECIFIC_CHARACTER_SET},
        end,
    )
    declared = found.get(_SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace").split("\\")[0].strip("\0 ")
    try:
        encoding = convert_encodings([declared])[0]
    except (LookupError, ValueError):
        encoding = "ascii"
    return {tag: value.decode(encoding, "replace").strip("\0 ") for tag, value in found.items()}


def find_elements(
    file: BinaryIO, is_implicit: bool, is_little_endian: bool, wanted: Collection[int], end: int
) -> dict[int, bytes]:
    """Values of the wanted elements at the top level; see `read_header`."""
    walk = _Walk(file, is_implicit, "<" if is_little_endian else ">")
    found = {}
    for _ in range(MOST_ELEMENTS):
        start = walk.next()
        if start is None:
            return found
        tag, length = start
        if walk.depth == 0 and tag >= end:
            return found
        if length == _UNDEFINED:
            walk.enter()
        elif walk.depth == 0 and tag in wanted:
            found[tag] = walk.value(length)
        else:
            file.seek(length, io.SEEK_CUR)
    raise HeaderUnreadable(f"more than {MOST_ELEMENTS} elements before the pixels")


class _Walk:
    """Where in a data set the reader is."""

    def __init__(self, file: BinaryIO, is_implicit: bool, endian: str) -> None:
        self._file = file
        self._is_implicit = is_implicit
        self._tag, self._long, self._short = (struct.Struct(endian + one) for one in ("HH", "L", "H"))
        self._is_first = True
        self.depth = 0

    def next(self) -> tuple[int, int] | None:
        """Tag and length of the next element with a value; None at the end."""
        while head := self._file.read(8):
            if len(head) < 8:
                raise HeaderUnreadable("ends within an element")
            group, element = self._tag.unpack_from(head)
            tag = group << 16 | element
            if tag in (_ITEM_END, _SEQUENCE_END):
                if self.depth == 0:
                    raise HeaderUnreadable("the end of an item that has not begun")
                self.depth -= 1
                continue
            return tag, self._length(tag, head)
        return None

    def enter(self) -> None:
        """Go into a sequence or item of undefined length."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise HeaderUnreadable(f"nested deeper than {MOST_DEPTH}")

    def value(self, length: int) -> bytes:
        """The value of the element just met."""
        if length > MOST_VALUE_BYTES:
            raise HeaderUnreadable(f"an identifier of {length} bytes")
        value = self._file.read(length)
        if len(value) < length:
            raise HeaderUnreadable("ends within a value")
        return value

    def _length(self, tag: int, head: bytes) -> int:
        has_vr = head[4:6].isalpha() and head[4:6].isupper()
        if self._is_first:
            # Some senders encode explicitly what they negotiated as implicit.
            self._is_implicit, self._is_first = self._is_implicit and not has_vr, False
        if tag == _ITEM or self._is_implicit or not has_vr:
            return self._long.unpack_from(head, 4)[0]
        if head[4:6] not in _LONG:
            return self._short.unpack_from(head, 6)[0]
        length = self._file.read(4)
        if len(length) < 4:
            raise HeaderUnreadable("ends within an element")
        return self._long.unpack(length)[0]


def _inflated(file: BinaryIO) -> BinaryIO:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return io.BytesIO(inflate.decompress(file.read(MOST_INFLATED_BYTES), MOST_INFLATED_BYTES))
    except zlib.error as error:
        raise HeaderUnreadable(f"not deflated: {error}") from error
