"""From the model's coarse grid to the film: one activation map for the picture and for the report."""

import numpy as np
from PIL import Image

COLOUR_LEVEL = 0.35
CONTOUR_LEVEL = 0.5
# Steps that the outline of a region takes within one cell of the grid: it is no finer than that.
STEPS_PER_CELL = 8


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


def region(activation: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Closed outline of the region that holds the maximum, at 50 % of it.

    Parameters
    ----------
    activation : (grid_rows, grid_columns) float
        Class activation, not empty.
    rows, columns : int
        Matrix of the film, pixels.

    Returns
    -------
    (points, 2) float
        Column and row of each point in pixels of the film, 0 at the outer edge of the first pixel; the last
        point is the first (PS3.3 C.18.6.1.2). Each line of the region is taken from its first to its last
        active sample, so a bay that opens upwards or downwards is closed.
    """
    fine_rows, fine_columns = (STEPS_PER_CELL * cells for cells in activation.shape)
    share = spread(activation, fine_rows, fine_columns)
    active = _connected(share >= CONTOUR_LEVEL, np.unravel_index(share.argmax(), share.shape))
    lines = np.flatnonzero(active.any(axis=1))
    left = active[lines].argmax(axis=1)
    right = fine_columns - active[lines, ::-1].argmax(axis=1)
    # Down the left side, up the right one, corners at the outer edges of the samples.
    down = np.column_stack([np.repeat(left, 2), np.column_stack([lines, lines + 1]).ravel()])
    up = np.column_stack([np.repeat(right, 2), np.column_stack([lines, lines + 1]).ravel()])[::-1]
    outline = np.concatenate([down, up])
    corner = np.any(outline != np.roll(outline, 1, axis=0), axis=1)
    outline = outline[corner]
    closed = np.concatenate([outline, outline[:1]])
    return closed * (columns / fine_columns, rows / fine_rows)


def whole_film(rows: int, columns: int) -> np.ndarray:
    """Closed outline of the whole film, (5, 2) float, as `region` gives one."""
    return np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], float)


def _connected(mask: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """The part of a mask that hangs together with one of its points, over edges."""
    part = np.zeros_like(mask)
    part[seed] = True
    while True:
        grown = part.copy()
        grown[1:] |= part[:-1]
        grown[:-1] |= part[1:]
        grown[:, 1:] |= part[:, :-1]
        grown[:, :-1] |= part[:, 1:]
        grown &= mask
        if np.array_equal(grown, part):
            return part
        part = grown
