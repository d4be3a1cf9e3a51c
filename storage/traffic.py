"""How much went through the node lately: by time, sender and destination, each by an index."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from storage.states import DeliveryState, FilmState
from storage.tables import delivery, film, queue_peak

PEAK = datetime.timedelta(minutes=15)
KEEP_PEAKS = datetime.timedelta(days=8)
WAITING = (FilmState.QUEUED, FilmState.READING)
UNSENT = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclasses.dataclass(frozen=True)
class Queue:
    """What has not come to its end."""

    waiting: int
    oldest: datetime.datetime | None
    reading: int


def queue(connection: Connection) -> Queue:
    """Films that wait and that are being read."""
    rows = connection.execute(
        select(film.c.state, func.count(), func.min(film.c.id))
        .where(film.c.state.in_(WAITING))
        .group_by(film.c.state)
    ).all()
    of = {state: (films, first) for state, films, first in rows}
    waiting, first = of.get(FilmState.QUEUED, (0, None))
    oldest = (
        connection.execute(select(film.c.received_at).where(film.c.id == first)).scalar() if first else None
    )
    return Queue(waiting, oldest, of.get(FilmState.READING, (0, None))[0])


def films_by_hour(connection: Connection, hours: Sequence[datetime.datetime]) -> dict[tuple[int, str], int]:
    """Films received since the first of `hours`, by place of their hour and by state.

    Parameters
    ----------
    hours : sequence of datetime
        When each begins, ascending.
    """
    place = case(
        *((film.c.received_at < end, number) for number, end in enumerate(hours[1:])), else_=len(hours) - 1
    )
    rows = connection.execute(
        select(place.label("place"), film.c.state, func.count())
        .where(film.c.received_at >= hours[0])
        .group_by("place", film.c.state)
    )
    return {(place, state): films for place, state, films in rows}


@dataclasses.dataclass(frozen=True)
class Received:
    """Films of one caller."""

    calling_ae_title: str
    films: int
    size_bytes: int
    last: datetime.datetime


def by_sender(connection: Connection, since: datetime.datetime) -> list[Received]:
    """Films received since a time, by calling AE title."""
    # As an expression: SQLite would walk an index of all films that is in this order already.
    title = film.c.calling_ae_title + ""
    rows = connection.execute(
        select(
            title,
            func.count(),
            func.sum(film.c.size_bytes),
            func.max(film.c.received_at),
        )
        .where(film.c.received_at >= since)
        .group_by(title)
    )
    return [Received(title, films, int(size), last) for title, films, size, last in rows]


def seconds_to_result(
    connection: Connection, destination: str, since: datetime.datetime
) -> list[tuple[datetime.datetime, float]]:
    """Of each film received and all sent to `destination` since a time: when, and after how many seconds."""
    sent_at = func.max(delivery.c.sent_at)
    rows = connection.execute(
        select(film.c.received_at, sent_at)
        .select_from(delivery)
        .join(film, film.c.id == delivery.c.film_id)
        .where(
            delivery.c.destination == destination, delivery.c.sent_at >= since, film.c.received_at >= since
        )
        .group_by(film.c.id, film.c.received_at)
    )
    return [(sent, (sent - received).total_seconds()) for received, sent in rows]


def results(
    connection: Connection, destinations: Collection[str], states: Collection[DeliveryState]
) -> dict[tuple[str, DeliveryState], tuple[int, datetime.datetime]]:
    """How many results of each destination are in each of some states, and from when the oldest is."""
    rows = connection.execute(
        select(delivery.c.destination, delivery.c.state, func.count(), func.min(delivery.c.created_at))
        .where(delivery.c.destination.in_(destinations), delivery.c.state.in_(states))
        .group_by(delivery.c.destination, delivery.c.state)
    )
    return {(name, DeliveryState(state)): (number, oldest) for name, state, number, oldest in rows}


def unsent(connection: Connection, destinations: Sequence[str]) -> dict[str, tuple[int, datetime.datetime]]:
    """How many results wait for each destination, and since when the oldest does."""
    found: dict[str, tuple[int, datetime.datetime]] = {}
    for (name, _), (number, oldest) in results(connection, destinations, UNSENT).items():
        before, since = found.get(name, (0, oldest))
        found[name] = before + number, min(since, oldest)
    return found


def sent(connection: Connection, destinations: Sequence[str], since: datetime.datetime) -> dict[str, int]:
    """How many results each destination took since a time."""
    rows = connection.execute(
        select(delivery.c.destination, func.count().label("results"))
        .where(delivery.c.destination.in_(destinations), delivery.c.sent_at >= since)
        .group_by(delivery.c.destination)
    )
    return {row.destination: row.results for row in rows}


def note_queue(engine: Engine, now: datetime.datetime) -> None:
    """Keep the longest queue of this quarter of an hour."""
    quarter = now - datetime.timedelta(seconds=now.timestamp() % PEAK.total_seconds())
    quarter = quarter.replace(microsecond=0)
    with engine.begin() as connection:
        waiting = connection.execute(
            select(func.count()).select_from(film).where(film.c.state == FilmState.QUEUED)
        ).scalar_one()
        known = connection.execute(
            select(queue_peak.c.waiting).where(queue_peak.c.quarter == quarter)
        ).scalar()
        if known is None:
            connection.execute(delete(queue_peak).where(queue_peak.c.quarter < quarter - KEEP_PEAKS))
            try:
                with connection.begin_nested():
                    connection.execute(queue_peak.insert().values(quarter=quarter, waiting=waiting))
            except IntegrityError:  # another process of the node was first
                known = 0
        if known is not None and waiting > known:
            connection.execute(
                update(queue_peak)
                .where(queue_peak.c.quarter == quarter, queue_peak.c.waiting < waiting)
                .values(waiting=waiting)
            )


def queue_peaks(connection: Connection, since: datetime.datetime) -> Sequence[Row[Any]]:
    """The longest queue of each quarter of an hour since a time, oldest first."""
    return connection.execute(
        select(queue_peak).where(queue_peak.c.quarter >= since).order_by(queue_peak.c.quarter)
    ).all()
