"""Is it one upright frontal chest with both lungs? What the picture says; `model.scope` asks the header."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from model.lungs import SIDES, Found, LungFinder
from model.pixels import FEWEST_LEVELS
from model.scope import OutOfScope

EITHER = 0.5  # probability from which a film counts as a negative


def check_contrast(display: np.ndarray) -> None:
    """Refuse a picture on which nothing is seen.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0.

    Raises
    ------
    OutOfScope
        BLANK.
    """
    # The percentiles, in straight lines between ranks, without sorting a million pixels.
    up_to = np.cumsum(Image.fromarray(display).histogram())
    ranks = np.array([0.01, 0.99]) * (display.size - 1)
    below, above = (np.searchsorted(up_to, whole(ranks), side="right") for whole in (np.floor, np.ceil))
    dark, bright = below + (above - below) * (ranks % 1)
    if bright - dark < FEWEST_LEVELS:
        raise OutOfScope("BLANK", f"{bright - dark:.0f} grey levels", f"{FEWEST_LEVELS} or more")


def refusals(finder: LungFinder, inputs: np.ndarray, found: Sequence[Found]) -> list[OutOfScope | None]:
    """Judge films by what the lung network sees in them.

    A film that seems turned or negative is put right and looked at again: only if it is a chest with two
    lungs then, it was a chest turned or inverted; else it is none. A mirrored film cannot be told from one of
    a patient whose organs lie the other way round, and is not refused.

    Parameters
    ----------
    finder : LungFinder
        Its recipe's table ``[gate]`` holds the limits: least_chest, probability of a chest, and least_lung,
        share of the film that each lung covers.
    inputs : (n, size, size, 1) float32
        The films, as `LungFinder.find` takes them.
    found : sequence of Found
        What `finder` found in them.

    Returns
    -------
    list of OutOfScope or None
        ROTATED, POLARITY_INVERTED, NOT_PLAUSIBLE or LUNGS_MISSING; None where the film is to be read.
    """
    limits = finder.version.recipe["gate"]
    suspect = [i for i, of in enumerate(found) if of.lies or of.negative >= EITHER]
    righted = finder.find(np.stack([_righted(inputs[i], found[i]) for i in suspect])) if suspect else []
    second = dict(zip(suspect, righted, strict=True))
    return [_refusal(of, second.get(i), limits) for i, of in enumerate(found)]


def _righted(film: np.ndarray, found: Found) -> np.ndarray:
    """A film as it would have looked upright and positive."""
    upright = np.rot90(film, -found.lies // 90)
    return 1 - upright if found.negative >= EITHER else upright


def _refusal(found: Found, righted: Found | None, limits: Mapping[str, float]) -> OutOfScope | None:
    chest, areas = (righted or found).chest, _areas(righted or found)
    missing = [side for side, area in areas.items() if area < limits["least_lung"]]
    if chest < limits["least_chest"] or len(missing) == len(areas) or (righted and missing):
        seen = f"a chest by {chest:.2f} of 1" if chest < limits["least_chest"] else "no two lungs"
        return OutOfScope("NOT_PLAUSIBLE", seen, f"two lungs and a chest by {limits['least_chest']:g}")
    if righted and found.lies:
        return OutOfScope("ROTATED", f"a chest turned by {found.lies} degrees", "an upright film")
    if righted:
        return OutOfScope("POLARITY_INVERTED", "a negative", "lungs darker than the spine")
    if missing:
        (side,) = missing
        return OutOfScope(
            "LUNGS_MISSING",
            f"{side} lung on {100 * areas[side]:.1f} % of the film",
            f"both lungs, each on {100 * limits['least_lung']:g} % or more",
        )
    return None


def _areas(found: Found) -> dict[str, float]:
    """Share of the film that each lung covers."""
    lungs = np.moveaxis(found.lungs, -1, 0)
    return {side: np.count_nonzero(lung) / lung.size for side, lung in zip(SIDES, lungs, strict=True)}
