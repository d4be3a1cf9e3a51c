"""The history: one row for each move of a film or of one of its deliveries."""

import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from storage.tables import delivery, event, film


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
    """Add an event within the transaction of the move it tells of."""
    connection.execute(
        event.insert().values(
            at=now,
            film_id=film_id,
            delivery_id=delivery_id,
            from_state=from_state,
            to_state=to_state,
            who=who,
            message=message,
        )
    )


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
