"""What the node is doing now: queues, rates, the last films; quick with a million jobs behind it."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from storage import traffic
from storage.states import DeliveryState, FilmState
from storage.tables import event, film

RATE_OVER = datetime.timedelta(minutes=1)
# Of the events within `RATE_OVER` so many are counted, the newest: what a node does in that time, and more.
MOST_EVENTS = 20_000


@dataclasses.dataclass(frozen=True)
class Rates:
    """Films received and read, results sent, within the last minute."""

    received: int
    read: int
    sent: int


def films_by_state(connection: Connection, ended_since: datetime.datetime) -> dict[FilmState, int]:
    """Films of each state: all that are under way, and the ends of those received since `ended_since`."""
    queue = traffic.queue(connection)
    ends = connection.execute(
        select(film.c.state, func.count())
        .where(film.c.received_at >= ended_since, film.c.state.not_in(traffic.WAITING))
        .group_by(film.c.state)
    )
    counted = {FilmState.QUEUED: queue.waiting, FilmState.READING: queue.reading}
    counted |= {FilmState(state): number for state, number in ends}
    return {state: counted.get(state, 0) for state in FilmState}


def deliveries_by_state(
    connection: Connection, destinations: Collection[str]
) -> dict[str, dict[DeliveryState, int]]:
    """Results that wait, are being sent, and failed, of each destination."""
    states = (*traffic.UNSENT, DeliveryState.FAILED)
    found = traffic.results(connection, destinations, states)
    return {
        name: {state: found.get((name, state), (0, None))[0] for state in states} for name in destinations
    }


def rates(connection: Connection, now: datetime.datetime) -> Rates:
    """What happened in the minute before `now`."""
    newest = select(event.c.at, event.c.to_state, event.c.from_state, event.c.delivery_id)
    newest = newest.order_by(event.c.id.desc()).limit(MOST_EVENTS).subquery()
    rows = connection.execute(
        select(newest.c.to_state, newest.c.from_state, func.count())
        .where(newest.c.at > now - RATE_OVER, newest.c.at <= now)
        .group_by(newest.c.to_state, newest.c.from_state)
    )
    moves = {(from_state, to_state): number for to_state, from_state, number in rows}
    return Rates(
        moves.get((None, FilmState.QUEUED), 0),
        moves.get((FilmState.READING, FilmState.READ), 0),
        moves.get((DeliveryState.SENDING, DeliveryState.SENT), 0),
    )


def last_films(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """The films that came last, newest first."""
    columns = ("id", "received_at", "calling_ae_title", "accession_number", "state", "decision", "reason")
    return connection.execute(
        select(*(film.c[name] for name in columns)).order_by(film.c.id.desc()).limit(limit)
    ).all()
