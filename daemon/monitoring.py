"""Are the scores still what they were? Counts by day against a reference, overall and by sender."""

import dataclasses
import datetime
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from daemon.config import Monitoring
from daemon.drift import Share, stability_index, wilson
from storage import monitoring
from storage.database import Connection

TREND_DAYS = 30
STEADY = 0.1
DAY = datetime.timedelta(days=1)
PARTS: dict[str, str] = {
    "sender": "calling_ae_title",
    "manufacturer": "manufacturer",
    "view": "view_position",
}


@dataclasses.dataclass(frozen=True)
class Window:
    """Days, both included, and the films of one model version that were read on them."""

    first: datetime.date
    last: datetime.date
    films: int
    scores: list[int]
    flagged: Share


@dataclasses.dataclass(frozen=True)
class Shift:
    """How far the scores of some films have moved.

    Parameters
    ----------
    name : str
        Of the sender; empty for all films.
    films : int
        Read in the window.
    index : float or None
        Population stability index; None where window or reference have too few films.
    trend : list of float or None
        The index as of each of the last `TREND_DAYS` days, oldest first.
    alert_since : date or None
        From when on it has been above the limit without a break, as far as the trend goes.
    flagged, flagged_before : Share
        Of the films read, those said to show pneumonia of some kind; in the window and in the reference.
    """

    name: str
    films: int
    index: float | None
    trend: list[float | None]
    alert_since: datetime.date | None
    flagged: Share
    flagged_before: Share


@dataclasses.dataclass(frozen=True)
class Refusals:
    """Films of a sender, manufacturer or view that were not analysed, in the window and in the reference."""

    part: str
    name: str
    films: int
    refused: Share
    refused_before: Share
    reasons: list[tuple[str, int]]
    trend: list[float | None]


@dataclasses.dataclass(frozen=True)
class Report:
    """What `report` finds; the reference is None until there are days for one."""

    version: str
    since: datetime.date
    window: Window
    reference: Window | None
    overall: Shift
    senders: list[Shift]
    refusals: list[Refusals]

    @property
    def alerts(self) -> list[Shift]:
        """What a person is to look at."""
        return [one for one in (self.overall, *self.senders) if one.alert_since is not None]


class _Days:
    """Counts of films by day; sums over days."""

    def __init__(self) -> None:
        self.scores: dict[datetime.date, list[int]] = {}
        self.films: Counter[datetime.date] = Counter()
        self.part: Counter[datetime.date] = Counter()

    def add(self, day: datetime.date, films: int, part: int, scores: Sequence[int] = ()) -> None:
        self.films[day] += films
        self.part[day] += part
        if scores:
            known = self.scores.get(day, [0] * len(scores))
            self.scores[day] = [one + two for one, two in zip(known, scores, strict=True)]

    def sum_scores(self, first: datetime.date, last: datetime.date) -> list[int]:
        chosen = [scores for day, scores in self.scores.items() if first <= day <= last]
        return [sum(cell) for cell in zip(*chosen, strict=True)] if chosen else [0] * monitoring.CELLS

    def share(self, first: datetime.date, last: datetime.date) -> Share:
        days = [day for day in self.films if first <= day <= last]
        return wilson(sum(self.part[day] for day in days), sum(self.films[day] for day in days))

    def number(self, first: datetime.date, last: datetime.date) -> int:
        return sum(films for day, films in self.films.items() if first <= day <= last)


def report(connection: Connection, settings: Monitoring, today: datetime.date) -> Report | None:
    """Scores and refusals of the last days against the reference; None while nothing was read.

    Parameters
    ----------
    connection : Connection
    settings : Monitoring
    today : datetime.date
        UTC.
    """
    versions = monitoring.versions(connection)
    if not versions:
        return None
    version = max(versions, key=lambda one: (versions[one][1], versions[one][0]))
    begin = today - (settings.window_days - 1) * DAY
    span = reference_days(settings, versions[version][0], begin)
    trend_from = begin - TREND_DAYS * DAY
    rows = monitoring.histogram(connection, trend_from, today)
    if span is not None:
        last = min(span[1], trend_from - DAY)
        rows += monitoring.histogram(connection, span[0], last) if span[0] <= last else []
        # A reference that somebody chose may reach into the days of the trend, which have been read.
    everyone, senders = _scores([row for row in rows if row.version == version])
    compare = _Comparison(settings, begin, today, span)
    return Report(
        version,
        versions[version][0],
        compare.window(everyone, begin, today),
        compare.window(everyone, *span) if span else None,
        compare.shift("", everyone),
        sorted(
            (one for one in (compare.shift(*item) for item in senders.items()) if one.films),
            key=lambda one: -one.films,
        ),
        list(_refusals(rows, begin, today, span)),
    )


def reference_days(
    settings: Monitoring, first: datetime.date, window_begin: datetime.date
) -> tuple[datetime.date, datetime.date] | None:
    """First and last day of the reference; None where the version has not read for longer than the window."""
    if settings.reference_from:
        return (
            datetime.date.fromisoformat(settings.reference_from),
            datetime.date.fromisoformat(settings.reference_to),
        )
    last = min(first + (settings.reference_days - 1) * DAY, window_begin - DAY)
    return (first, last) if last >= first else None


def _scores(rows: Iterable[Any]) -> tuple[_Days, dict[str, _Days]]:
    everyone, senders = _Days(), defaultdict[str, _Days](_Days)
    for row in rows:
        for days in (everyone, senders[row.calling_ae_title]):
            days.add(row.day, row.films, row.flagged, row.scores)
    return everyone, senders


class _Comparison:
    def __init__(
        self,
        settings: Monitoring,
        begin: datetime.date,
        today: datetime.date,
        span: tuple[datetime.date, datetime.date] | None,
    ) -> None:
        self._settings = settings
        self._begin = begin
        self._today = today
        self._span = span

    def window(self, days: _Days, first: datetime.date, last: datetime.date) -> Window:
        scores = days.sum_scores(first, last)
        return Window(first, last, sum(scores), scores, days.share(first, last))

    def shift(self, name: str, days: _Days) -> Shift:
        before = days.sum_scores(*self._span) if self._span else [0] * monitoring.CELLS
        trend = []
        for back in reversed(range(TREND_DAYS)):
            found = days.sum_scores(self._begin - back * DAY, self._today - back * DAY)
            enough = min(sum(before), sum(found)) >= self._settings.least_films
            trend.append(stability_index(before, found) if enough else None)
        above = 0
        while above < len(trend) and (trend[-1 - above] or 0.0) > self._settings.psi_alert:
            above += 1
        return Shift(
            name,
            days.number(self._begin, self._today),
            trend[-1],
            trend,
            self._today - (above - 1) * DAY if above else None,
            days.share(self._begin, self._today),
            days.share(*self._span) if self._span else wilson(0, 0),
        )


def _refusals(
    rows: Sequence[Any],
    begin: datetime.date,
    today: datetime.date,
    span: tuple[datetime.date, datetime.date] | None,
) -> Iterable[Refusals]:
    for part, column in PARTS.items():
        by_name: defaultdict[str, _Days] = defaultdict(_Days)
        reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            name = getattr(row, column)
            by_name[name].add(row.day, row.films, row.films if row.reason else 0)
            if row.reason and row.day >= begin:
                reasons[name][row.reason] += row.films
        for name, days in sorted(by_name.items(), key=_busiest(begin, today)):
            films = days.number(begin, today)
            if films:
                week = [
                    days.share(today - (back + 6) * DAY, today - back * DAY).value
                    for back in reversed(range(TREND_DAYS))
                ]
                yield Refusals(
                    part,
                    name,
                    films,
                    days.share(begin, today),
                    days.share(*span) if span else wilson(0, 0),
                    reasons[name].most_common(),
                    [None if math.isnan(one) else one for one in week],
                )


def _busiest(begin: datetime.date, today: datetime.date) -> Callable[[tuple[str, _Days]], tuple[int, str]]:
    return lambda item: (-item[1].number(begin, today), item[0])
