"""A picture to draw on in units of its size: boxes, and text that is the same pixels on every machine."""

from dataclasses import dataclass
from functools import lru_cache

import font_roboto
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SMALLEST_TEXT = 10
# Text is drawn this many times larger and reduced, so that glyphs sit on fractions of a pixel.
_ENLARGED = 4
# Raises thin strokes a little: light text on black looks thinner than it is.
_POWER = 0.8
# Below this size Regular is too thin to be read.
_MEDIUM_BELOW = 13
_FACES = {"regular": "Roboto", "medium": "RobotoMedium", "bold": "RobotoBold"}


@dataclass(frozen=True)
class Canvas:
    """An RGB picture whose lengths are given in units.

    Parameters
    ----------
    pixels : (rows, columns, 3) uint8
        Drawn on in place.
    unit : float
        Pixels in one unit.
    """

    pixels: np.ndarray
    unit: float

    def box(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """The pixels of a rectangle given in units, to be filled; at least one pixel wide and high."""
        columns = _span(left * self.unit, right * self.unit)
        return self.pixels[_span(top * self.unit, bottom * self.unit), columns]

    def upright(self, x: float, top: float, bottom: float, *, width: float, grey: int) -> None:
        """A vertical line around `x`; its width in whole pixels does not depend on where it stands."""
        pixels = max(round(width * self.unit), 1)
        first = round(x * self.unit - pixels / 2)
        self.pixels[_span(top * self.unit, bottom * self.unit), first : first + pixels] = grey

    def width(self, text: str, size: float, weight: str) -> float:
        """Width of a line of text in units."""
        return _length(text, *_readable(size * self.unit, weight)) / _ENLARGED / self.unit

    def fitting(self, text: str, size: float, weight: str, width: float) -> float:
        """Text size, at most `size`, at which a line is no wider than `width` units, if that can be read."""
        return min(size, size * width / self.width(text, size, weight))

    def text(
        self,
        text: str,
        x: float,
        baseline: float,
        *,
        size: float,
        grey: int,
        weight: str = "regular",
        align: str = "left",
    ) -> None:
        """Write one line; what falls outside the picture is cut off.

        Parameters
        ----------
        text : str
        x : float
            Where the line starts, has its middle or ends, by `align`; units.
        baseline : float
            Units; the nearest whole pixel is taken.
        size : float
            Text size, units; drawn at no less than 10 pixels.
        grey : int
            0 to 255.
        weight : str
            ``regular``, ``medium`` or ``bold``; regular becomes medium below 13 pixels.
        align : str
            ``left``, ``centre`` or ``right``.
        """
        shift = {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * self.width(text, size, weight)
        coverage, left, top = _coverage(text, *_readable(size * self.unit, weight))
        column, row = round((x - shift) * self.unit) + left, round(baseline * self.unit) + top
        rows, columns = coverage.shape[:2]
        area = self.pixels[max(row, 0) : row + rows, max(column, 0) : column + columns]
        shown = coverage[max(-row, 0) :, max(-column, 0) :][: area.shape[0], : area.shape[1]]
        ground = area[:1, :1, :1] if (area == area[:1, :1, :1]).all() else area
        area[:] = np.rint(ground + (grey - ground.astype(np.float32)) * shown)


def _span(start: float, stop: float) -> slice:
    """Whole pixels, at least one."""
    return slice(round(start), max(round(stop), round(start) + 1))


def _readable(size: float, weight: str) -> tuple[float, str]:
    """Size in pixels and weight that can be read."""
    size = max(size, SMALLEST_TEXT)
    return size, "medium" if weight == "regular" and size < _MEDIUM_BELOW else weight


@lru_cache(maxsize=64)
def _font(size: float, weight: str) -> ImageFont.FreeTypeFont:
    """The enlarged font; BASIC layout, since Raqm is not on every machine."""
    face = font_roboto.font_files[_FACES[weight]]
    return ImageFont.truetype(face, size * _ENLARGED, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=512)
def _length(text: str, size: float, weight: str) -> float:
    """Length of a line, enlarged."""
    return _font(size, weight).getlength(text)


@lru_cache(maxsize=512)
def _coverage(text: str, size: float, weight: str) -> tuple[np.ndarray, int, int]:
    """Coverage, (rows, columns, 1) float32, 0 to 1, and its left and top from the start of the baseline."""
    font = _font(size, weight)
    x0, y0, x1, y1 = (int(edge) for edge in font.getbbox(text, anchor="ls"))
    left, top = x0 // _ENLARGED, y0 // _ENLARGED
    columns, rows = -(-x1 // _ENLARGED) - left, -(-y1 // _ENLARGED) - top
    enlarged = Image.new("L", (columns * _ENLARGED, rows * _ENLARGED))
    origin = (-left * _ENLARGED, -top * _ENLARGED)
    ImageDraw.Draw(enlarged).text(origin, text, fill=255, font=font, anchor="ls")
    coverage = (np.asarray(enlarged.reduce(_ENLARGED), np.float32) / 255) ** _POWER
    return coverage[:, :, None], left, top
