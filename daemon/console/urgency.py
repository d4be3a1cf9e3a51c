"""Films of a day in the order in which they are worth a look."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any

from daemon import config, predictive
from daemon.console import signs
from daemon.console.signs import Sign
from daemon.priority import Group, group, priority
from daemon.results.kept import Kept
from daemon.results.wording import headline, rounded_percent, score_text, share_text, subline, threshold_text
from model.cascade import Cascade
from model.findings import Indeterminate, StepScores, deciding
from storage.states import FilmState, Opinion
from storage.today import Listed

# The labels that the table [triage] knows, and what it calls them.
_NAMES = {"COVID-19": "covid19", "bacterial": "bacterial", "viral": "viral", "other virus": "other_virus"}
GROUP_SIGNS = {
    Group.LOOK_FIRST: Sign("triangle", Group.LOOK_FIRST, "urgent"),
    Group.NEEDS_A_PERSON: Sign("question", Group.NEEDS_A_PERSON, "caution"),
    Group.LOOK_SOON: Sign("diamond", Group.LOOK_SOON, "caution"),
    Group.ROUTINE: Sign("ring", Group.ROUTINE, "dim"),
}
GROUP_NOTES = {
    Group.LOOK_FIRST: "priority 60 and over",
    Group.NEEDS_A_PERSON: "the model has no usable answer, so no priority: longest wait first",
    Group.LOOK_SOON: "30 to 59",
    Group.ROUTINE: "under 30. Still to be read: the model misses disease and knows only {answers} answers",
}


@dataclasses.dataclass(frozen=True)
class Score:
    """The model score that a statement rests on.

    Parameters
    ----------
    text : str
        0 to 100, as the results show it.
    value, threshold : float
        0 to 100, for the bar and its mark.
    is_usable : bool
        False of an indeterminate reading: shown in grey.
    is_leading_disease : bool
    """

    text: str
    value: float
    threshold: float
    is_usable: bool
    is_leading_disease: bool


@dataclasses.dataclass(frozen=True)
class Worth:
    """What a class is worth at this site; the prevalence of one that table [triage] does not know is None."""

    decision: str
    severity: float
    prevalence: float | None
    rates: predictive.Rates | None
    threshold: float

    @property
    def ppv(self) -> float | None:
        if self.prevalence is None:
            return None
        found = self.rates and self.rates.predictive_values(self.prevalence)
        return found[0].value if found else None

    @property
    def ppv_text(self) -> str:
        return "n/a" if self.ppv is None else share_text(self.ppv)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of the list."""

    job: int
    group: Group
    points: int | None
    sign: Sign
    said: str
    detail: str
    score: Score | None
    worth: Worth | None
    in_lungs: Sign
    accession_number: str
    kind: str
    sender: str
    received_at: datetime.datetime
    arrived: str
    arrived_short: str
    waiting: str
    results: Sign
    verdict: Sign
    is_done: bool


def worth_of(
    settings: config.Triage, version: str, cascade: Cascade, decision: str, threshold: float
) -> Worth:
    """What `decision` of a model version is worth; the version says how urgent what [triage] knows not is."""
    name = _NAMES.get(decision)
    return Worth(
        decision,
        getattr(settings, f"severity_{name}") if name else cascade.label(decision).severity,
        getattr(settings, f"prevalence_{name}") if name else None,
        predictive.rates(version, decision),
        threshold,
    )


def table(
    settings: config.Triage, version: str, cascade: Cascade, thresholds: dict[str, float]
) -> list[Worth]:
    """Every class that something is found by, the most urgent first."""
    found = [
        worth_of(
            settings, version, cascade, one, thresholds["step2" if one in cascade.labels(2) else "step1"]
        )
        for one in cascade.findings
    ]
    return sorted(found, key=lambda one: -one.severity)


@dataclasses.dataclass(frozen=True)
class Placed:
    """One film and its place in the list.

    Parameters
    ----------
    listed : Listed
    reading : Kept or None
    worth : Worth or None
        Of what the reading says, where that is a disease.
    points : int or None
    group : Group
    waited : timedelta
        Until now, or until the verdict.
    """

    listed: Listed
    reading: Kept | None
    worth: Worth | None
    points: int | None
    group: Group
    waited: datetime.timedelta


def place(listed: Sequence[Listed], settings: config.Triage, now: datetime.datetime) -> list[Placed]:
    """The films in order; those that a rule skipped are left out."""
    found = [_place(one, settings, now) for one in listed if not signs.is_skipped_by_rule(one.film)]
    order = {group: place for place, group in enumerate(Group)}

    def key(one: Placed) -> tuple[int, bool, int, datetime.datetime]:
        # In a group what has a verdict stands last; without a number the longest wait is first.
        is_done = one.listed.verdict is not None
        return order[one.group], is_done, -(one.points or 0), one.listed.film.received_at

    return sorted(found, key=key)


def _place(one: Listed, settings: config.Triage, now: datetime.datetime) -> Placed:
    film = one.film
    reading = signs.reading_of(film) if film.state == FilmState.READ else None
    waited = (one.verdict.at if one.verdict else now) - film.received_at
    worth = points = None
    if reading and not reading.decision.indeterminate:
        step = _deciding(reading)
        if reading.decision in reading.cascade.findings:
            worth = worth_of(
                settings, film.reading["model"], reading.cascade, reading.decision, step.threshold
            )
        points = priority(worth.severity if worth else 0.0, step.leading_score, step.threshold, waited)
    return Placed(one, reading, worth, points, group(points), waited)


def entry(placed: Placed, down: Collection[str], now: datetime.datetime) -> Entry:
    """The row of a film."""
    film, verdict, reading = placed.listed.film, placed.listed.verdict, placed.reading
    said, detail = _statement(film, reading)
    return Entry(
        job=film.id,
        group=placed.group,
        points=placed.points,
        sign=_row_sign(film, placed.group, verdict is not None),
        said=said,
        detail=detail,
        score=_score(reading, _deciding(reading)) if reading else None,
        worth=placed.worth,
        in_lungs=_in_lungs(reading),
        accession_number=film.accession_number,
        kind=" ".join(filter(None, (film.modality, film.view_position))),
        sender=film.calling_ae_title,
        received_at=film.received_at,
        arrived=signs.clock(film.received_at, now),
        arrived_short=film.received_at.astimezone().strftime("%H:%M"),
        waiting=signs.duration(placed.waited),
        results=signs.results_sign(film, placed.listed.deliveries, down, now),
        verdict=_verdict(verdict),
        is_done=verdict is not None,
    )


def _deciding(reading: Kept) -> StepScores:
    """The step whose score the results show beside the statement."""
    return deciding(reading.step1, reading.step2, reading.decision)


def _score(reading: Kept, step: StepScores) -> Score:
    return Score(
        score_text(step.leading_score, step.threshold),
        float(rounded_percent(step.leading_score)),
        100 * step.threshold,
        not reading.decision.indeterminate,
        reading.decision in reading.cascade.findings,
    )


def _statement(film: Any, reading: Kept | None) -> tuple[str, str]:
    """What is said of a film, and what it rests on."""
    if reading is not None:
        said = headline(reading).removeprefix("Highest model score: ")
        return said[:1].upper() + said[1:], subline(reading).replace(",  ", ", ")
    if film.state == FilmState.FAILED:
        tries = f" after {film.attempts} tries" if film.attempts > 1 else ""
        return f"Failed{tries}", film.reason
    if film.state == FilmState.SKIPPED:
        head, _, found = signs.outcome(film).words.partition("; ")
        return head, found
    return "Read by another model", signs.outcome(film).words


def _row_sign(film: Any, placed: Group, is_done: bool) -> Sign:
    if is_done:
        return Sign("ok", "done", "dim")
    if placed is Group.NEEDS_A_PERSON and film.state != FilmState.READ:
        sign = signs.film_sign(film)
        return Sign(sign.icon, placed, sign.level)
    return GROUP_SIGNS[placed]


def _in_lungs(reading: Kept | None) -> Sign:
    if reading is None or reading.inside is None or reading.decision == reading.step1.absence:
        return Sign("", "n/a", "dim")
    outside = reading.decision == Indeterminate.OUTSIDE_LUNGS
    return Sign("", share_text(reading.inside.both, reading.least_inside), "caution" if outside else "")


def _verdict(verdict: Any) -> Sign:
    if verdict is None:
        return Sign("", "Not yet", "dim")
    at = verdict.at.astimezone().strftime("%H:%M")
    match verdict.opinion:
        case Opinion.AGREE:
            return Sign("ok", f"Agreed {at}")
        case Opinion.DISAGREE:
            return Sign("slash", "Disagreed", "", f"{at} {verdict.finding}".rstrip())
    return Sign("question", f"Unsure {at}")


def threshold(worth: Worth) -> str:
    """As the results write it, 0 to 100."""
    return threshold_text(worth.threshold)
