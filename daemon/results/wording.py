"""What the results say, in words and figures: one text for the picture and for the report."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

import numpy as np

from model.activation import Region, is_empty, main_region
from model.findings import Decision, ModelVersion, Reading, StepScores

RESEARCH_USE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
NOT_REVIEWED = "machine output, not reviewed by a person"
STEP2_NOT_RUN = "not run: viral does not lead step 1"


def rounded_percent(share: float, threshold: float = 0.0) -> Decimal:
    """A score or a share as it is shown: 0 to 100, whole, half up.

    Where the whole number would lie on the other side of the threshold than the value itself, one decimal,
    towards the value's own side: 0.5996 at 0.6 is 59.9.

    Parameters
    ----------
    share, threshold : float
        0 to 1.

    Returns
    -------
    Decimal
        0 to 100, ready for *Numeric Value*.
    """
    percent, limit = _percent(share), _percent(threshold)
    whole = percent.quantize(Decimal(1), ROUND_HALF_UP)
    if (whole >= limit) == (percent >= limit):
        return whole
    return percent.quantize(Decimal("0.1"), ROUND_CEILING if percent >= limit else ROUND_FLOOR)


def score_text(score: float, threshold: float) -> str:
    """A score in words: as `rounded_percent`, but ``<1`` and ``>99`` instead of 0 and 100."""
    rounded = rounded_percent(score, threshold)
    if rounded <= 0:
        return "<1"
    return ">99" if rounded >= 100 else str(rounded)


def share_text(share: float, threshold: float = 0.0) -> str:
    """A true share in words: as `rounded_percent`, in per cent, with 0 and 100."""
    return f"{rounded_percent(share, threshold)} %"


def threshold_text(threshold: float) -> str:
    """A threshold from 0 to 100, with the decimals it has: ``60``, ``62.5``."""
    return f"{_percent(threshold).normalize():f}"


def headline(reading: Reading) -> str:
    """The one statement, for the top of the picture."""
    if reading.decision.indeterminate:
        return reading.decision.value.capitalize()
    return f"Highest model score: {reading.decision}"


def subline(reading: Reading) -> str:
    """The scores, or the share inside the lungs, that the headline rests on."""
    step1, step2, decision = reading.step1, reading.step2, reading.decision
    if decision is Decision.OUTSIDE_LUNGS:
        return _outside(reading)
    if decision is Decision.BELOW_THRESHOLD:
        return f"step 1: highest score is {_leading(step1)}, threshold {threshold_text(step1.threshold)}"
    if step2 is None:
        return f"step 1: {_leading(step1)},  step 2 not run"
    if decision is Decision.VIRAL:
        return f"step 1: {_leading(step1)},  step 2 below its threshold"
    return f"step 1: {_leading(step1)},  step 2: {_leading(step2)}"


def has_region(reading: Reading) -> bool:
    """Whether there is a place to point at: normal has none, an empty activation has none.

    Parameters
    ----------
    reading : Reading

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If the activation holds a NaN or an infinite value, also where it is not shown.
    """
    return not is_empty(reading.activation) and reading.activation_label != "normal"


def region_of(reading: Reading, rows: int, columns: int) -> Region:
    """The place that a reading points at; of one that points outside the lungs, that place and no lung.

    Parameters
    ----------
    reading : Reading
        Of which `has_region` is true.
    rows, columns : int
        Matrix of the film, pixels.
    """
    outside = reading.decision is Decision.OUTSIDE_LUNGS
    lungs = np.zeros_like(reading.lungs) if outside else reading.lungs
    return main_region(reading.activation, lungs, rows, columns)


def activation_source(reading: Reading) -> str:
    """Whose activation is given."""
    return f"{reading.activation_label} (step {reading.activation_step})"


def grid_text(reading: Reading) -> str:
    """How coarse the activation is: no contour is finer than its cells."""
    rows, columns = reading.model.cells
    return f"from {columns} x {rows} cells"


def model_text(model: ModelVersion) -> str:
    """Model, version and the first twelve digits of the weights' digest."""
    return f"version {model.version}, weights sha256 {model.weights_sha256[:12]}"


def summary(reading: Reading) -> tuple[str, ...]:
    """The report's *Summary*: full sentences, so that it reads well where a viewer drops the line ends."""
    model = reading.model
    return (
        _statement(reading),
        f"Step 1, {_step(reading.step1)}",
        f"Step 2, {_step(reading.step2)}"
        if reading.step2
        else "Step 2: not run, viral does not lead step 1.",
        _activation(reading),
        "A model score is not a probability.",
        f"Model {model.name}, {model_text(model)}.",
    )


def _statement(reading: Reading) -> str:
    """The first line of the Summary."""
    step1, decision = reading.step1, reading.decision
    if decision is Decision.BELOW_THRESHOLD:
        limit = threshold_text(step1.threshold)
        return f"Indeterminate: the highest model score, {_leading(step1)}, is below the threshold {limit}."
    if decision is Decision.OUTSIDE_LUNGS:
        return f"Indeterminate: {_outside(reading)}."
    if decision is Decision.STEPS_DISAGREE:
        return "Indeterminate: step 1 leads to viral, step 2 to not viral."
    if decision is Decision.UNLIKE_TRAINING:
        return "Indeterminate: the film is unlike the films the model was trained on."
    line = f"Highest model score: {decision}."
    if decision is Decision.VIRAL and reading.step2:
        line += " Step 2 is below its threshold."
    return line


def _step(step: StepScores) -> str:
    """All scores of one step."""
    scores = ", ".join(
        f"{label} {score_text(score, step.threshold)}"
        for label, score in zip(step.labels, step.scores, strict=True)
    )
    return f"model score 0 to 100, threshold {threshold_text(step.threshold)}: {scores}."


def _outside(reading: Reading) -> str:
    """How little of the activation lies inside the lungs, and how much would be needed."""
    least = reading.least_inside
    share = share_text(reading.inside.both, least)
    return f"{share} of the activation lies inside the lungs, threshold {threshold_text(least)} %"


def _activation(reading: Reading) -> str:
    """Where the model looked."""
    if reading.activation_label == "normal":
        return "Activation: not shown, normal has no region."
    if not has_region(reading):
        return "Activation: empty, no region."
    inside, least = reading.inside, reading.least_inside
    side = region_of(reading, *reading.lungs.shape[:2]).side
    both, limit = share_text(inside.both, least), threshold_text(least)
    return (
        f"Activation inside the lungs: {both}, threshold {limit} %. "
        f"Right lung: {share_text(inside.right)}, left lung: {share_text(inside.left)}. "
        f"Main region: {f'{side} lung' if side else 'outside the lungs'}. "
        f"Activation for {activation_source(reading)}, {grid_text(reading)}."
    )


def _leading(step: StepScores) -> str:
    return f"{step.leading} {score_text(step.leading_score, step.threshold)}"


def _percent(share: float) -> Decimal:
    """Exact in decimals: 0.596 * 100 in binary is a little less than 59.6."""
    return Decimal(repr(float(share))) * 100
