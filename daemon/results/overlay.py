"""Activation on a film: colour that leaves the anatomy visible, and one line that needs no colour."""

import numpy as np

from daemon.results.activation import COLOUR_LEVEL, CONTOUR_LEVEL

# One hue with rising opacity stays even on lung and on bone and almost vanishes in a grey viewer, where the
# line carries the message; a many-coloured map draws edges of its own.
AMBER = np.array([255, 153, 13], np.float32)
OPACITY_AT_MAXIMUM = 0.5
CASING_OPACITY = 0.85
# Share of the maximum per pixel: without a floor, a plateau near the level would turn all white.
FLATTEST = 0.002


def colour(film: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Lay an activation over a film: amber whose opacity rises in a straight line above the 35 % level.

    Parameters
    ----------
    film : (rows, columns) uint8
        Display-ready grey levels, black at 0.
    share : (rows, columns) float32
        Share of the activation's maximum, 0 to 1.

    Returns
    -------
    (rows, columns, 3) float32
        RGB, 0 to 255; the film itself where the activation is below the level.
    """
    opacity = np.clip((share - COLOUR_LEVEL) / (1 - COLOUR_LEVEL), 0, 1) * OPACITY_AT_MAXIMUM
    grey = film[:, :, None].astype(np.float32)
    return grey + (AMBER - grey) * opacity[:, :, None]


def contour(picture: np.ndarray, share: np.ndarray, unit: float) -> np.ndarray:
    """Draw the 50 % line, white in a black casing.

    Parameters
    ----------
    picture : (rows, columns, 3) float32
        RGB, 0 to 255.
    share : (rows, columns) float32
        Share of the activation's maximum, 0 to 1.
    unit : float
        Pixels in one unit of length: the line is 2 units wide, its casing 1 more on each side.

    Returns
    -------
    (rows, columns, 3) float32
        RGB, 0 to 255.
    """
    distance = np.abs(share - CONTOUR_LEVEL) / np.maximum(np.hypot(*np.gradient(share)), FLATTEST)
    half = max(2 * unit, 1.6) / 2
    casing = np.clip(half + unit + 0.5 - distance, 0, 1)[:, :, None] * CASING_OPACITY
    white = np.clip(half + 0.5 - distance, 0, 1)[:, :, None]
    cased = picture * (1 - casing)
    return cased + (255 - cased) * white
