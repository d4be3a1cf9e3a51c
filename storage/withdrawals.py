"""Results taken back: what no destination gets any more, and the note that tells those that have them."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, exists, select, update

from storage import deliveries
from storage.database import reading
from storage.deliveries import NOTE, NewDelivery
from storage.events import record
from storage.states import DELIVERY_MOVES, DeliveryState, FilmState, require_move
from storage.tables import delivery, film

# Begins the reason of a film that is another one under a known SOP Instance UID, not a corrected one.
CONFLICT = "CONFLICT"


@dataclasses.dataclass(frozen=True)
class Note:
    """A rejection note in the spool."""

    sop_class_uid: str
    sop_instance_uid: str
    spool_name: str


class BeingSent(RuntimeError):
    """Results cannot be withdrawn while one of them is on its way."""


def results(connection: Connection, job: int) -> Sequence[Row[Any]]:
    """Kind, SOP Instance UID and spool name of each object of a film, once for all destinations."""
    return connection.execute(
        select(delivery.c.kind, delivery.c.sop_instance_uid, delivery.c.spool_name)
        .where(delivery.c.film_id == job, delivery.c.kind != NOTE, delivery.c.sop_class_uid != "")
        .distinct()
        .order_by(delivery.c.sop_instance_uid)
    ).all()


def withdraw(engine: Engine, job: int, note: Note, who: str, now: datetime.datetime, reason: str) -> int:
    """Stop what waits, and send the note to each destination that may have a result; to how many.

    Nothing is done for a film whose results have been withdrawn before.

    Raises
    ------
    BeingSent
        If one of the results is being sent at this moment, so that the note could come before it.
    """
    with engine.begin() as connection:
        marked = connection.execute(
            update(film).where(film.c.id == job, film.c.withdrawn_at.is_(None)).values(withdrawn_at=now)
        )
        if not marked.rowcount:
            return 0
        rows = connection.execute(
            select(delivery).where(delivery.c.film_id == job, delivery.c.kind != NOTE).with_for_update()
        ).all()
        if any(row.state == DeliveryState.SENDING for row in rows):
            raise BeingSent(f"job {job}: a result is being sent, expected none; try again in a moment")
        for row in rows:
            if row.state == DeliveryState.PENDING:
                _stop(connection, row, who, now, reason)
        # Nobody is asked to keep what is taken back.
        connection.execute(update(delivery).where(delivery.c.film_id == job).values(commitment_due_at=None))
        # Where a try broke off, the destination may have the result all the same.
        told = sorted({row.destination for row in rows if row.attempts and row.sop_class_uid})
        deliveries.insert(
            connection, job, [NewDelivery(NOTE, one, **dataclasses.asdict(note)) for one in told], now
        )
    return len(told)


def corrected(engine: Engine) -> Sequence[int]:
    """Films with results that a later film of the same SOP Instance UID and other header stands for.

    Not while one of their results is being sent: the note comes after it.
    """
    of_film = exists().where(delivery.c.film_id == film.c.id)
    # In steps, and states compared here: a planner without statistics would begin with every READ film.
    known = select(film.c.id, film.c.sop_instance_uid, film.c.state, film.c.reason).where(
        film.c.conflict_with > 0
    )
    found = []
    with reading(engine) as connection:
        later = {
            one.sop_instance_uid: one.id
            for one in sorted(connection.execute(known))
            if one.state == FilmState.READ
            or (one.state == FilmState.SKIPPED and not one.reason.startswith(f"{CONFLICT}:"))
        }
        for uid, job in later.items():
            earlier = connection.execute(
                select(film.c.id, film.c.state).where(
                    film.c.sop_instance_uid == uid,
                    film.c.id < job,
                    film.c.withdrawn_at.is_(None),
                    film.c.files_removed_at.is_(None),
                    of_film,
                    ~of_film.where(delivery.c.state == DeliveryState.SENDING),
                )
            )
            found += [one.id for one in earlier if one.state == FilmState.READ]
    return sorted(found)


def _stop(connection: Connection, row: Row[Any], who: str, now: datetime.datetime, reason: str) -> None:
    require_move(DELIVERY_MOVES, DeliveryState.PENDING, DeliveryState.FAILED)
    connection.execute(
        update(delivery)
        .where(delivery.c.id == row.id)
        .values(state=DeliveryState.FAILED, reason=reason, changed_at=now)
    )
    record(connection, row.film_id, DeliveryState.PENDING, DeliveryState.FAILED, now, who, reason, row.id)
