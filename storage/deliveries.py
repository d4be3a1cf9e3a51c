"""Every change of a result on its way to a destination. One transaction a move."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from storage.events import record
from storage.retry import wait_seconds
from storage.states import DELIVERY_MOVES, DeliveryState, LostClaim, require_move
from storage.tables import delivery


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


def insert(connection: Connection, film_id: int, new: Sequence[NewDelivery], now: datetime.datetime) -> None:
    """Add PENDING deliveries of a film within the caller's transaction.

    A result that a destination already has a row for (the film was requeued and the same model gave
    the same UIDs) gets no second one: sending twice is storing once.
    """
    present = set(
        connection.execute(
            select(delivery.c.sop_instance_uid, delivery.c.destination).where(delivery.c.film_id == film_id)
        )
    )
    for one in new:
        if (one.sop_instance_uid, one.destination) in present:
            continue
        identifier = connection.execute(
            delivery.insert()
            .values(
                **dataclasses.asdict(one),
                film_id=film_id,
                state=DeliveryState.PENDING,
                next_attempt_at=now,
                created_at=now,
                changed_at=now,
            )
            .returning(delivery.c.id)
        ).scalar_one()
        record(connection, film_id, None, DeliveryState.PENDING, now, one.destination, "", identifier)


def claim(
    engine: Engine,
    destination: str,
    claimant: str,
    limit: int,
    now: datetime.datetime,
    until: datetime.datetime,
) -> list[Delivery]:
    """Take up to `limit` deliveries that are due at `destination`; counts an attempt each."""
    with engine.begin() as connection:
        ids = connection.scalars(
            select(delivery.c.id)
            .where(
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
                delivery.c.next_attempt_at <= now,
            )
            .order_by(delivery.c.next_attempt_at, delivery.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not ids:
            return []
        columns = [delivery.c[field.name] for field in dataclasses.fields(Delivery)]
        rows = connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(ids), delivery.c.state == DeliveryState.PENDING)
            .values(
                state=DeliveryState.SENDING,
                attempts=delivery.c.attempts + 1,
                claimed_by=claimant,
                claimed_until=until,
                changed_at=now,
            )
            .returning(*columns)
        ).all()
        for row in rows:
            record(
                connection,
                row.film_id,
                DeliveryState.PENDING,
                DeliveryState.SENDING,
                now,
                claimant,
                "",
                row.id,
            )
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


def finish(
    engine: Engine,
    one: Delivery,
    claimant: str,
    state: DeliveryState,
    now: datetime.datetime,
    peer_status: int | None,
    reason: str,
) -> None:
    """SENDING to SENT, FAILED, or PENDING (again after a growing wait), with what the peer said.

    Raises
    ------
    LostClaim
        If the delivery is no longer ours; nothing is changed.
    """
    with engine.begin() as connection:
        _leave_sending(
            connection, one.id, one.film_id, one.attempts, claimant, state, now, peer_status, reason
        )


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
            _leave_sending(
                connection,
                row.id,
                row.film_id,
                row.attempts,
                row.claimed_by,
                DeliveryState.PENDING,
                now,
                None,
                reason,
            )
            released.append(row.id)
    return released


def requeue_failed(engine: Engine, film_id: int, who: str, now: datetime.datetime) -> int:
    """FAILED deliveries of a film back to PENDING, due at once, attempts counted anew; how many."""
    with engine.begin() as connection:
        ids = connection.scalars(
            update(delivery)
            .where(delivery.c.film_id == film_id, delivery.c.state == DeliveryState.FAILED)
            .values(
                state=DeliveryState.PENDING,
                attempts=0,
                next_attempt_at=now,
                created_at=now,
                changed_at=now,
                reason="",
            )
            .returning(delivery.c.id)
        ).all()
        for identifier in ids:
            record(
                connection,
                film_id,
                DeliveryState.FAILED,
                DeliveryState.PENDING,
                now,
                who,
                "requeued",
                identifier,
            )
    return len(ids)


def of_film(connection: Connection, film_id: int) -> Sequence[Row[Any]]:
    """The deliveries of one film."""
    return connection.execute(
        select(delivery).where(delivery.c.film_id == film_id).order_by(delivery.c.id)
    ).all()


def _leave_sending(
    connection: Connection,
    identifier: int,
    film_id: int,
    attempts: int,
    claimant: str,
    state: DeliveryState,
    now: datetime.datetime,
    peer_status: int | None,
    reason: str,
) -> None:
    require_move(DELIVERY_MOVES, DeliveryState.SENDING, state)
    wait = datetime.timedelta(
        seconds=wait_seconds(attempts, identifier) if state == DeliveryState.PENDING else 0
    )
    moved = connection.execute(
        update(delivery)
        .where(
            delivery.c.id == identifier,
            delivery.c.state == DeliveryState.SENDING,
            delivery.c.claimed_by == claimant,
        )
        .values(
            state=state,
            peer_status=peer_status,
            reason=reason,
            next_attempt_at=now + wait,
            claimed_by=None,
            claimed_until=None,
            changed_at=now,
        )
    )
    if moved.rowcount != 1:
        raise LostClaim(f"delivery {identifier} is no longer SENDING by {claimant}; someone else moved it")
    record(connection, film_id, DeliveryState.SENDING, state, now, claimant, reason, identifier)
