"""Display picture to network input: the same function in training and in serving."""

import numpy as np
from PIL import Image

# Shares of the pixels taken as black and white, in percent: a marker or a collimated edge is not the range.
DARKEST, BRIGHTEST = 1.0, 99.0


def network_input(display: np.ndarray, size: int) -> np.ndarray:
    """Reduce a film to the square picture the network takes.

    The whole film is stretched to the square: nothing is cropped, so an activation covers the whole film,
    and no bars are added, whose width would tell the network where a film came from. Grey levels are then
    spread between robust percentiles, so that a window chosen at the workstation matters little.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels.
    size : int
        Rows and columns of the answer.

    Returns
    -------
    (size, size, 3) float32
        0 to 1, no unit, grey repeated in three channels; all 0 where the film is constant.

    Raises
    ------
    ValueError
        If `display` is not a two-dimensional uint8 array.
    """
    if display.ndim != 2 or display.dtype != np.uint8:
        raise ValueError(f"display is {display.dtype} {display.shape}, expected uint8 (rows, columns)")
    # BOX averages the area under each new pixel; "F" keeps what lies between two grey levels.
    reduced = Image.fromarray(display).convert("F").resize((size, size), Image.Resampling.BOX)
    grey = np.asarray(reduced, dtype=np.float32)  # (size, size)
    black, white = np.percentile(grey, (DARKEST, BRIGHTEST))
    spread = np.clip((grey - black) / ((white - black) or 1.0), 0.0, 1.0)
    return np.repeat(spread[..., np.newaxis], 3, axis=2).astype(np.float32)
