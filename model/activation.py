"""Where the model looked: its activation on the film, inside the lungs and beside them."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from model.lungs import SIDES, either_lung

COLOUR_LEVEL = 0.35
CONTOUR_LEVEL = 0.5


class Inside(NamedTuple):
    """Shares of an activation that lie inside each of the patient's lungs, 0 to 1 together."""

    right: float
    left: float

    @property
    def both(self) -> float:
        return self.right + self.left


class Region(NamedTuple):
    """A place on the film.

    Parameters
    ----------
    outline : (points, 2) float
        Column and row of each point in pixels of the film, 0 at the outer edge of the first pixel; the last
        point is the first (DICOM PS3.3 C.18.6.1.2).
    side : str or None
        right or left, the patient's lung that it lies in; None where it lies in neither.
    """

    outline: np.ndarray
    side: str | None


class Place(NamedTuple):
    """The same, on the lungs' grid.

    Parameters
    ----------
    mask : (lung_rows, lung_columns) bool
        Over the film's whole area.
    side : str or None
    """

    mask: np.ndarray
    side: str | None

    def outlined(self, rows: int, columns: int) -> Region:
        """The line round it on a film whose matrix is of so many rows and columns."""
        lung_rows, lung_columns = self.mask.shape
        return Region(_outline(self.mask) * (columns / lung_columns, rows / lung_rows), self.side)


def is_empty(activation: np.ndarray) -> bool:
    """Whether no cell is active.

    Parameters
    ----------
    activation : (grid_rows, grid_columns) float
        Class activation, no unit; negative counts as 0.

    Raises
    ------
    ValueError
        If the activation holds a NaN or an infinite value.
    """
    if not np.isfinite(activation).all():
        raise ValueError("activation holds NaN or infinity, expected finite values")
    return not (activation > 0).any()


def spread(activation: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The activation, bicubic from its grid to a picture of the whole film.

    Parameters
    ----------
    activation : (grid_rows, grid_columns) float
        Class activation over the film's whole area, finite, no unit.
    rows, columns : int
        Size of the picture, pixels.

    Returns
    -------
    (rows, columns) float32
        Share of this film's maximum, 0 to 1; negative activation is 0, an empty map is all 0.
    """
    grid = Image.fromarray(np.maximum(activation, 0).astype(np.float32))
    spread_out = np.asarray(grid.resize((columns, rows), Image.Resampling.BICUBIC))
    spread_out = np.maximum(spread_out, 0)
    peak = spread_out.max()
    return spread_out / peak if peak > 0 else spread_out


def share_inside(activation: np.ndarray, lungs: np.ndarray) -> Inside | None:
    """How much of an activation lies in each lung: the sum at or above the 35 % level, as what is drawn.

    Parameters
    ----------
    activation : (grid_rows, grid_columns) float
        Class activation over the film's whole area, no unit.
    lungs : (rows, columns, 2) bool
        Right and left.

    Returns
    -------
    Inside or None
        None where the activation is empty.
    """
    share = spread(activation, *lungs.shape[:2])
    shown = np.where(share >= COLOUR_LEVEL, share, 0)
    if not shown.any():
        return None
    return Inside(*(float(shown[lungs[..., side]].sum() / shown.sum()) for side in range(len(SIDES))))


def main_place(activation: np.ndarray, lungs: np.ndarray) -> Place:
    """Where the model looked most, at 50 % of the maximum, within the lung that it lies in.

    Parameters
    ----------
    activation : (grid_rows, grid_columns) float
        Class activation, not empty.
    lungs : (lung_rows, lung_columns, 2) bool
        Right and left, over the film's whole area.

    Returns
    -------
    Place
        The part that holds the highest activation inside a lung; where none of the lungs reaches half of the
        maximum, the one that holds the maximum itself. Each line of it is taken from its first to its last
        active sample, so a bay that opens upwards or downwards is closed.
    """
    share = spread(activation, *lungs.shape[:2])
    active = share >= CONTOUR_LEVEL
    inside = np.where(either_lung(lungs) & active, share, 0)
    side = None
    if inside.any():
        highest = np.unravel_index(inside.argmax(), inside.shape)
        number = int(lungs[highest].argmax())
        side, active = SIDES[number], active & lungs[..., number]
    else:
        highest = np.unravel_index(share.argmax(), share.shape)
    pieces, _ = ndimage.label(active)
    mask = pieces == pieces[highest]
    from_left = np.logical_or.accumulate(mask, axis=1)
    from_right = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return Place(from_left & from_right, side)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Closed line round a mask of one piece, (points, 2) float, column and row, at the samples' edges."""
    lines = np.flatnonzero(mask.any(axis=1))
    left = mask[lines].argmax(axis=1)
    right = mask.shape[1] - mask[lines, ::-1].argmax(axis=1)
    # Down the left side, up the right one.
    down = np.column_stack([np.repeat(left, 2), np.column_stack([lines, lines + 1]).ravel()])
    up = np.column_stack([np.repeat(right, 2), np.column_stack([lines, lines + 1]).ravel()])[::-1]
    outline = np.concatenate([down, up])
    outline = outline[np.any(outline != np.roll(outline, 1, axis=0), axis=1)]
    return np.concatenate([outline, outline[:1]]).astype(float)
