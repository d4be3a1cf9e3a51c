"""A film as PNG or JPEG: a picture without a header, within the same limits as one with it."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from model.decode import UnreadableFilm
from model.gate import check_contrast
from model.pixels import LONGEST_SIDE
from model.scope import OutOfScope, ScopeRules

FORMATS = ("PNG", "JPEG")
# Mean distance of a pixel's channels up to which a picture is grey: JPEG rounds, people's prints are tinted.
MOST_COLOUR = 12.0
_BROKEN = (OSError, SyntaxError, ValueError, IndexError, struct.error, zlib.error, MemoryError)


@dataclass(frozen=True)
class PlainFilm:
    """A decoded picture.

    Parameters
    ----------
    display : (rows, columns) uint8
        Grey levels, black at 0, longest side at most 1024.
    rows, columns : int
        Of the picture itself.
    caption : str
        Its size and kind.
    """

    display: np.ndarray
    rows: int
    columns: int
    caption: str


def plain_film(content: bytes, rules: ScopeRules) -> PlainFilm:
    """Decode a picture that stands for a film.

    Parameters
    ----------
    content : bytes
        Of a PNG or JPEG file.
    rules : ScopeRules
        Limits of its matrix; checked before anything is decoded.

    Returns
    -------
    PlainFilm

    Raises
    ------
    OutOfScope
        TOO_SMALL, TOO_LARGE, MULTI_FRAME, COLOUR or BLANK.
    UnreadableFilm
        If it is neither PNG nor JPEG, or broken.
    """
    most = f"{rules.max_pixels} pixels at most"
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableFilm("found neither PNG nor JPEG, expected one of them or DICOM") from error
    except Image.DecompressionBombError as error:
        raise OutOfScope("TOO_LARGE", "a picture made to fill the memory", most) from error
    except _BROKEN as error:
        raise UnreadableFilm("found a broken picture, expected PNG or JPEG") from error
    columns, rows = image.size
    if rows < rules.min_rows or columns < rules.min_columns:
        least = f"{rules.min_rows} x {rules.min_columns} or more"
        raise OutOfScope("TOO_SMALL", f"{rows} x {columns}", least)
    if rows * columns > rules.max_pixels:
        raise OutOfScope("TOO_LARGE", f"{rows} x {columns}", most)
    if getattr(image, "n_frames", 1) != 1:
        raise OutOfScope("MULTI_FRAME", f"{image.n_frames} frames", "1")
    try:
        image.load()
        grey = _grey(ImageOps.exif_transpose(image))
    except OutOfScope:
        raise
    except _BROKEN as error:
        raise UnreadableFilm(f"found a broken {image.format}, expected a whole one") from error
    grey.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.HAMMING)
    display = np.asarray(grey)
    check_contrast(display)
    return PlainFilm(display, rows, columns, f"{columns} × {rows}, {image.format}")


def _grey(image: Image.Image) -> Image.Image:
    """Eight bits of grey; more bits are spread over them, colours refused."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float32)
        low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
        return Image.fromarray(np.rint(255 * (levels - low) / ((high - low) or 1.0)).astype(np.uint8))
    if image.mode not in ("1", "L", "LA"):
        colours = np.asarray(image.convert("RGB"))
        apart = float((colours.max(axis=2).astype(np.int16) - colours.min(axis=2)).mean())
        if apart > MOST_COLOUR:
            raise OutOfScope("COLOUR", "a picture in colours", "a grey one")
    return image.convert("L")
