"""Scores and refusals by day, sender, manufacturer and view: kept as counts, read as counts."""

import dataclasses
import datetime
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, select, update

from storage import database
from storage.states import FilmState, Opinion
from storage.tables import event, film, score_histogram, score_histogram_progress, verdict

CELLS = 20
# Events looked at in one transaction: of one to two thousand films.
BATCH = 10_000
# Transactions on PostgreSQL may commit in another order than they took their numbers.
OVERLAP = 1000
ENDS = (FilmState.READ, FilmState.SKIPPED, FilmState.FAILED)


@dataclasses.dataclass(frozen=True)
class Group:
    """What films are told apart by; the key of `score_histogram`."""

    day: datetime.date
    calling_ae_title: str
    manufacturer: str
    view_position: str
    version: str
    reason: str


@dataclasses.dataclass
class Count:
    """Films of a group: how many, how many of them flagged, and how many in each cell of the score."""

    films: int = 0
    flagged: int = 0
    scores: list[int] = dataclasses.field(default_factory=lambda: [0] * CELLS)


def count_new(engine: Engine) -> bool:
    """Count the films that came to an end since the last call; whether there are more of them.

    A day on which a film moved is counted anew as a whole, so that a film that is read again counts once.

    Returns
    -------
    bool
        One call looks at `BATCH` events.
    """
    with engine.begin() as connection:
        done = connection.execute(select(score_histogram_progress.c.event_id).with_for_update()).scalar_one()
        newest = connection.execute(select(func.max(event.c.id))).scalar() or 0
        if newest <= done:
            return False
        events = (
            select(event.c.id, event.c.film_id, event.c.to_state)
            .where(event.c.id > done - OVERLAP, event.c.delivery_id.is_(None))
            .order_by(event.c.id)
            .limit(BATCH)
        ).subquery()
        last, looked_at = connection.execute(select(func.max(events.c.id), func.count(events.c.id))).one()
        received = connection.scalars(
            select(film.c.received_at)
            .join(events, events.c.film_id == film.c.id)
            .where(events.c.to_state.in_([*ENDS, FilmState.QUEUED]))
            .distinct()
        )
        for day in sorted({at.date() for at in received}):
            _count_day(connection, day)
        has_more = looked_at == BATCH and last > done
        connection.execute(update(score_histogram_progress).values(event_id=last if has_more else newest))
    return has_more


def _count_day(connection: Connection, day: datetime.date) -> None:
    begin = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    rows = connection.execute(
        select(
            film.c.calling_ae_title,
            film.c.manufacturer,
            film.c.view_position,
            film.c.state,
            film.c.reason,
            film.c.decision,
            film.c.reading["model"].as_string().label("model"),
            film.c.reading["version"].as_string().label("version"),
            film.c.reading["step1"].label("step1"),
        ).where(
            film.c.received_at >= begin,
            film.c.received_at < begin + datetime.timedelta(days=1),
            film.c.state.in_(ENDS),
        )
    )
    counts: defaultdict[Group, Count] = defaultdict(Count)
    for row in rows:
        is_read = row.state == FilmState.READ
        count = counts[
            Group(
                day,
                row.calling_ae_title,
                row.manufacturer,
                row.view_position,
                f"{row.model or ''} {row.version or ''}".strip() if is_read else "",
                "" if is_read else reason_code(row.state, row.reason),
            )
        ]
        count.films += 1
        if is_read:
            # The first label of step 1 is the absence of a finding.
            absence, score = next(iter(row.step1.items())) if row.step1 else (None, None)
            count.flagged += row.decision != absence and not row.decision.startswith("indeterminate")
            if score is not None:
                count.scores[min(CELLS - 1, int((1 - score) * CELLS))] += 1
    connection.execute(delete(score_histogram).where(score_histogram.c.day == day))
    if counts:
        connection.execute(
            score_histogram.insert(),
            [dataclasses.asdict(group) | dataclasses.asdict(count) for group, count in counts.items()],
        )


def reason_code(state: str, reason: str) -> str:
    """The code that a reason begins with; of one that begins with none, the state."""
    code = reason.partition(":")[0]
    return code if code.isidentifier() and code.isupper() and len(code) <= 32 else str(state)


def histogram(connection: Connection, first: datetime.date, last: datetime.date) -> list[Row[Any]]:
    """Counts of the films received from `first` to `last`, both included."""
    return list(connection.execute(select(score_histogram).where(score_histogram.c.day.between(first, last))))


def versions(connection: Connection) -> dict[str, tuple[datetime.date, datetime.date]]:
    """First and last day of each model version that has read."""
    rows = connection.execute(
        select(score_histogram.c.version, func.min(score_histogram.c.day), func.max(score_histogram.c.day))
        .where(score_histogram.c.version != "")
        .group_by(score_histogram.c.version)
    )
    return {version: (first, last) for version, first, last in rows}


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What readers said of one model version, the newest word on each film."""

    version: str
    agree: int
    disagree: int
    unsure: int
    other_finding: int


def agreement(engine: Engine, since: datetime.datetime) -> list[Agreement]:
    """What readers said since a time, by model version."""
    newest = (
        select(func.max(verdict.c.id).label("id")).where(verdict.c.at >= since).group_by(verdict.c.film_id)
    ).subquery()
    with database.reading(engine) as connection:
        rows = connection.execute(
            select(verdict.c.version, verdict.c.opinion, verdict.c.finding, func.count())
            .join(newest, newest.c.id == verdict.c.id)
            .group_by(verdict.c.version, verdict.c.opinion, verdict.c.finding)
        ).all()
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for version, opinion, finding, films in rows:
        said[version][opinion] += films
        if opinion == Opinion.DISAGREE and finding == "other finding":
            said[version]["other finding"] += films
    return [
        Agreement(
            version,
            of[Opinion.AGREE],
            of[Opinion.DISAGREE],
            of[Opinion.UNSURE],
            of["other finding"],
        )
        for version, of in sorted(said.items())
    ]
