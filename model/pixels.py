"""Stored values to display grey levels: one chain, in one order, with one inversion.

Modality LUT or rescale, VOI LUT or window, polarity, and grey levels, black at 0. Each step is a function of
the stored value alone, so the chain runs once over the stored values that occur and the film is looked up in
the table this gives. Overlays are never burned in.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from model.decode import stored_values
from model.header import UNREADABLE_VALUE, items, numbers, own_judgement, stated, text

LONGEST_SIDE = 1024  # of a display picture: what a result shows; the network takes far less
FEWEST_LEVELS = 8  # a picture whose middle 98 % spans fewer grey levels shows nothing
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
        Display grey levels, black at 0, square pixels, longest side at most 1024; never enlarged.
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
        low = int(stored.min())
        table, warnings = display_table(ds, stored)
        index = stored if low == 0 else stored.astype(np.int32) - low
        display, more = _square_pixels(table[index], ds)
    return display, warnings + more


def display_table(ds: Dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The chain as a table over the stored values of one film.

    Parameters
    ----------
    ds : Dataset
    stored : (rows, columns) integer

    Returns
    -------
    table : (n,) uint8
        Display grey level of each stored value, from the film's smallest to its largest.
    warnings : tuple of str
    """
    warnings: list[str] = []
    low, high = int(stored.min()), int(stored.max())
    values = np.arange(low, high + 1, dtype=np.int64)
    padding = _padding(ds, values)
    present = stored[~padding[stored.astype(np.int64) - low]] if padding.any() else stored
    if not present.size:
        present, padding = stored, np.zeros_like(padding)
    modality = _modality(ds, values, warnings)
    seen = np.bincount(present.ravel()[::16].astype(np.int64) - low, minlength=len(values))
    span = modality[int(present.min()) - low : int(present.max()) - low + 1]
    for name, window in _voi_transformations(ds, span):
        try:
            grey = np.rint(255 * np.clip(window(modality), 0.0, 1.0)).astype(np.uint8)
        except UNREADABLE_VALUE as error:
            warnings.append(f"{name} ignored: {error}")
            continue
        if name == "full range" or _levels_spanned(grey, seen) >= FEWEST_LEVELS:
            break
        warnings.append(f"{name} ignored: it makes the film one grey")
    if _inverse(ds):
        grey = 255 - grey
    grey[padding] = 0
    return grey, tuple(warnings)


def _padding(ds: Dataset, values: np.ndarray) -> np.ndarray:
    """Which stored values stand for no pixel (PS3.3 C.7.5.1.1.2)."""
    limits = numbers(ds, "PixelPaddingValue")[:1]
    if not limits:
        return np.zeros(values.shape, bool)
    limits += numbers(ds, "PixelPaddingRangeLimit")[:1]
    return (values >= min(limits)) & (values <= max(limits))


def _modality(ds: Dataset, values: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Stored to modality values (PS3.3 C.11.1); a LUT outranks the slope, a broken step is left out."""
    slope = numbers(ds, "RescaleSlope")
    if not items(ds, "ModalityLUTSequence") and slope[:1] == [0.0]:
        warnings.append("rescale ignored: slope 0")
        return values
    try:
        return apply_modality_lut(values, ds)
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
    first = items(ds, "VOILUTSequence")[0]
    length, start, bits = (int(number) for number in first.LUTDescriptor)
    length = length or 2**16
    if not 8 <= bits <= 16:
        raise ValueError(f"{bits} bits for each entry, expected 8 to 16")
    entries = first.LUTData
    if isinstance(entries, bytes):
        wide = len(entries) >= 2 * length
        order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
        entries = np.frombuffer(entries, f"{order}u2" if wide else np.uint8)
    entries = np.asarray(entries)[:length]
    place = np.clip(np.rint(modality).astype(np.int64) - start, 0, len(entries) - 1)
    return entries[place] / (2.0**bits - 1)


def _window(ds: Dataset, modality: np.ndarray) -> np.ndarray:
    """The first window as 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    pydicom's `apply_windowing` takes its output range through the slope, so a negative slope would turn the
    picture round a second time.
    """
    centre, width = numbers(ds, "WindowCenter")[:1], numbers(ds, "WindowWidth")[:1]
    function = text(ds, "VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else 0.0
    if not centre or not width or not np.isfinite(centre + width).all() or width[0] <= least:
        raise ValueError(f"centre {centre} width {width}, expected one number each, width above {least:g}")
    if function == "LINEAR":
        return (modality - (centre[0] - 0.5)) / (width[0] - 1) + 0.5
    if function == "LINEAR_EXACT":
        return (modality - centre[0]) / width[0] + 0.5
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (modality - centre[0]) / width[0], -500, 500)))
    raise ValueError(f"function {function[:16]}, expected LINEAR, LINEAR_EXACT or SIGMOID")


def _levels_spanned(grey: np.ndarray, counts: np.ndarray) -> int:
    """Grey levels between the first and the last hundredth of the film's pixels."""
    per_level = np.bincount(grey, weights=counts, minlength=256)
    share = np.cumsum(per_level) / per_level.sum()
    return int(np.searchsorted(share, 0.99) - np.searchsorted(share, 0.01))


def _inverse(ds: Dataset) -> bool:
    """Whether small values are white.

    MONOCHROME1 says so, and so does the shape INVERSE; the DX module wants both together (PS3.3
    C.8.11.3.1.2), and two names for one inversion do not make two.
    """
    return (
        text(ds, "PhotometricInterpretation") == "MONOCHROME1"
        or text(ds, "PresentationLUTShape") == "INVERSE"
    )


def _square_pixels(display: np.ndarray, ds: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Undo unequal pixel spacing and bring the longest side down to `LONGEST_SIDE`, by area."""
    rows, columns = display.shape
    tall, wide = 1.0, 1.0
    warnings: tuple[str, ...] = ()
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):  # PS3.3 C.7.6.3.1.7
        sides = numbers(ds, keyword)
        if len(sides) != 2:
            continue
        if min(sides) > 0 and max(sides) / min(sides) <= ODDEST_ASPECT:
            tall, wide = sides
            break
        warnings = (*warnings, f"{keyword} ignored: {sides[0]:g} by {sides[1]:g}")
    # The finer side is reduced to the coarser one, so that nothing is enlarged.
    height, width = rows * tall / max(tall, wide), columns * wide / max(tall, wide)
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if size == (columns, rows):
        return display, warnings
    return np.asarray(Image.fromarray(display).resize(size, Image.Resampling.BOX)), warnings
