"""Readings with invented scores, for tests of what is made of a reading."""

import numpy as np

from model.activation import Inside
from model.findings import ModelVersion, Reading, StepScores, decide
from model.lungs import lungs_of
from model.weights import VERSIONS, read_cascade, read_recipe

_SHIPPED = VERSIONS / "gao-2020"
CASCADE = read_cascade(_SHIPPED, read_recipe(_SHIPPED))
STEP1_LABELS, STEP2_LABELS = CASCADE.labels(1), CASCADE.labels(2)
MODEL = ModelVersion(
    "example-1", "0.0.0", "lungs-0 0.0.0", "0123456789ab" + "0" * 52, "class activation mapping", (8, 8),
    CASCADE,
)  # fmt: skip

MOSTLY_INSIDE = Inside(0.3, 0.62)


def blob(row: float = 4.0, column: float = 6.0) -> np.ndarray:
    """An activation with one place, (8, 8) float32, 0 to 1."""
    y, x = np.mgrid[0:8, 0:8]
    return np.exp(-((x - column) ** 2 + (y - row) ** 2) / 2).astype(np.float32)


def two_lungs() -> np.ndarray:
    """Fields of a right and a left lung, (96, 96, 2) float32, soft at their edges."""
    y, x = np.mgrid[0:96, 0:96]
    each = [np.hypot((x - column) / 16, (y - 50) / 34) for column in (28, 68)]
    return np.stack([1 / (1 + np.exp(12 * (distance - 1))) for distance in each], axis=-1).astype(np.float32)


def make_reading(
    step1: tuple[float, ...],
    step2: tuple[float, ...] | None = None,
    activation: np.ndarray | None = None,
    model: ModelVersion = MODEL,
    inside: Inside = MOSTLY_INSIDE,
    unlike_training: bool = False,
) -> Reading:
    """A reading as the cascade decides it, thresholds 0.6; the share of the activation inside is invented."""
    first = StepScores(STEP1_LABELS, step1, 0.6)
    second = StepScores(STEP2_LABELS, step2, 0.6) if step2 else None
    plain = decide(first, second)
    step, label = (2, str(plain)) if plain in STEP2_LABELS else (1, first.leading)
    decision = decide(
        first,
        second,
        outside_lungs=label != "normal" and inside.both < 0.6,
        unlike_training=unlike_training,
    )
    activation = blob() if activation is None else activation
    return Reading(
        model,
        first,
        second,
        decision,
        label,
        step,
        activation,
        lungs_of(two_lungs()),
        inside,
        least_inside=0.6,
    )


def normal() -> Reading:
    return make_reading((0.934, 0.062, 0.004))


def bacterial() -> Reading:
    return make_reading((0.11, 0.71, 0.18))


def viral() -> Reading:
    return make_reading((0.1, 0.12, 0.78), (0.2, 0.45, 0.35))


def covid() -> Reading:
    return make_reading((0.04, 0.18, 0.78), (0.06, 0.84, 0.10))


def other_virus() -> Reading:
    return make_reading((0.05, 0.14, 0.81), (0.07, 0.2, 0.73))


def below_threshold() -> Reading:
    return make_reading((0.21, 0.32, 0.47), (0.3, 0.41, 0.29))


def steps_disagree() -> Reading:
    return make_reading((0.2, 0.16, 0.64), (0.71, 0.2, 0.09))


def unlike_training() -> Reading:
    return make_reading((0.04, 0.18, 0.78), (0.06, 0.84, 0.10), unlike_training=True)


def outside_lungs() -> Reading:
    return make_reading((0.09, 0.23, 0.68), (0.12, 0.67, 0.21), blob(0.5, 7.0), inside=Inside(0.25, 0.1))


ALL = {
    reading.__name__: reading
    for reading in (
        normal,
        bacterial,
        viral,
        covid,
        other_virus,
        below_threshold,
        steps_disagree,
        unlike_training,
        outside_lungs,
    )
}
