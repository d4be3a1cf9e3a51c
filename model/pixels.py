"""Stored values to display grey levels: one chain, in one order, with one inversion.

Modality LUT or rescale, VOI LUT or window, polarity, and grey levels, black at 0. Each step is a function of
the stored value alone, so the chain runs once over the stored values that occur and the film is looked up in
the table this gives: means of blocks of its pixels, where it is large. Overlays are never burned in.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_rescale

from model.decode import stored_values
from model.header import UNREADABLE_VALUE, items, numbers, own_judgement, printable, stated, text

LONGEST_SIDE = 1024  # of a display picture: what a result shows; the network takes far less
ENOUGH = 0.75  # of the longest side: means of blocks that leave so much need no filter after them
FEWEST_LEVELS = 8  # a picture whose middle 98 % spans fewer grey levels shows nothing
_PIECE = 1 << 15  # pixels looked up at once
_ENOUGH_PIXELS = 1 << 16  # to tell how many grey levels a window leaves
ODDEST_ASPECT = 4.0  # a pixel longer than this is an error of the header


def display_picture(ds: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode a film and render it as it is meant to be seen.

    Parameters
    ----------
    ds : Dataset
        A grey single-frame film within scope, with its file meta information.

    Returns
    -------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels, longest side at most 1024; never enlarged, and nothing
        is lost of a film whose longest side is at most that.
    warnings : tuple of str
        What was ignored in the header, and why.

    Raises
    ------
    UnreadableFilm
        If the pixels cannot be decoded.

    References
    ----------
    DICOM PS3.3 C.11.1 Modality LUT, C.11.2 VOI LUT, C.7.6.3.1.2 Photometric Interpretation, C.8.11.3.1.2
    Presentation LUT Shape, C.7.5.1.1.2 Pixel Padding Value; PS3.4 N.2 order of the transformations.
    """
    with own_judgement():
        stored = stored_values(ds)
        chain = chain_of(ds, stored)
        display, more = picture_of(ds, chain, stored, chain.grey, LONGEST_SIDE)
    # Some quote values of the header.
    return display, tuple(map(printable, chain.warnings + more))


class Chain(NamedTuple):
    """What the chain makes of each stored value of one film, from its smallest to its largest.

    Parameters
    ----------
    smallest : int
    modality : (n,) number
        Modality value.
    grey : (n,) uint8
        Display grey level.
    padding : (n,) bool
        Whether it stands for no pixel.
    step : str
        What turned modality values into grey: VOI LUT, window or full range.
    warnings : tuple of str
    """

    smallest: int
    modality: np.ndarray
    grey: np.ndarray
    padding: np.ndarray
    step: str
    warnings: tuple[str, ...]


def chain_of(ds: Dataset, stored: np.ndarray) -> Chain:
    """The chain as a table over the stored values of one film.

    Parameters
    ----------
    ds : Dataset
    stored : (rows, columns) integer
    """
    warnings: list[str] = []
    low, high = int(stored.min()), int(stored.max())
    values = np.arange(low, high + 1, dtype=np.int64)
    padding = _padding(ds, values)
    present, darkest, brightest = stored, low, high
    if padding.any():
        present = stored[~padding[stored.astype(np.int64) - low]]
        if present.size:
            darkest, brightest = int(present.min()), int(present.max())
        else:
            present, padding = stored, np.zeros_like(padding)
    modality = _modality(ds, values, warnings)
    some = present.ravel()[:: present.size // _ENOUGH_PIXELS | 1]
    seen = np.bincount(some.astype(np.int64) - low, minlength=len(values))
    span = modality[darkest - low : brightest - low + 1]
    for name, window in _voi_transformations(ds, span):
        try:
            grey = np.rint(255 * np.clip(window(modality), 0.0, 1.0)).astype(np.uint8)
        except UNREADABLE_VALUE as error:
            warnings.append(f"{name} ignored: {error}")
            continue
        if name == "full range" or _levels_spanned(grey, seen) >= FEWEST_LEVELS:
            break
        warnings.append(f"{name} ignored: it makes the film one grey")
    if inverse(ds):
        grey = 255 - grey
    grey[padding] = 0
    return Chain(low, modality, grey, padding, name, tuple(warnings))


def picture_of(
    ds: Dataset, chain: Chain, stored: np.ndarray, table: np.ndarray, longest_side: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A film through a table, with square pixels and no side too long; nothing is enlarged.

    Means of blocks are taken of stored values, since there are fewer to look up then. Where their size will
    not do Hamming's filter does the rest: on films 0.2 to 0.7 grey levels (rms) from the mean of each area.

    Parameters
    ----------
    ds : Dataset
        Its header.
    chain : Chain
    stored : (rows, columns) integer
    table : (n,) uint8 or float32
        What each of the chain's stored values is shown as.
    longest_side : int
        Most pixels of a side; blocks may leave three quarters of it.

    Returns
    -------
    (picture_rows, picture_columns) uint8 or float32
        Of the table's type.
    warnings : tuple of str
        What was ignored in the header, and why.
    """
    high, wide = stored.shape
    tall, broad, warnings = pixel_sides(ds)
    is_padded = bool(chain.padding.any())  # a mean of padding with what was exposed would be neither
    block = -(-max(high, wide) // longest_side)
    if tall == broad and not is_padded and max(high, wide) >= block * ENOUGH * longest_side:
        # Of a block that the edge cuts, less than half is left out.
        part = stored[tuple(slice(max(round(side / block), 1) * block) for side in stored.shape)]
        return _looked_up_in(table, chain, _means(chain, part, block, block)), warnings
    # The finer side is reduced to the coarser one, so that nothing is enlarged.
    height, width = high * tall / max(tall, broad), wide * broad / max(tall, broad)
    shrink = min(1.0, longest_side / max(height, width))
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    down, across = (1, 1) if is_padded else (high // rows, wide // columns)
    picture = _looked_up_in(table, chain, _means(chain, stored, down, across))
    if picture.shape == (rows, columns):
        return picture, warnings
    whole = (0, 0, wide / across, high / down)
    smaller = Image.fromarray(picture).resize((columns, rows), Image.Resampling.HAMMING, box=whole)
    return np.asarray(smaller), warnings


def _looked_up_in(table: np.ndarray, chain: Chain, stored: np.ndarray) -> np.ndarray:
    """The table's entry of each stored value, (rows, columns) of its type.

    In pieces that stay in the processor's cache: NumPy makes numbers of 8 bytes of what it looks up.
    """
    unsigned = np.dtype(f"u{stored.itemsize}")
    held = np.arange(len(table)) + chain.smallest
    entries = np.zeros(1 << (8 * stored.itemsize), table.dtype)
    entries[held.astype(stored.dtype).view(unsigned)] = table
    values = stored.ravel().view(unsigned)
    picture = np.empty(values.shape, table.dtype)
    index = np.empty(_PIECE, np.intp)
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE]
        places = index[: len(piece)]
        places[:] = piece
        # Checks nothing: there is an entry for every value.
        entries.take(places, out=picture[start : start + _PIECE], mode="clip")
    return picture.reshape(stored.shape)


def _means(chain: Chain, stored: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means of blocks of stored values, to the nearest whole one, in their type.

    Blocks that the film's edge cuts are filled with the values along it.
    """
    many = down * across
    if many == 1:
        return stored
    least, most = many * chain.smallest, many * (chain.smallest + len(chain.grey))
    wide = np.result_type(stored.dtype, np.min_scalar_type(least), np.min_scalar_type(most))
    sums = _sums(_sums(stored, down, wide).T, across, wide).T
    sums += many // 2
    sums //= many
    return sums.astype(stored.dtype, copy=False)


def _sums(values: np.ndarray, block: int, wide: np.dtype) -> np.ndarray:
    """Sums of so many rows each."""
    sums = values[::block].astype(wide)
    for first in range(1, block):
        part = values[first::block]
        sums[: len(part)] += part
        sums[len(part) :] += values[-1]
    return sums


def _padding(ds: Dataset, values: np.ndarray) -> np.ndarray:
    """Which stored values stand for no pixel (PS3.3 C.7.5.1.1.2)."""
    limits = numbers(ds, "PixelPaddingValue")[:1]
    if not limits:
        return np.zeros(values.shape, bool)
    limits += numbers(ds, "PixelPaddingRangeLimit")[:1]
    return (values >= min(limits)) & (values <= max(limits))


def _modality(ds: Dataset, values: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Stored to modality values (PS3.3 C.11.1); a LUT outranks the slope, a broken step is left out.

    pydicom's `apply_modality_lut` takes tables of 8 and of 16 bits only.
    """
    slope = numbers(ds, "RescaleSlope")
    table = bool(items(ds, "ModalityLUTSequence"))
    if not table and slope[:1] == [0.0]:
        warnings.append("rescale ignored: slope 0")
        return values
    try:
        return _looked_up(ds, "ModalityLUTSequence", values)[0] if table else apply_rescale(values, ds)
    except UNREADABLE_VALUE as error:
        warnings.append(f"modality LUT ignored: {error}")
        return values


def _voi_transformations(
    ds: Dataset, span: np.ndarray
) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """What may turn modality values into 0 to 1, best first (PS3.3 C.11.2.1.1 and C.11.2.1.2)."""
    if stated(ds, "VOILUTSequence"):
        yield "VOI LUT", lambda found: _voi_lut(ds, found)
    if stated(ds, "WindowCenter") or stated(ds, "WindowWidth"):
        yield "window", lambda found: _window(ds, found)
    darkest, brightest = float(span.min()), float(span.max())
    yield "full range", lambda found: (found - darkest) / ((brightest - darkest) or 1.0)


def _voi_lut(ds: Dataset, modality: np.ndarray) -> np.ndarray:
    """The first VOI LUT as 0 to 1 (PS3.3 C.11.2.1.1).

    pydicom's `apply_voi` counts entries in the type of the output, so that 8 bits allow no more than 256.
    """
    entries, bits = _looked_up(ds, "VOILUTSequence", modality)
    return entries / (2.0**bits - 1)


def _looked_up(ds: Dataset, keyword: str, values: np.ndarray) -> tuple[np.ndarray, int]:
    """The entries of a table for some values, beyond its ends the last ones, and the bits of an entry."""
    entries, start, bits = lut_entries(ds, keyword)
    return entries[np.clip(np.rint(values).astype(np.int64) - start, 0, len(entries) - 1)], bits


def lut_entries(ds: Dataset, keyword: str) -> tuple[np.ndarray, int, int]:
    """The first table of a film's *VOI LUT Sequence* or *Modality LUT Sequence*.

    Parameters
    ----------
    ds : Dataset
        With its file meta information.
    keyword : str
        Of the sequence, which has an item.

    Returns
    -------
    entries : (n,) integer
    start : int
        Value that the first entry stands for.
    bits : int
        Of each entry, 8 to 16.

    Raises
    ------
    AttributeError, TypeError, ValueError
        If the table cannot be read.

    References
    ----------
    DICOM PS3.3 C.11.1.1 and C.11.2.1.1.
    """
    first = items(ds, keyword)[0]
    length, start, bits = (int(number) for number in first.LUTDescriptor)
    length = length or 2**16
    if not 8 <= bits <= 16:
        raise ValueError(f"{bits} bits for each entry, expected 8 to 16")
    entries = first.LUTData
    if isinstance(entries, bytes):
        wide = len(entries) >= 2 * length
        order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
        entries = np.frombuffer(entries, f"{order}u2" if wide else np.uint8)
    return np.asarray(entries)[:length], start, bits


def _window(ds: Dataset, modality: np.ndarray) -> np.ndarray:
    """The first window as 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    pydicom's `apply_windowing` takes its output range through the slope, so a negative slope would turn the
    picture round a second time.
    """
    centre, width, function = first_window(ds)
    if function == "LINEAR":
        return (modality - (centre - 0.5)) / (width - 1) + 0.5
    if function == "LINEAR_EXACT":
        return (modality - centre) / width + 0.5
    return 1 / (1 + np.exp(np.clip(-4 * (modality - centre) / width, -500, 500)))


def first_window(ds: Dataset) -> tuple[float, float, str]:
    """Centre, width and function of a film's first window.

    Raises
    ------
    ValueError
        If the film has no window that can be applied.

    References
    ----------
    DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    centre, width = numbers(ds, "WindowCenter")[:1], numbers(ds, "WindowWidth")[:1]
    function = text(ds, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ValueError(f"function {function[:16]}, expected LINEAR, LINEAR_EXACT or SIGMOID")
    least = 1.0 if function == "LINEAR" else 0.0
    if not centre or not width or not np.isfinite(centre + width).all() or width[0] <= least:
        raise ValueError(f"centre {centre} width {width}, expected one number each, width above {least:g}")
    return centre[0], width[0], function


def _levels_spanned(grey: np.ndarray, counts: np.ndarray) -> int:
    """Grey levels between the first and the last hundredth of the film's pixels."""
    per_level = np.bincount(grey, weights=counts, minlength=256)
    share = np.cumsum(per_level) / per_level.sum()
    return int(np.searchsorted(share, 0.99) - np.searchsorted(share, 0.01))


def inverse(ds: Dataset) -> bool:
    """Whether small values of a film are white.

    MONOCHROME1 says so, and so does the shape INVERSE; the DX module wants both together (PS3.3
    C.8.11.3.1.2), and two names for one inversion do not make two.
    """
    return (
        text(ds, "PhotometricInterpretation") == "MONOCHROME1"
        or text(ds, "PresentationLUTShape") == "INVERSE"
    )


def pixel_sides(ds: Dataset) -> tuple[float, float, tuple[str, ...]]:
    """Height and width of a film's pixels, of which only the ratio counts, and what was ignored, and why.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.7 Pixel Aspect Ratio.
    """
    warnings: tuple[str, ...] = ()
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        sides = numbers(ds, keyword)
        if len(sides) != 2:
            continue
        if min(sides) > 0 and max(sides) / min(sides) <= ODDEST_ASPECT:
            return (*sides, warnings)
        warnings = (*warnings, f"{keyword} ignored: {sides[0]:g} by {sides[1]:g}")
    return 1.0, 1.0, warnings
