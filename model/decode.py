"""Pixel Data to stored values, for every transfer syntax the node accepts."""

import re

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import RLELossless

from model.header import UNREADABLE_VALUE, numbers, stated

# The first of these that can decode the transfer syntax is asked first, the others if it fails.
PREFERRED_PLUGINS = ("pylibjpeg", "pyjpegls", "gdcm", "pillow", "pydicom")
# JPEG and JPEG-LS start of frame (ISO/IEC 10918-1 B.1.1.3, 14495-1 C.1.1): height and width follow.
START_OF_FRAME = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
)
END_OF_FRAME = b"\xff\xd9"  # EOI and EOC; some bytes of padding may follow
NOT_DECODED = (*UNREADABLE_VALUE, RuntimeError, OSError, MemoryError)
# A decoder written in Rust panics where it meets what its authors did not expect; that is no Exception.
RUST_PANIC = "pyo3_runtime"
RLE_MOST_EXPANSION = 64  # two bytes give 128 at most, PS3.5 G.3.1


class UnreadableFilm(ValueError):
    """A film whose pixels cannot be had. Says what was found and what was expected."""


def stored_values(ds: Dataset) -> np.ndarray:
    """Decode a film's only frame.

    Parameters
    ----------
    ds : Dataset
        Single-frame and grey, with its file meta information; the matrix is within the site's limits.

    Returns
    -------
    (rows, columns) integer
        Stored values, 8 or 16 bits, signed by *Pixel Representation*, as PS3.3 C.7.6.3.1 has them.

    Raises
    ------
    UnreadableFilm
        If there is no Pixel Data, it is cut short, it declares another matrix, or no decoder takes it.
    """
    syntax = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None:
        raise UnreadableFilm("found no transfer syntax, expected file meta information (PS3.10 7.1)")
    allocated, stored = (numbers(ds, keyword) for keyword in ("BitsAllocated", "BitsStored"))
    if allocated not in ([8.0], [16.0]) or not stored or not 1 <= stored[0] <= allocated[0]:
        raise UnreadableFilm(
            f"found Bits Allocated {allocated} and Stored {stored}, expected 8 or 16 allocated"
        )
    if not stated(ds, "PixelData"):
        raise UnreadableFilm("found no Pixel Data, expected one frame")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableFilm(f"found transfer syntax {syntax}, expected one that can be decoded") from error
    if syntax.is_encapsulated:
        _check_encapsulated(ds)
    plugins = sorted(decoder.available_plugins, key=PREFERRED_PLUGINS.index) or [""]
    failure: BaseException | None = None
    for plugin in plugins:
        try:
            frame = _decoded(decoder, ds, plugin, int(stored[0]))
        except BaseException as error:
            if not isinstance(error, NOT_DECODED) and type(error).__module__ != RUST_PANIC:
                raise
            failure = error
        else:
            if frame.ndim != 2:
                raise UnreadableFilm(f"found pixels of shape {frame.shape}, expected rows and columns")
            return frame
    message = " ".join(str(failure).split())[:200]
    raise UnreadableFilm(
        f"found Pixel Data no decoder takes ({message}), expected {syntax.name}"
    ) from failure


def _decoded(decoder: Decoder, ds: Dataset, plugin: str, bits_stored: int) -> np.ndarray:
    """Pixels as one decoder gives them, without what stands in unused bits (PS3.5 8.1.1).

    These are clean in nearly all films: to look costs less than to clear them, and uncompressed pixels need
    not be copied for it.
    """
    options = {"index": 0, "raw": True, "decoding_plugin": plugin}
    frame, _ = decoder.as_array(ds, view_only=True, correct_unused_bits=False, **options)
    is_signed = frame.dtype.kind == "i"
    end = 1 << (bits_stored - is_signed)
    if frame.max() < end and (not is_signed or frame.min() >= -end):
        return frame
    return decoder.as_array(ds, **options)[0]


def _check_encapsulated(ds: Dataset) -> None:
    """Compare the size a compressed frame declares with the header's, before a decoder allocates it."""
    rows, columns = ds.Rows, ds.Columns
    try:
        fragments = list(generate_fragments(ds.PixelData))
    except UNREADABLE_VALUE as error:
        raise UnreadableFilm(
            "found broken fragments, expected encapsulated Pixel Data (PS3.5 A.4)"
        ) from error
    if len(fragments) < 2 or not any(fragments[1:]):
        raise UnreadableFilm("found no fragment, expected one frame")
    frame = b"".join(fragments[1:])  # the first item is the offset table
    if ds.file_meta.TransferSyntaxUID == RLELossless:
        most, needed = len(frame) * RLE_MOST_EXPANSION, rows * columns * ds.BitsAllocated // 8
        if most < needed:
            raise UnreadableFilm(f"found run lengths for {most} bytes at most, expected {needed}")
        return
    # Decoders fill up what is missing of a frame without a word; JPEG, JPEG-LS and JPEG 2000 end alike.
    if END_OF_FRAME not in frame[-16:]:
        raise UnreadableFilm("found a compressed frame without its end, expected a whole one")
    declared = codestream_matrix(frame)
    if declared != (rows, columns):
        raise UnreadableFilm(
            f"found a compressed frame of {declared or 'no size'}, expected {(rows, columns)}"
        )


def codestream_matrix(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None where it declares none."""
    if size := re.search(rb"\xff\x4f\xff\x51.{4}(.{16})", frame[:4096], re.DOTALL):  # ISO/IEC 15444-1 A.5.1
        right, bottom, left, top = (int.from_bytes(size[1][i : i + 4]) for i in range(0, 16, 4))
        return bottom - top, right - left
    place = frame.find(b"\xff\xd8") + 2
    while 2 <= place <= len(frame) - 9:
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker in START_OF_FRAME:
            return int.from_bytes(frame[place + 5 : place + 7]), int.from_bytes(frame[place + 7 : place + 9])
        # 0xFF may fill; every other marker before the frame has a length.
        place += 1 if marker == 0xFF else 2 + int.from_bytes(frame[place + 2 : place + 4])
    return None
