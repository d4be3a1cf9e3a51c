"""Activation and lungs on a film: colour that leaves the anatomy visible, and lines that need no colour."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from model.activation import COLOUR_LEVEL, CONTOUR_LEVEL

# One hue with rising opacity stays even on lung and on bone and almost vanishes in a grey viewer, where the
# line carries the message; a many-coloured map draws edges of its own.
AMBER = np.array([255, 153, 13], np.float32)
OPACITY_AT_MAXIMUM = 0.5
CONTOUR_CASING_OPACITY = 0.85
# Apart from amber in every kind of colour vision, and thinner than the contour, which is the message.
LUNG_BLUE = np.array([110, 180, 255], np.float32)
OUTLINE_OPACITY, OUTLINE_CASING_OPACITY = 0.9, 0.4
SMOOTHING = 1.5  # samples of the lung fields: their steps go, corners stay
MIDDLE = 0.5  # where a smoothed edge lies
# Change per pixel: without a floor, a plateau near the level would turn into line altogether.
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
    away = _distance(share, CONTOUR_LEVEL)
    half = max(2 * unit, 1.6) / 2
    cased = _line(picture, away, half + unit, np.zeros(3, np.float32), CONTOUR_CASING_OPACITY)
    return _line(cased, away, half, np.full(3, 255, np.float32), 1)


def outline(picture: np.ndarray, lungs: np.ndarray, unit: float) -> np.ndarray:
    """Draw the edge of both lungs, a thin blue line in a faint black casing.

    Parameters
    ----------
    picture : (rows, columns, 3) float32
        RGB, 0 to 255.
    lungs : (lung_rows, lung_columns, 2) bool
        The right and the left lung over the film's whole area.
    unit : float
        Pixels in one unit of length: the line is 1.4 units wide, its casing 1 pixel more on each side.

    Returns
    -------
    (rows, columns, 3) float32
        RGB, 0 to 255. A lung that the film cuts off has no line along the film's edge.
    """
    rows, columns = picture.shape[:2]
    smooth = gaussian_filter(lungs.any(axis=-1).astype(np.float32), SMOOTHING)
    enlarged = Image.fromarray(smooth).resize((columns, rows), Image.Resampling.BICUBIC)
    away = _distance(np.asarray(enlarged), MIDDLE)
    half = max(1.4 * unit, 1.2) / 2
    cased = _line(picture, away, half + 1, np.zeros(3, np.float32), OUTLINE_CASING_OPACITY)
    return _line(cased, away, half, LUNG_BLUE, OUTLINE_OPACITY)


def _distance(field: np.ndarray, level: float) -> np.ndarray:
    """About how many pixels each one is away from where a field, (rows, columns), crosses a level."""
    return np.abs(field - level) / np.maximum(np.hypot(*np.gradient(field)), FLATTEST)


def _line(
    picture: np.ndarray, distance: np.ndarray, half_width: float, ink: np.ndarray, opacity: float
) -> np.ndarray:
    """A line of one colour, soft over one pixel at its edges."""
    coverage = np.clip(half_width + 0.5 - distance, 0, 1)[:, :, None] * opacity
    return picture + (ink - picture) * coverage
