"""Does the picture look like a frontal chest film? A first, plain check of what the header claims."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from model.pixels import FEWEST_LEVELS
from model.scope import OutOfScope

SIZE = 32  # rows and columns of the thumbnail
COMPONENTS = 8
EIGENCHESTS = Path(__file__).with_name("eigenchests.npz")


def check_picture(display: np.ndarray) -> None:
    """Refuse a picture that is blank, negative, or no frontal chest.

    A thumbnail is compared with its projection on the first principal components of real chest films: what
    is left over, as a share of the thumbnail's contrast, is large for what is no chest. A negative is told
    by its own negative, which leaves little over.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels.

    Raises
    ------
    OutOfScope
        BLANK, POLARITY_INVERTED or NOT_PLAUSIBLE.
    """
    dark, bright = np.percentile(display, (1, 99))
    if bright - dark < FEWEST_LEVELS:
        raise OutOfScope("BLANK", f"{bright - dark:.0f} grey levels", f"{FEWEST_LEVELS} or more")
    film = thumbnails([display])
    limit = float(_eigenchests()["limit"])
    left, left_of_negative = residuals(film)[0], residuals(-film)[0]
    if left > limit >= left_of_negative:
        raise OutOfScope("POLARITY_INVERTED", "a negative", "lungs darker than the spine")
    if left > limit:
        raise OutOfScope("NOT_PLAUSIBLE", f"{left:.2f} unlike a chest", f"{limit:.2f} at most")


def thumbnails(films: list[np.ndarray]) -> np.ndarray:
    """Films as (n, 1024) float64 of mean 0 and length 1; all 0 where a film is constant."""
    grey = np.stack(
        [
            np.asarray(Image.fromarray(film).convert("F").resize((SIZE, SIZE), Image.Resampling.BOX), float)
            for film in films
        ]
    ).reshape(len(films), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    return np.divide(grey, length, out=np.zeros_like(grey), where=length > 0)


def residuals(films: np.ndarray) -> np.ndarray:
    """What the principal components leave over of each thumbnail, (n,) float64, 0 to about 2."""
    rest = films - _eigenchests()["mean"]
    components = _eigenchests()["components"]  # (COMPONENTS, SIZE * SIZE)
    return np.linalg.norm(rest - rest @ components.T @ components, axis=1)


@cache
def _eigenchests() -> dict[str, np.ndarray]:
    """Mean, components and limit that `model.training.eigenchests` made."""
    with np.load(EIGENCHESTS) as arrays:
        return dict(arrays)
