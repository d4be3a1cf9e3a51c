"""A film's values, for a viewer that sets window and level itself; `model.pixels` makes them a picture."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from model.decode import stored_values
from model.header import own_judgement
from model.pixels import Chain, chain_of, first_window, inverse, picture_of

MOST_VALUES = 1 << 16
# Grey levels between which a table's own window is taken: there even a sigmoid is straight.
QUARTER, THREE_QUARTERS = 63.75, 191.25


@dataclass(frozen=True)
class FilmValues:
    """A film to be windowed.

    Parameters
    ----------
    values : (rows, columns) uint16
        Square pixels; number of the modality value, which is ``origin + step * number``.
    table : (n,) uint8
        Display grey level of each number under the film's own window or VOI LUT, black at 0; the same
        picture as that of `model.pixels.display_picture`.
    origin, step : float
    centre, width : float
        The window of the table in modality values; of a VOI LUT or a sigmoid, that of its middle half.
    inverse : bool
        Whether small values are white.
    warnings : tuple of str
        What was ignored in the header, and why.
    """

    values: np.ndarray
    table: np.ndarray
    origin: float
    step: float
    centre: float
    width: float
    inverse: bool
    warnings: tuple[str, ...]


def film_values(ds: Dataset, longest_side: int) -> FilmValues:
    """Decode a film for a viewer.

    Parameters
    ----------
    ds : Dataset
        A grey single-frame film within scope, with its file meta information.
    longest_side : int
        Most pixels of a side; a larger film is reduced as for `model.pixels.display_picture`.

    Returns
    -------
    FilmValues

    Raises
    ------
    UnreadableFilm
        If the pixels cannot be decoded.

    References
    ----------
    DICOM PS3.3 C.11.1 Modality LUT, C.11.2 VOI LUT.
    """
    with own_judgement():
        stored = stored_values(ds)
        chain = chain_of(ds, stored)
        is_inverse = inverse(ds)
        shown = chain.modality[~chain.padding]
        origin, high = float(shown.min()), float(shown.max())
        step = _step(shown, high - origin)
        numbers = np.rint((chain.modality - origin) / step)
        # Padding is black, as in the picture, and no value of its own that an average could be made with.
        numbers[chain.padding] = (high - origin) / step if is_inverse else 0
        table = _table(numbers[~chain.padding], chain.grey[~chain.padding])
        picture, warnings = picture_of(ds, chain, stored, numbers.astype(np.float32), longest_side)
        centre, width = _window(ds, chain, table, origin, step, is_inverse)
    values = np.clip(np.rint(picture), 0, len(table) - 1).astype(np.uint16)
    return FilmValues(values, table, origin, step, centre, width, is_inverse, chain.warnings + warnings)


def plain_values(grey: np.ndarray) -> FilmValues:
    """A picture without a header for a viewer.

    Parameters
    ----------
    grey : (rows, columns) uint8
        Display grey levels, black at 0.
    """
    return FilmValues(
        grey.astype(np.uint16), np.arange(256, dtype=np.uint8), 0.0, 1.0, 127.5, 255.0, False, ()
    )


def _step(modality: np.ndarray, span: float) -> float:
    """Whole modality values are kept as they are where they fit; others are spread over what fits."""
    whole = np.array_equal(modality, np.rint(modality))
    return 1.0 if whole and span < MOST_VALUES else (span or 1.0) / (MOST_VALUES - 1)


def _table(numbers: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Grey level by number; between those that occur, in a straight line."""
    found, first = np.unique(numbers, return_index=True)
    return np.rint(np.interp(np.arange(found[-1] + 1), found, grey[first])).astype(np.uint8)


def _window(
    ds: Dataset, chain: Chain, table: np.ndarray, origin: float, step: float, is_inverse: bool
) -> tuple[float, float]:
    if chain.step == "window":
        centre, width, function = first_window(ds)
        if function != "SIGMOID":
            return centre, width
    rising = 255 - table if is_inverse else table
    if rising[-1] < rising[0]:  # a table that turns the picture round
        rising = rising[::-1]
    first, last = (int(np.searchsorted(rising, level)) for level in (QUARTER, THREE_QUARTERS))
    return origin + step * (first + last) / 2, max(step * 2 * (last - first), step)
