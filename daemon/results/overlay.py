"""Activation and lungs on a film: colour that leaves the anatomy visible, and lines that need no colour."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from model.activation import COLOUR_LEVEL, CONTOUR_LEVEL
from model.lungs import either_lung

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
    coloured = in_colour(film).astype(np.float32)
    above = np.flatnonzero(share > COLOUR_LEVEL)
    opacity = (share.ravel()[above] - COLOUR_LEVEL) / (1 - COLOUR_LEVEL) * OPACITY_AT_MAXIMUM
    grey = film.ravel()[above].astype(np.float32)[:, None]
    coloured.reshape(-1, 3)[above] = grey + (AMBER - grey) * opacity[:, None]
    return coloured


def in_colour(film: np.ndarray) -> np.ndarray:
    """A film, (rows, columns) uint8, as a picture in RGB, (rows, columns, 3) uint8."""
    return np.asarray(Image.fromarray(film).convert("RGB"))


def contour(picture: np.ndarray, share: np.ndarray, unit: float) -> None:
    """Draw the 50 % line into a picture, white in a black casing.

    Parameters
    ----------
    picture : (rows, columns, 3) float32
        RGB, 0 to 255.
    share : (rows, columns) float32
        Share of the activation's maximum, 0 to 1.
    unit : float
        Pixels in one unit of length: the line is 2 units wide, its casing 1 more on each side.
    """
    half = max(2 * unit, 1.6) / 2
    casing = _Line(half + unit, np.zeros(3, np.float32), CONTOUR_CASING_OPACITY)
    _draw(picture, share, CONTOUR_LEVEL, casing, _Line(half, np.full(3, 255, np.float32), 1))


def outline(picture: np.ndarray, lungs: np.ndarray, unit: float) -> None:
    """Draw the edge of both lungs into a picture, a thin blue line in a faint black casing.

    A lung that the film cuts off has no line along the film's edge.

    Parameters
    ----------
    picture : (rows, columns, 3) float32
        RGB, 0 to 255.
    lungs : (lung_rows, lung_columns, 2) bool
        The right and the left lung over the film's whole area.
    unit : float
        Pixels in one unit of length: the line is 1.4 units wide, its casing 1 pixel more on each side.
    """
    rows, columns = picture.shape[:2]
    enlarged = Image.fromarray(smooth(either_lung(lungs))).resize((columns, rows), Image.Resampling.BICUBIC)
    half = max(1.4 * unit, 1.2) / 2
    casing = _Line(half + 1, np.zeros(3, np.float32), OUTLINE_CASING_OPACITY)
    _draw(picture, np.asarray(enlarged), MIDDLE, casing, _Line(half, LUNG_BLUE, OUTLINE_OPACITY))


def smooth(mask: np.ndarray) -> np.ndarray:
    """A mask as a field without steps, (rows, columns) float32, 0 to 1; its edge lies at `MIDDLE`."""
    return gaussian_filter(mask.astype(np.float32), SMOOTHING)


class _Line(NamedTuple):
    """A line of one colour, soft over one pixel at its edges; its width in pixels."""

    half_width: float
    ink: np.ndarray
    opacity: float

    @property
    def reach(self) -> float:
        return self.half_width + 0.5


def _draw(picture: np.ndarray, field: np.ndarray, level: float, *lines: _Line) -> None:
    """Draw lines into a picture, the widest first, where a field, (rows, columns), crosses a level."""
    if min(field.shape) < 2:
        return  # no gradient, and no line that could be seen
    reach = lines[0].reach
    off = np.abs(field - level)
    slopes = np.gradient(field)
    # The sum of the slopes is no less than the slope itself: none that a line reaches is left out.
    farthest = np.abs(slopes[0])
    farthest += np.abs(slopes[1])
    np.maximum(farthest, FLATTEST, out=farthest)
    farthest *= reach
    places = np.flatnonzero(off < farthest)
    slope = np.maximum(np.hypot(*(along.ravel()[places] for along in slopes)), FLATTEST)
    distance = off.ravel()[places] / slope  # about how many pixels each is away from the level
    pixels = picture.reshape(-1, 3)[places]
    for line in lines:
        coverage = np.clip(line.reach - distance, 0, 1)[:, None] * line.opacity
        pixels += (line.ink - pixels) * coverage
    picture.reshape(-1, 3)[places] = pixels
