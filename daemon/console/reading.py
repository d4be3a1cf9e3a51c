"""A reading, or why there is none, in the words and figures of the results, for pages."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from daemon.config import Model
from daemon.console.signs import OF_THE_PICTURE
from daemon.results import maps, wording
from daemon.results.kept import ThresholdsUnknown, cascade_of, installed_cascade, kept
from daemon.results.panel import MODEL_SCORE
from model.activation import Inside
from model.cascade import Cascade
from model.findings import Decision, ModelVersion, Reading, StepScores, deciding
from model.scope import REFUSALS, OutOfScope
from storage.film_maps import FilmMap
from storage.states import FilmState
from storage.verdicts import OTHER_FINDING

_NOT_ASSESSED = "Nodules, effusion, pneumothorax, fractures and lines"
_UNKNOWN = 0.0  # threshold of a version that is no longer installed


@dataclasses.dataclass(frozen=True)
class Bar:
    """One score: its length is `percent` of the whole."""

    label: str
    figure: str
    percent: float
    leads: bool


@dataclasses.dataclass(frozen=True)
class Step:
    """Scores of a step; without bars it was not run."""

    number: int
    note: str
    bars: tuple[Bar, ...] = ()
    threshold: str = ""


@dataclasses.dataclass(frozen=True)
class Looked:
    """Where the model looked, or why that is not drawn."""

    share: str
    percent: float
    threshold: str
    enough: bool
    sides: str
    caption: str
    why_not: str
    lungs: bool


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a page says of a film.

    Parameters
    ----------
    headline, subline : str
    score, threshold : str
        Of the leading possibility; empty where the reading is indeterminate.
    steps : tuple of Step
    looked : Looked or None
    is_indeterminate, refused : bool
    is_caution : bool
        Whether a person should look because the model did not answer.
    remedy : str
    model : str
    digest : str
    warnings : tuple of str
    scale : str
    """

    headline: str
    subline: str
    score: str = ""
    threshold: str = ""
    steps: tuple[Step, ...] = (Step(1, "not run"), Step(2, "not run"))
    looked: Looked | None = None
    is_indeterminate: bool = False
    is_caution: bool = False
    refused: bool = False
    remedy: str = ""
    model: str = ""
    version: str = ""
    digest: str = ""
    warnings: tuple[str, ...] = ()
    scale: str = ", ".join(MODEL_SCORE)


def of_reading(reading: Reading) -> Shown:
    """What is said of a reading; the words are those of the picture and the report."""
    indeterminate = reading.decision.indeterminate
    step = deciding(reading.step1, reading.step2, reading.decision)
    return Shown(
        headline=wording.headline(reading),
        subline=wording.subline(reading),
        score="" if indeterminate else wording.score_text(step.leading_score, step.threshold),
        threshold=_threshold(step),
        steps=_shown_steps(reading, indeterminate),
        looked=_looked(reading),
        is_indeterminate=indeterminate,
        is_caution=indeterminate,
        model=reading.model.name,
        version=reading.model.version,
        digest=reading.model.weights_sha256,
        warnings=reading.warnings,
    )


def of_film(row: Any, film_map: FilmMap | None) -> Shown:
    """What is said of a film in its state."""
    if row.state == FilmState.READ and row.reading is not None:
        return of_reading(restored(row.reading, film_map))
    if refusal := refusal_of(row.reason):
        return of_refusal(refusal)
    if row.state in (FilmState.SKIPPED, FilmState.FAILED):
        word = "failed" if row.state == FilmState.FAILED else "skipped"
        remedy = "Look at the reason; requeue the film once it is mended, or have it sent again."
        return Shown(f"Not analysed: {word}", row.reason, is_caution=True, remedy=remedy)
    waiting = "is being read" if row.state == FilmState.READING else "waits for its turn"
    return Shown("Not read yet", f"The film {waiting}.", remedy="Wait; the page shows the reading.")


def in_shadow(row: Any) -> str:
    """What a version in the shadow says of a film, in one line."""
    said = wording.headline_with_score(restored(row.reading, None))
    return f"{row.model} {row.version}: {said.removeprefix('Highest model score: ')}"


def restored(figures: Mapping[str, Any], film_map: FilmMap | None) -> Reading:
    """The reading whose figures a job row keeps.

    Without maps its activation is empty and no lung is found; the thresholds of a version that is no longer
    installed are 0.
    """
    activation, lungs = np.zeros((1, 1), np.float32), np.zeros((1, 1, 2), bool)
    decision, cells, number = Decision(figures["decision"]), (0, 0), 1
    label = str(decision)
    if film_map is not None:
        activation, lungs = maps.unpack(film_map)
        cells, label, number = (film_map.cell_rows, film_map.cell_columns), film_map.label, film_map.step
    steps, inside = _steps(figures), figures["inside_lungs"]
    return Reading(
        ModelVersion(
            figures["model"],
            figures["version"],
            "",
            figures["weights_sha256"],
            "",
            cells,
            cascade_of(figures),
        ),
        *steps,
        decision,
        label,
        number,
        activation,
        lungs,
        inside and Inside(inside["right"], inside["left"]),
        figures["least_inside"],
        tuple(figures["warnings"]),
    )


def _steps(figures: Mapping[str, Any]) -> tuple[StepScores, StepScores | None]:
    try:
        found = kept(figures)
    except ThresholdsUnknown:
        step1, step2 = figures["step1"], figures["step2"]
        return (
            StepScores(tuple(step1), tuple(step1.values()), _UNKNOWN),
            step2 and StepScores(tuple(step2), tuple(step2.values()), _UNKNOWN),
        )
    return found.step1, found.step2


def of_refusal(refusal: OutOfScope) -> Shown:
    """What is said of a film that is not read."""
    headline, subline = wording.refusal_head(refusal)
    of_picture = refusal.code in OF_THE_PICTURE
    return Shown(
        headline,
        f"rule {refusal.code},  {subline}",
        is_caution=of_picture,
        refused=True,
        remedy=(
            "Correct the film at the modality and send it again, or requeue it if the gate was wrong."
            if of_picture
            else "Nothing, if the rule is meant. Else change table [scope] of the config, and requeue."
        ),
    )


def refusal_of(reason: str) -> OutOfScope | None:
    """The refusal that a job row's reason tells of; None where it tells of something else."""
    told = re.fullmatch(r"([A-Z_0-9]+): found (.*), expected (.*)", reason, re.DOTALL)
    return OutOfScope(*told.groups()) if told and told[1] in REFUSALS else None


def findings(row: Any) -> tuple[str, ...]:
    """What a reader may see instead of what was said of a film."""
    outcomes = cascade_of(row.reading).outcomes if row.reading else ()
    return (*outcomes, OTHER_FINDING)


def points_at_a_place(row: Any, film_map: FilmMap | None) -> bool:
    """Whether the activation of a film in its state is to be drawn; an absence lies nowhere."""
    is_read = row.state == FilmState.READ and row.reading is not None
    return is_read and restored(row.reading, film_map).points_at_a_place


def not_assessed(cascade: Cascade) -> str:
    """What no answer of a version is about: what people look for on chests, or all but its own findings."""
    if cascade.findings in ((), installed_cascade(Model.version).findings):
        return _NOT_ASSESSED
    return f"Findings other than {', '.join(cascade.findings)}"


def answers(cascade: Cascade) -> str:
    """How many answers step 1 has, in a word."""
    return {2: "two", 3: "three"}.get(len(cascade.labels(1)), "few")


def _shown_steps(reading: Reading, is_unused: bool) -> tuple[Step, ...]:
    """The steps that the model has."""
    after = reading.cascade.after
    first = _step(1, reading.step1, f"{answers(reading.cascade)} possibilities", is_unused)
    if reading.step2:
        return first, _step(2, reading.step2, f"{after} leads step 1", is_unused)
    return (first, Step(2, wording.step2_not_run(reading.cascade))) if after else (first,)


def _step(number: int, step: StepScores, note: str, is_unused: bool) -> Step:
    bars = tuple(
        Bar(label, wording.score_text(score, step.threshold), 100 * score, label == step.leading)
        for label, score in zip(step.labels, step.scores, strict=True)
    )
    return Step(number, f"{note}, not used" if is_unused else note, bars, _threshold(step))


def _threshold(step: StepScores) -> str:
    return "" if step.threshold == _UNKNOWN else wording.threshold_text(step.threshold)


def _looked(reading: Reading) -> Looked | None:
    inside, least = reading.inside, reading.least_inside
    if not reading.points_at_a_place:
        label = reading.activation_label
        why_not = f"{label[:1].upper()}{label[1:]} has no place to point at."
    elif inside is None and not wording.has_region(reading):
        why_not = "The activation is empty."
    elif reading.model.cells == (0, 0):
        why_not = "This film was read by a release that kept no map. Requeue it to have one."
    else:
        why_not = ""
    source = f"Class activation for {wording.activation_source(reading)}, {wording.grid_text(reading)}"
    lungs = bool(reading.lungs.any())
    if inside is None:
        return Looked("", 0.0, "", True, "", source, why_not, lungs)
    sides = f"Right lung {wording.share_text(inside.right)}, left lung {wording.share_text(inside.left)}."
    if not why_not:
        region = wording.ENGLISH.regions[reading.place.side]
        sides += f" Main region: {region}."
    return Looked(
        wording.share_text(inside.both, least),
        100 * inside.both,
        wording.threshold_text(least),
        inside.both >= least,
        sides,
        source,
        why_not,
        lungs,
    )
