"""What a second model version says of films that the node has read, and how the two agree."""

import dataclasses
import datetime
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, exists, func, or_, select, update

from storage.states import FilmState
from storage.tables import event, film, shadow_reading

# Numbers of events are given before they are committed: one may show up behind others that were seen.
EVENTS_LOOKED_AT_AGAIN = 100


@dataclasses.dataclass(frozen=True)
class Film:
    """A film in the hand of the second version.

    Parameters
    ----------
    attempts : int
        This one included.
    """

    id: int
    spool_name: str
    attempts: int


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two versions on the same films.

    Parameters
    ----------
    main, shadow : dict
        Name, version and SHA-256 of the weights: keys ``model``, ``version`` and ``weights_sha256``.
    films : int
        Those that both have read.
    unread : int
        Those that the shadow has not read, and will not.
    kappa : float or None
        Cohen's; all that are indeterminate count as one. None where there is nothing to tell decisions from.
    main_seconds, shadow_seconds : float or None
        Median of decoding and networks for one film.
    """

    main: dict[str, str]
    shadow: dict[str, str]
    films: int
    unread: int
    kappa: float | None
    main_seconds: float | None
    shadow_seconds: float | None


@dataclasses.dataclass(frozen=True)
class Comparison(Pair):
    """What they said.

    Parameters
    ----------
    agreement : float or None
        Share of equal decisions; None of no films.
    decisions : dict of (str, str) to int
        Films by decision of main and shadow.
    scores : dict of str to list of (int, float, float)
        For each class that both know: film, score of main, score of shadow, 0 to 1; oldest film first.
    """

    agreement: float | None
    decisions: dict[tuple[str, str], int]
    scores: dict[str, list[tuple[int, float, float]]]


def last_event(connection: Connection) -> int:
    """Number of the newest event; 0 if there is none."""
    return connection.execute(select(func.coalesce(func.max(event.c.id), 0))).scalar_one()


def is_main_busy(connection: Connection) -> bool:
    """Whether a film is queued or in a reader's hand."""
    # State by state: the index then answers at once, however many films are at an end.
    return any(
        connection.execute(select(film.c.id).where(film.c.state == state).limit(1)).first()
        for state in (FilmState.READING, FilmState.QUEUED)
    )


def waiting(connection: Connection, weights_sha256: str, after: int | None = None) -> list[int]:
    """Films that were read and that a version has neither read yet nor given up.

    Films whose files are gone, and those whose results were taken back, are not among them.

    Parameters
    ----------
    weights_sha256 : str
        Of the version.
    after : int, optional
        Only films that were read since this event, or shortly before it.
    """
    ended = exists().where(
        shadow_reading.c.film_id == film.c.id,
        shadow_reading.c.weights_sha256 == weights_sha256,
        or_(shadow_reading.c.reading.is_not(None), shadow_reading.c.reason != ""),
    )
    query = select(film.c.id).where(
        film.c.state == FilmState.READ,
        film.c.files_removed_at.is_(None),
        film.c.withdrawn_at.is_(None),
        ~ended,
    )
    if after is not None:
        read = select(event.c.film_id).where(
            event.c.id > after - EVENTS_LOOKED_AT_AGAIN, event.c.to_state == FilmState.READ
        )
        query = query.where(film.c.id.in_(read))
    return list(connection.scalars(query))


def take(
    engine: Engine, job: int, model: str, version: str, weights_sha256: str, now: datetime.datetime
) -> Film:
    """Count an attempt of a version at a film before it is made, so that one that kills it cannot loop."""
    begun = and_(shadow_reading.c.film_id == job, shadow_reading.c.weights_sha256 == weights_sha256)
    with engine.begin() as connection:
        attempts = connection.execute(
            update(shadow_reading)
            .where(begun)
            .values(attempts=shadow_reading.c.attempts + 1, at=now)
            .returning(shadow_reading.c.attempts)
        ).scalar_one_or_none()
        if attempts is None:
            attempts = 1
            connection.execute(
                shadow_reading.insert().values(
                    film_id=job,
                    weights_sha256=weights_sha256,
                    model=model,
                    version=version,
                    attempts=attempts,
                    at=now,
                )
            )
        spool_name = connection.execute(select(film.c.spool_name).where(film.c.id == job)).scalar_one()
    return Film(job, spool_name, attempts)


def finish(
    engine: Engine,
    job: int,
    weights_sha256: str,
    now: datetime.datetime,
    *,
    reading: dict[str, Any] | None = None,
    seconds: float | None = None,
    reason: str = "",
) -> None:
    """Keep what a version says of a film it has taken, or the reason why it will say nothing."""
    with engine.begin() as connection:
        connection.execute(
            update(shadow_reading)
            .where(shadow_reading.c.film_id == job, shadow_reading.c.weights_sha256 == weights_sha256)
            .values(
                decision=reading and reading["decision"],
                reading=reading,
                seconds=seconds,
                reason=reason,
                at=now,
            )
        )


def of_film(connection: Connection, job: int) -> Sequence[Row[Any]]:
    """What versions in the shadow say of a film, the newest first."""
    return connection.execute(
        select(shadow_reading)
        .where(shadow_reading.c.film_id == job, shadow_reading.c.reading.is_not(None))
        .order_by(shadow_reading.c.at.desc())
    ).all()


def compare(
    connection: Connection, since: datetime.datetime, until: datetime.datetime, most: int | None = None
) -> list[Comparison]:
    """Compare each version that read in the shadow of another with that one.

    Parameters
    ----------
    since, until : datetime.datetime
        When the shadow read; `until` is not part of it.
    most : int, optional
        Only so many readings are looked at, the newest.

    Returns
    -------
    list of Comparison
        The pair that read last comes first. A film that was queued again for another version counts with its
        last reading.
    """
    rows = connection.execute(
        select(
            shadow_reading.c.film_id,
            shadow_reading.c.model,
            shadow_reading.c.version,
            shadow_reading.c.weights_sha256,
            shadow_reading.c.reading,
            shadow_reading.c.seconds,
            film.c.reading.label("main"),
        )
        .join(film, film.c.id == shadow_reading.c.film_id)
        .where(
            shadow_reading.c.at >= since,
            shadow_reading.c.at < until,
            film.c.reading.is_not(None),
            or_(shadow_reading.c.reading.is_not(None), shadow_reading.c.reason != ""),
        )
        .order_by(shadow_reading.c.at.desc(), shadow_reading.c.film_id.desc())
        .limit(most)
    )
    pairs: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in rows:
        pairs.setdefault((row.main["weights_sha256"], row.weights_sha256), []).append(row)
    return [_compared(of_pair) for of_pair in pairs.values()]


def _compared(rows: Sequence[Row[Any]]) -> Comparison:
    """One pair, from its rows, newest first."""
    both = sorted((row for row in rows if row.reading is not None), key=lambda row: row.film_id)
    decisions = Counter((_outcome(row.main["decision"]), _outcome(row.reading["decision"])) for row in both)
    agreement, kappa = _agreement(decisions)
    timed = [sum(row.main["seconds"].values()) for row in both if "seconds" in row.main]
    scores: dict[str, list[tuple[int, float, float]]] = {}
    for row in both:
        for label in (one for one in row.main["step1"] if one in row.reading["step1"]):
            pair = (row.film_id, row.main["step1"][label], row.reading["step1"][label])
            scores.setdefault(label, []).append(pair)
    newest = rows[0]
    return Comparison(
        main={key: newest.main[key] for key in ("model", "version", "weights_sha256")},
        shadow={key: getattr(newest, key) for key in ("model", "version", "weights_sha256")},
        films=len(both),
        unread=len(rows) - len(both),
        agreement=agreement,
        kappa=kappa,
        decisions=dict(decisions),
        scores=scores,
        main_seconds=median(timed) if timed else None,
        shadow_seconds=median(row.seconds for row in both) if both else None,
    )


def _outcome(decision: str) -> str:
    """A decision without the reason why it is indeterminate."""
    return decision.partition(":")[0]


def _agreement(decisions: Counter[tuple[str, str]]) -> tuple[float | None, float | None]:
    """Share of equal decisions; Cohen's kappa: how far that is above what chance gives two such readers."""
    films = decisions.total()
    if not films:
        return None, None
    equal = sum(number for (main, shadow), number in decisions.items() if main == shadow) / films
    of_main, of_shadow = Counter[str](), Counter[str]()
    for (main, shadow), number in decisions.items():
        of_main[main] += number
        of_shadow[shadow] += number
    chance = sum(of_main[decision] * of_shadow[decision] for decision in of_main) / films**2
    return equal, (equal - chance) / (1 - chance) if chance < 1 else None
