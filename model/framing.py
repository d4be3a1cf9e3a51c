"""What of a film the classifier is shown: all of it, or the lungs with a margin."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from model.lungs import either_lung

GRID = 48  # rows and columns of an activation that was brought back to the whole film


class Window(NamedTuple):
    """A part of a film, as shares of its rows and columns, 0 to 1."""

    top: float
    bottom: float
    left: float
    right: float


def framed(display: np.ndarray, lungs: np.ndarray, framing: Mapping) -> np.ndarray:
    """The part of a film that a version is to see.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0.
    lungs : (lung_rows, lung_columns, 2) bool
        The right and the left lung over the film's whole area.
    framing : mapping
        The version's table ``[framing]``: margin, share of the height and width of the box round both lungs
        that is added on each side; and masked, whether what is farther from a lung than the margin is black.

    Returns
    -------
    (framed_rows, framed_columns) uint8
    """
    rows, columns = display.shape
    part = window(lungs, framing["margin"])
    top, bottom = round(part.top * rows), round(part.bottom * rows)
    left, right = round(part.left * columns), round(part.right * columns)
    if framing["masked"]:
        near = Image.fromarray(_near(lungs, framing["margin"])).resize((columns, rows))
        display = np.where(np.asarray(near), display, 0)
    return np.ascontiguousarray(display[top:bottom, left:right])


def window(lungs: np.ndarray, margin: float) -> Window:
    """The box round both lungs with its margin; the whole film where no lung is found."""
    either = either_lung(lungs)
    if not either.any():
        return Window(0.0, 1.0, 0.0, 1.0)
    ends = []
    for axis in (1, 0):
        along = np.flatnonzero(either.any(axis=axis))
        first, last, size = along[0], along[-1] + 1, either.shape[1 - axis]
        added = margin * (last - first)
        ends += [max(first - added, 0) / size, min(last + added, size) / size]
    return Window(*map(float, ends))


def _near(lungs: np.ndarray, margin: float) -> np.ndarray:
    """Where a lung is no farther than the margin of the lungs' height, (rows, columns) bool."""
    either = either_lung(lungs)
    if not either.any():
        return np.ones(either.shape, bool)
    high = np.ptp(np.flatnonzero(either.any(axis=1))) + 1
    return ndimage.distance_transform_edt(~either) <= margin * high


def on_the_film(activations: np.ndarray, lungs: np.ndarray, framing: Mapping) -> np.ndarray:
    """Bring the activations of a framed film back to the whole film.

    Parameters
    ----------
    activations : (classes, grid_rows, grid_columns) float32
        Over what `framed` gave.
    lungs, framing
        As for `framed`.

    Returns
    -------
    (classes, 48, 48) float32
        Over the whole film; 0 where the version did not look.
    """
    top, bottom, left, right = (round(GRID * share) for share in window(lungs, framing["margin"]))
    whole = np.zeros((len(activations), GRID, GRID), np.float32)
    for place, activation in zip(whole, activations, strict=True):
        inside = Image.fromarray(activation).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        place[top:bottom, left:right] = inside
    return whole
