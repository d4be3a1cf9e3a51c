"""Every change of a result on its way to a destination. One transaction a move."""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Row, bindparam, exists, func, select, update

from storage.database import reading
from storage.events import record, record_all
from storage.retry import wait_seconds
from storage.states import DELIVERY_MOVES, DeliveryState, LostClaim, require_move
from storage.tables import delivery, film

# Kind of the deliveries that carry a rejection note (IHE Imaging Object Change Management).
NOTE = "RN"


@dataclasses.dataclass(frozen=True)
class NewDelivery:
    """One result for one destination."""

    kind: str
    destination: str
    sop_class_uid: str
    sop_instance_uid: str
    spool_name: str


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A claimed delivery."""

    id: int
    film_id: int
    kind: str
    destination: str
    sop_class_uid: str
    sop_instance_uid: str
    spool_name: str
    attempts: int
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Finished:
    """What became of a claimed delivery.

    Parameters
    ----------
    delivery : Delivery
    state : DeliveryState
        SENT, FAILED, or PENDING for another attempt.
    at : datetime.datetime
    peer_status : int or None
        What the peer said.
    reason : str
    commitment_due_at : datetime.datetime, optional
        When the destination is asked for its commitment to store the object; by default never.
    """

    delivery: Delivery
    state: DeliveryState
    at: datetime.datetime
    peer_status: int | None
    reason: str
    commitment_due_at: datetime.datetime | None = None


# Built once: that takes SQLAlchemy longer than the statements take to be carried out.
_PRESENT = select(delivery.c.sop_instance_uid, delivery.c.destination).where(
    delivery.c.film_id == bindparam("film_id")
)
_INSERT = delivery.insert().returning(
    delivery.c.film_id, delivery.c.id, delivery.c.destination, sort_by_parameter_order=True
)
_IS_DUE = (
    (delivery.c.destination == bindparam("destination"))
    & (delivery.c.state == DeliveryState.PENDING)
    & (delivery.c.next_attempt_at <= bindparam("now"))
)
_DUE_CLASSES = select(delivery.c.sop_class_uid).where(_IS_DUE).distinct()
_DUE = (
    select(delivery.c.id)
    .where(_IS_DUE)
    .order_by(delivery.c.next_attempt_at, delivery.c.id)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_DUE_OF_CLASSES = _DUE.where(delivery.c.sop_class_uid.in_(bindparam("sop_class_uids", expanding=True)))
_CLAIM = (
    update(delivery)
    .where(delivery.c.id.in_(bindparam("ids", expanding=True)), delivery.c.state == DeliveryState.PENDING)
    .values(state=DeliveryState.SENDING, attempts=delivery.c.attempts + 1)
    .returning(*(delivery.c[field.name] for field in dataclasses.fields(Delivery)))
)
_LEAVE_SENDING = update(delivery).where(
    delivery.c.id == bindparam("identifier"),
    delivery.c.state == DeliveryState.SENDING,
    delivery.c.claimed_by == bindparam("claimant"),
)


def insert(connection: Connection, film_id: int, new: Sequence[NewDelivery], now: datetime.datetime) -> None:
    """Add PENDING deliveries of a film within the caller's transaction.

    A result that a destination already has a row for (the film was requeued and the same model gave
    the same UIDs) gets no second one: sending twice is storing once.
    """
    present = set(connection.execute(_PRESENT, {"film_id": film_id}))
    same = {"film_id": film_id, "state": DeliveryState.PENDING}
    same |= dict.fromkeys(("next_attempt_at", "created_at", "changed_at"), now)
    rows = [
        dataclasses.asdict(one) | same
        for one in new
        if (one.sop_instance_uid, one.destination) not in present
    ]
    if not rows:
        return
    inserted = connection.execute(_INSERT, rows).all()
    record_all(connection, inserted, None, DeliveryState.PENDING, now)


def due_classes(engine: Engine, destination: str, now: datetime.datetime) -> set[str]:
    """SOP classes of the deliveries that are due at `destination`, before any is claimed."""
    with reading(engine) as connection:
        return set(connection.scalars(_DUE_CLASSES, {"destination": destination, "now": now}))


def claim(
    engine: Engine,
    destination: str,
    claimant: str,
    limit: int,
    now: datetime.datetime,
    until: datetime.datetime,
    sop_class_uids: Collection[str] | None = None,
) -> list[Delivery]:
    """Take up to `limit` deliveries that are due at `destination`; counts an attempt each.

    Only those of `sop_class_uids`, where given: an association is for the classes that it proposed.
    """
    due, asked = _DUE, {"destination": destination, "now": now, "limit": limit}
    if sop_class_uids is not None:
        due, asked = _DUE_OF_CLASSES, asked | {"sop_class_uids": list(sop_class_uids)}
    with engine.begin() as connection:
        ids = connection.scalars(due, asked).all()
        if not ids:
            return []
        rows = connection.execute(
            _CLAIM, {"ids": ids, "claimed_by": claimant, "claimed_until": until, "changed_at": now}
        ).all()
        taken = [(row.film_id, row.id, claimant) for row in rows]
        record_all(connection, taken, DeliveryState.PENDING, DeliveryState.SENDING, now)
    return sorted((Delivery(*row) for row in rows), key=lambda one: one.id)


def renew(engine: Engine, ids: Sequence[int], claimant: str, until: datetime.datetime) -> None:
    """Keep the claim on deliveries still to be sent on a running association."""
    with engine.begin() as connection:
        connection.execute(
            update(delivery)
            .where(
                delivery.c.id.in_(ids),
                delivery.c.state == DeliveryState.SENDING,
                delivery.c.claimed_by == claimant,
            )
            .values(claimed_until=until)
        )


def finish(engine: Engine, claimant: str, some: Sequence[Finished]) -> list[Finished]:
    """SENDING to SENT, FAILED, or PENDING (again after a growing wait), in one transaction.

    Returns
    -------
    list of Finished
        Those whose delivery is no longer the claimant's; of these nothing is changed.
    """
    lost = []
    with engine.begin() as connection:
        for end in some:
            one, now = end.delivery, end.at
            wait = datetime.timedelta(seconds=wait_seconds(one.attempts, one.id))
            changes = {
                "peer_status": end.peer_status,
                "next_attempt_at": now + wait if end.state == DeliveryState.PENDING else now,
                "commitment_due_at": end.commitment_due_at,
            }
            if end.state == DeliveryState.SENT:
                changes["sent_at"] = now
            try:
                _leave_sending(connection, one.id, one.film_id, claimant, end.state, now, end.reason, changes)
            except LostClaim:
                lost.append(end)
    return lost


def put_back(
    engine: Engine, some: Sequence[Delivery], claimant: str, now: datetime.datetime, why: str
) -> None:
    """SENDING to PENDING for deliveries whose turn did not come: no attempt was made, and they stay due."""
    with engine.begin() as connection:
        for one in some:
            changes = {"attempts": one.attempts - 1}
            with contextlib.suppress(LostClaim):
                _leave_sending(
                    connection, one.id, one.film_id, claimant, DeliveryState.PENDING, now, why, changes
                )


def give_up(
    engine: Engine,
    destination: str,
    created_before: datetime.datetime,
    who: str,
    now: datetime.datetime,
    reason: str,
) -> int:
    """PENDING to FAILED for what waits too long for a destination that is not there; how many."""
    require_move(DELIVERY_MOVES, DeliveryState.PENDING, DeliveryState.FAILED)
    with engine.begin() as connection:
        rows = connection.execute(
            update(delivery)
            .where(
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
                delivery.c.created_at < created_before,
            )
            .values(state=DeliveryState.FAILED, reason=reason, changed_at=now)
            .returning(delivery.c.id, delivery.c.film_id)
        ).all()
        gone = [(row.film_id, row.id, who) for row in rows]
        record_all(connection, gone, DeliveryState.PENDING, DeliveryState.FAILED, now, reason)
    return len(rows)


def release_claims(engine: Engine, is_gone: Callable[[str], bool], now: datetime.datetime) -> list[int]:
    """Put deliveries whose claim lapsed or whose claimant `is_gone` back to PENDING.

    The UID is the same, so that sending twice is storing once.
    """
    released = []
    with engine.begin() as connection:
        claimed = connection.execute(
            select(delivery)
            .where(delivery.c.state == DeliveryState.SENDING)
            .with_for_update(skip_locked=True)
        ).all()
        for row in claimed:
            if row.claimed_until >= now and not is_gone(row.claimed_by):
                continue
            reason = f"{row.claimed_by} stopped in the middle of attempt {row.attempts}"
            wait = datetime.timedelta(seconds=wait_seconds(row.attempts, row.id))
            changes = {"peer_status": None, "next_attempt_at": now + wait}
            _leave_sending(
                connection, row.id, row.film_id, row.claimed_by, DeliveryState.PENDING, now, reason, changes
            )
            released.append(row.id)
    return released


def requeue_failed(
    engine: Engine, film_id: int, who: str, now: datetime.datetime, message: str = "requeued"
) -> int:
    """FAILED deliveries of a film back to PENDING, due at once, attempts counted anew; how many.

    Of a film whose results were withdrawn only the note is sent again.
    """
    withdrawn = exists().where(film.c.id == film_id, film.c.withdrawn_at.is_not(None))
    with engine.begin() as connection:
        ids = connection.scalars(
            update(delivery)
            .where(
                delivery.c.film_id == film_id,
                delivery.c.state == DeliveryState.FAILED,
                (delivery.c.kind == NOTE) | ~withdrawn,
            )
            .values(
                state=DeliveryState.PENDING,
                attempts=0,
                next_attempt_at=now,
                created_at=now,
                changed_at=now,
                reason="",
                commitment_due_at=None,
                commitment_requests=0,
                resends=0,
            )
            .returning(delivery.c.id)
        ).all()
        back = [(film_id, identifier, who) for identifier in ids]
        record_all(connection, back, DeliveryState.FAILED, DeliveryState.PENDING, now, message)
    return len(ids)


def fail_without_file(engine: Engine, identifier: int, who: str, now: datetime.datetime) -> bool:
    """PENDING to FAILED, for a result whose file is gone; False if it has been moved."""
    reason = "MISSING: found no file in the spool, expected the result"
    require_move(DELIVERY_MOVES, DeliveryState.PENDING, DeliveryState.FAILED)
    with engine.begin() as connection:
        film_id = connection.execute(
            update(delivery)
            .where(delivery.c.id == identifier, delivery.c.state == DeliveryState.PENDING)
            .values(state=DeliveryState.FAILED, reason=reason, changed_at=now)
            .returning(delivery.c.film_id)
        ).scalar_one_or_none()
        if film_id is None:
            return False
        record(connection, film_id, DeliveryState.PENDING, DeliveryState.FAILED, now, who, reason, identifier)
    return True


def of_film(connection: Connection, film_id: int) -> Sequence[Row[Any]]:
    """The deliveries of one film."""
    return connection.execute(
        select(delivery).where(delivery.c.film_id == film_id).order_by(delivery.c.id)
    ).all()


def waiting(connection: Connection, destination: str) -> int:
    """How many results wait for a destination."""
    return connection.execute(
        select(func.count())
        .select_from(delivery)
        .where(delivery.c.destination == destination, delivery.c.state == DeliveryState.PENDING)
    ).scalar_one()


def _leave_sending(
    connection: Connection,
    identifier: int,
    film_id: int,
    claimant: str,
    state: DeliveryState,
    now: datetime.datetime,
    reason: str,
    changes: Mapping[str, Any],
) -> None:
    require_move(DELIVERY_MOVES, DeliveryState.SENDING, state)
    values = {"state": state, "reason": reason, "changed_at": now, "claimed_by": None, "claimed_until": None}
    moved = connection.execute(
        _LEAVE_SENDING, {"identifier": identifier, "claimant": claimant, **values, **changes}
    )
    if moved.rowcount != 1:
        raise LostClaim(f"delivery {identifier} is no longer SENDING by {claimant}; someone else moved it")
    record(connection, film_id, DeliveryState.SENDING, state, now, claimant, reason, identifier)
