"""The history: one row for each move of a film or of one of its deliveries."""

import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from storage.tables import delivery, event, film
from storage.wakeup import notify

# Built once: that takes SQLAlchemy longer than SQLite takes to insert a row.
_INSERT = event.insert()


def record(
    connection: Connection,
    film_id: int,
    from_state: str | None,
    to_state: str,
    now: datetime.datetime,
    who: str,
    message: str,
    delivery_id: int | None = None,
) -> None:
    """Add an event within the transaction of the move it tells of, and wake who waits for what moved."""
    connection.execute(
        _INSERT,
        {
            "at": now,
            "film_id": film_id,
            "delivery_id": delivery_id,
            "from_state": from_state,
            "to_state": to_state,
            "who": who,
            "message": message,
        },
    )
    notify(connection, to_state)


def record_all(
    connection: Connection,
    deliveries: Sequence[tuple[int, int, str]],
    from_state: str | None,
    to_state: str,
    now: datetime.datetime,
    message: str = "",
) -> None:
    """Add events of deliveries that move alike, each given by film, number and who moves it."""
    if not deliveries:
        return
    same = {"at": now, "from_state": from_state, "to_state": to_state, "message": message}
    connection.execute(
        _INSERT,
        [
            {"film_id": film_id, "delivery_id": delivery_id, "who": who} | same
            for film_id, delivery_id, who in deliveries
        ],
    )
    notify(connection, to_state)


def of_film(connection: Connection, film_id: int) -> Sequence[Row[Any]]:
    """The events of one film and its deliveries, oldest first."""
    return connection.execute(
        select(event, delivery.c.kind, delivery.c.destination)
        .outerjoin(delivery, delivery.c.id == event.c.delivery_id)
        .where(event.c.film_id == film_id)
        .order_by(event.c.id)
    ).all()


def newest(connection: Connection, after: int, limit: int, state: str | None = None) -> list[Row[Any]]:
    """Up to `limit` events with a number above `after`, the newest ones, in order of time."""
    query = (
        select(
            event,
            delivery.c.kind,
            delivery.c.destination,
            film.c.sop_instance_uid,
            film.c.accession_number,
            film.c.calling_ae_title,
            film.c.retrospective,
        )
        .join(film, film.c.id == event.c.film_id)
        .outerjoin(delivery, delivery.c.id == event.c.delivery_id)
        .where(event.c.id > after)
        .order_by(event.c.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(event.c.to_state == state)
    return list(reversed(connection.execute(query).all()))


def since(connection: Connection, after: int, limit: int) -> Sequence[Row[Any]]:
    """Up to `limit` moves with a number above `after`, in the order of their numbers.

    Where transactions run side by side a lower number may be committed after a higher one: who follows the
    history looks back a little and leaves out what was seen.
    """
    return connection.execute(
        select(event.c.id, event.c.film_id, event.c.delivery_id, event.c.to_state)
        .where(event.c.id > after)
        .order_by(event.c.id)
        .limit(limit)
    ).all()


def last(connection: Connection) -> int:
    """Number of the newest move, 0 before the first."""
    return connection.execute(select(func.coalesce(func.max(event.c.id), 0))).scalar_one()
