"""Activation and lungs of a reading as small pictures, for the console's page of one film."""

from io import BytesIO

import numpy as np
from PIL import Image

from model.findings import Reading
from storage.film_maps import FilmMap


def pack(reading: Reading) -> FilmMap:
    """The maps of a reading: 255 is the activation's maximum; lung 1 is the right, 2 the left one."""
    right, left = np.moveaxis(reading.lungs, -1, 0)
    return FilmMap(
        reading.activation_label,
        reading.activation_step,
        *reading.model.cells,
        _png(np.rint(255 * np.clip(reading.activation, 0, 1))),
        _png(np.where(left, 2, right)),
    )


def unpack(maps: FilmMap) -> tuple[np.ndarray, np.ndarray]:
    """What `pack` was given.

    Returns
    -------
    activation : (grid_rows, grid_columns) float32
        0 to 1, to the nearest of 256 levels.
    lungs : (rows, columns, 2) bool
        Right and left.
    """
    activation, numbers = (np.asarray(Image.open(BytesIO(png))) for png in (maps.activation, maps.lungs))
    lungs = np.stack([numbers == 1, numbers == 2], axis=-1)
    return activation.astype(np.float32) / 255, lungs


def _png(levels: np.ndarray) -> bytes:
    written = BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(written, "PNG")
    return written.getvalue()
