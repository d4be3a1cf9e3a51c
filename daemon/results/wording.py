"""What the results say, in words and figures: one text for the picture and for the report."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

import numpy as np

from daemon.results.languages import ENGLISH, Sentences
from model.activation import Region, is_empty
from model.cascade import Cascade
from model.findings import Indeterminate, ModelVersion, Reading, StepScores, deciding
from model.scope import OutOfScope

RESEARCH_USE = ENGLISH.research_use
NOT_REVIEWED = ENGLISH.not_reviewed
COMMENT = f"{RESEARCH_USE}. {NOT_REVIEWED.capitalize()}."


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
        return str(reading.decision).capitalize()
    return f"Highest model score: {reading.decision}"


def headline_with_score(reading: Reading) -> str:
    """The one statement with its score, where there is no room for the scores of both steps."""
    if reading.decision.indeterminate:
        return headline(reading)
    step = deciding(reading.step1, reading.step2, reading.decision)
    return f"{headline(reading)} {score_text(step.leading_score, step.threshold)}"


def subline(reading: Reading) -> str:
    """The scores, or the share inside the lungs, that the headline rests on."""
    step1, step2, decision = reading.step1, reading.step2, reading.decision
    if decision == Indeterminate.OUTSIDE_LUNGS:
        return _outside(reading)
    if decision == Indeterminate.BELOW_THRESHOLD:
        return f"step 1: highest score is {_leading(step1)}, threshold {threshold_text(step1.threshold)}"
    if not reading.cascade.after:
        return f"{_leading(step1)},  threshold {threshold_text(step1.threshold)}"
    if step2 is None:
        return f"step 1: {_leading(step1)},  step 2 not run"
    if decision == reading.cascade.after:
        return f"step 1: {_leading(step1)},  step 2 below its threshold"
    return f"step 1: {_leading(step1)},  step 2: {_leading(step2)}"


def step2_not_run(cascade: Cascade) -> str:
    """Why step 2 of a version that has one was not run."""
    return f"not run: {cascade.after} does not lead step 1"


def refusal_head(refusal: OutOfScope) -> tuple[str, str]:
    """Headline and subline for a film that is not read."""
    found = f"found: {refusal.found},  expected: {refusal.expected}"
    return f"Not analysed: {refusal.reason}", plain(found)


def refusal_summary(
    refusal: OutOfScope, model: ModelVersion, language: Sentences = ENGLISH, retrospective: bool = False
) -> tuple[str, ...]:
    """The *Summary* of the report on a film that is not read; what was found and expected stays as it is."""
    reason = language.reasons[refusal.code]
    found, expected = plain(refusal.found), plain(refusal.expected)
    return (
        language.not_analysed.format(reason=reason, found=found, expected=expected),
        _model(model, language),
        *_occasion(retrospective, language),
    )


def plain(text: str) -> str:
    """Text in ASCII: values of a header stand in it, in whatever letters."""
    return text.encode("ascii", "replace").decode("ascii")


def has_region(reading: Reading) -> bool:
    """Whether there is a place to point at: an absence has none, an empty activation has none.

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
    return not is_empty(reading.activation) and reading.points_at_a_place


def region_of(reading: Reading, rows: int, columns: int) -> Region | None:
    """What to outline on a film of so many rows and columns; None where `has_region` is false."""
    return reading.place.outlined(rows, columns) if has_region(reading) else None


def place_of(reading: Reading) -> np.ndarray | None:
    """What `region_of` outlines, (lung_rows, lung_columns) bool; None where `has_region` is false."""
    return reading.place.mask if has_region(reading) else None


def activation_source(reading: Reading) -> str:
    """Whose activation is given."""
    return f"{reading.activation_label} (step {reading.activation_step})"


def grid_text(reading: Reading) -> str:
    """How coarse the activation is: no contour is finer than its cells."""
    rows, columns = reading.model.cells
    return f"from {columns} x {rows} cells"


def shown(model: ModelVersion) -> str:
    """What is drawn on a film, in a few words."""
    return "Lungs and class activation" if model.lungs else "Class activation"


def lungs_texts(model: ModelVersion, least_inside: float) -> tuple[str, ...]:
    """Who found the lungs, and how much must lie inside them; nothing where none are looked for."""
    if not model.lungs:
        return ()
    return f"lungs found by {model.lungs}", f"inside lungs at least {threshold_text(least_inside)} %"


def model_text(model: ModelVersion) -> str:
    """Model, version and the first twelve digits of the weights' digest."""
    return f"version {model.version}, weights sha256 {model.weights_sha256[:12]}"


def summary(reading: Reading, language: Sentences = ENGLISH, retrospective: bool = False) -> tuple[str, ...]:
    """The report's *Summary*: full sentences, so that it reads well where a viewer drops the line ends."""
    model = reading.model
    return (
        _statement(reading, language),
        *_steps(reading, language),
        _activation(reading, language),
        language.not_probability,
        _model(model, language),
        *_occasion(retrospective, language),
    )


def _occasion(retrospective: bool, language: Sentences) -> tuple[str, ...]:
    return (language.retrospective,) if retrospective else ()


def _model(model: ModelVersion, language: Sentences) -> str:
    return language.model.format(name=model.name, version=model.version, weights=model.weights_sha256[:12])


def _statement(reading: Reading, language: Sentences) -> str:
    """The first line of the Summary."""
    decision = reading.decision
    if decision.indeterminate:
        return language.indeterminate.format(why=_why_indeterminate(reading, language))
    line = language.highest.format(label=_word(reading, decision, language))
    if decision == reading.cascade.after and reading.step2:
        line += f" {language.step2_below}"
    return line


def _why_indeterminate(reading: Reading, language: Sentences) -> str:
    step1, decision = reading.step1, reading.decision
    if decision == Indeterminate.BELOW_THRESHOLD:
        return language.below_threshold.format(
            label=_word(reading, step1.leading, language),
            score=score_text(step1.leading_score, step1.threshold),
            threshold=threshold_text(step1.threshold),
        )
    if decision == Indeterminate.OUTSIDE_LUNGS:
        return _outside(reading, language)
    if decision == Indeterminate.UNLIKE_TRAINING:
        return language.unlike_training
    return language.steps_disagree.format(
        label=_word(reading, step1.leading, language), other=_word(reading, reading.step2.leading, language)
    )


def _word(reading: Reading, label: str, language: Sentences) -> str:
    """A label in a language."""
    return reading.cascade.label(label).word(language.code.value)


def _steps(reading: Reading, language: Sentences) -> tuple[str, ...]:
    """A line for each step that the model has."""
    first = _step(1, reading, reading.step1, language)
    if reading.step2:
        return first, _step(2, reading, reading.step2, language)
    after = reading.cascade.after
    return (
        (first, language.step2_not_run.format(label=_word(reading, after, language))) if after else (first,)
    )


def _step(number: int, reading: Reading, step: StepScores, language: Sentences) -> str:
    """All scores of one step."""
    scores = ", ".join(
        f"{_word(reading, label, language)} {score_text(score, step.threshold)}"
        for label, score in zip(step.labels, step.scores, strict=True)
    )
    return language.step.format(number=number, threshold=threshold_text(step.threshold), scores=scores)


def _outside(reading: Reading, language: Sentences = ENGLISH) -> str:
    """How little of the activation lies inside the lungs, and how much would be needed."""
    least = reading.least_inside
    return language.outside_lungs.format(
        share=share_text(reading.inside.both, least), threshold=threshold_text(least)
    )


def _activation(reading: Reading, language: Sentences) -> str:
    """Where the model looked."""
    if not reading.points_at_a_place:
        return language.no_region.format(label=_word(reading, reading.activation_label, language))
    if not has_region(reading):
        return language.empty
    rows, columns = reading.model.cells
    said = language.activation.format(
        label=_word(reading, reading.activation_label, language),
        number=reading.activation_step,
        columns=columns,
        rows=rows,
    )
    inside, least = reading.inside, reading.least_inside
    if inside is None:
        return said
    in_lungs = language.in_lungs.format(
        share=share_text(inside.both, least),
        threshold=threshold_text(least),
        right=share_text(inside.right),
        left=share_text(inside.left),
        region=language.regions[reading.place.side],
    )
    return f"{in_lungs} {said}"


def _leading(step: StepScores) -> str:
    return f"{step.leading} {score_text(step.leading_score, step.threshold)}"


def _percent(share: float) -> Decimal:
    """Exact in decimals: 0.596 * 100 in binary is a little less than 59.6."""
    return Decimal(repr(float(share))) * 100
