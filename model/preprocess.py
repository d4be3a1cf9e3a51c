"""Display picture to network input: the same function in training and in serving."""

import numpy as np
from PIL import Image

# Shares of the pixels taken as black and white, in percent: a marker or a collimated edge is not the range.
DARKEST, BRIGHTEST = 1.0, 99.0


def network_input(display: np.ndarray, size: int) -> np.ndarray:
    """Reduce a film to the square picture a network takes: `network_inputs` of one size."""
    (only,) = network_inputs(display, size)
    return only


def network_inputs(display: np.ndarray, *sizes: int) -> list[np.ndarray]:
    """Reduce a film to the square pictures that networks take.

    The whole film is stretched to the square: nothing is cropped, so an activation covers the whole film,
    and no bars are added, whose width would tell the network where a film came from. Grey levels are then
    spread between robust percentiles, so that a window chosen at the workstation matters little.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels.
    *sizes : int
        Rows and columns of the answers.

    Returns
    -------
    list of (size, size, 3) float32
        0 to 1, no unit, grey repeated in three channels; all 0 where the film is constant.

    Raises
    ------
    ValueError
        If `display` is not a two-dimensional uint8 array.
    """
    if display.ndim != 2 or display.dtype != np.uint8:
        raise ValueError(f"display is {display.dtype} {display.shape}, expected uint8 (rows, columns)")
    # "F" keeps what lies between two grey levels.
    film = Image.fromarray(display).convert("F")
    return [_input(film, size) for size in sizes]


def _input(film: Image.Image, size: int) -> np.ndarray:
    # BOX averages the area under each new pixel.
    grey = np.asarray(film.resize((size, size), Image.Resampling.BOX), dtype=np.float32)  # (size, size)
    black, white = np.percentile(grey, (DARKEST, BRIGHTEST))
    spread = np.clip((grey - black) / ((white - black) or 1.0), 0.0, 1.0)
    return np.repeat(spread[..., np.newaxis], 3, axis=2).astype(np.float32)
