"""Text on a picture: Roboto, evenly spaced down to 10 pixels, the same pixels on every machine."""

from functools import lru_cache

import font_roboto
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SMALLEST = 10
# Drawn this many times larger and reduced, so that glyphs are placed on fractions of a pixel.
_ENLARGED = 4
# Raises thin strokes a little: light text on black looks thinner than it is.
_POWER = 0.8
# Below this size Regular is too thin to be read.
_MEDIUM_BELOW = 13
_FACES = {"regular": "Roboto", "medium": "RobotoMedium", "bold": "RobotoBold"}


@lru_cache(maxsize=64)
def _font(size: float, weight: str) -> ImageFont.FreeTypeFont:
    """The enlarged font; BASIC layout, since RAQM is not on every machine."""
    face = font_roboto.font_files[_FACES[weight]]
    return ImageFont.truetype(face, size * _ENLARGED, layout_engine=ImageFont.Layout.BASIC)


def _readable(size: float, weight: str) -> tuple[float, str]:
    """Size and weight that can be read."""
    size = max(size, SMALLEST)
    return size, "medium" if weight == "regular" and size < _MEDIUM_BELOW else weight


def width(text: str, size: float, weight: str = "regular") -> float:
    """Advance width of a line, pixels."""
    return _font(*_readable(size, weight)).getlength(text) / _ENLARGED


@lru_cache(maxsize=512)
def _coverage(text: str, size: float, weight: str) -> tuple[np.ndarray, int, int]:
    """Coverage 0 to 1, (rows, columns, 1) float32, and where its corner lies from the start of the baseline."""
    font = _font(size, weight)
    x0, y0, x1, y1 = font.getbbox(text, anchor="ls")
    left, top = x0 // _ENLARGED, y0 // _ENLARGED
    columns, rows = -(-x1 // _ENLARGED) - left, -(-y1 // _ENLARGED) - top
    enlarged = Image.new("L", (int(columns) * _ENLARGED, int(rows) * _ENLARGED))
    origin = (-left * _ENLARGED, -top * _ENLARGED)
    ImageDraw.Draw(enlarged).text(origin, text, fill=255, font=font, anchor="ls")
    coverage = (np.asarray(enlarged.reduce(_ENLARGED), np.float32) / 255) ** _POWER
    coverage.setflags(write=False)
    return coverage[:, :, None], int(left), int(top)


def write(
    canvas: np.ndarray,
    text: str,
    x: float,
    baseline: int,
    size: float,
    grey: int,
    weight: str = "regular",
    align: str = "left",
) -> None:
    """Write one line onto a picture, in place.

    Parameters
    ----------
    canvas : (rows, columns, 3) uint8
        RGB; what falls outside is cut off.
    text : str
    x : float
        Where the line starts, has its middle or ends, by `align`; pixels.
    baseline : int
        Row of the baseline, pixels.
    size : float
        Text size, pixels; at least 10.
    grey : int
        Grey level of the text, 0 to 255.
    weight : str
        ``regular``, ``medium`` or ``bold``; regular becomes medium below 13 pixels.
    align : str
        ``left``, ``centre`` or ``right``.
    """
    size, weight = _readable(size, weight)
    coverage, left, top = _coverage(text, size, weight)
    shift = {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * width(text, size, weight)
    column, row = round(x - shift) + left, baseline + top
    first_row, first_column = max(-row, 0), max(-column, 0)
    area = canvas[max(row, 0) : row + len(coverage), max(column, 0) : column + coverage.shape[1]]
    shown = coverage[first_row : first_row + area.shape[0], first_column : first_column + area.shape[1]]
    area[:] = np.rint(area + (grey - area.astype(np.float32)) * shown)
