"""Storage commitment for results that were SENT (PS3.4 annex J): what was asked for, and what was answered.

A request names the results of a transaction; each has a row, so that a report is understood whenever it
comes. The times when a request or its report is due stand in the delivery, so that a restart loses nothing.
"""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, select, update

from storage.database import reading
from storage.events import record
from storage.states import DELIVERY_MOVES, DeliveryState, require_move
from storage.tables import commitment, delivery

# Requests without a report before the result is sent again, or after that given up.
MOST_REQUESTS = 2
MOST_RESENDS = 1


@dataclasses.dataclass(frozen=True)
class Instance:
    """One SOP instance that a request names."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclasses.dataclass(frozen=True)
class Reported:
    """How many deliveries a report moved, and where to."""

    committed: int = 0
    sent_again: int = 0
    failed: int = 0


def is_due(engine: Engine, destination: str, now: datetime.datetime) -> bool:
    """Whether a destination is to be asked, or has not answered in time."""
    with reading(engine) as connection:
        return (
            connection.execute(select(delivery.c.id).where(*_due(destination, now)).limit(1)).first()
            is not None
        )


def request(
    engine: Engine,
    destination: str,
    transaction_uid: str,
    limit: int,
    now: datetime.datetime,
    due_at: datetime.datetime,
) -> list[Instance]:
    """Take up to `limit` results into a transaction whose report is due at `due_at`.

    Called before the peer hears of it: its report may be faster than its answer to the request.
    """
    with engine.begin() as connection:
        ids = connection.scalars(
            select(delivery.c.id)
            .where(*_due(destination, now), delivery.c.commitment_requests < MOST_REQUESTS)
            .order_by(delivery.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not ids:
            return []
        rows = connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(ids))
            .values(commitment_requests=delivery.c.commitment_requests + 1, commitment_due_at=due_at)
            .returning(delivery.c.id, delivery.c.sop_class_uid, delivery.c.sop_instance_uid)
        ).all()
        connection.execute(
            commitment.insert(),
            [{"transaction_uid": transaction_uid, "delivery_id": row.id, "asked_at": now} for row in rows],
        )
    return [Instance(row.sop_class_uid, row.sop_instance_uid) for row in sorted(rows, key=lambda row: row.id)]


def postpone(engine: Engine, transaction_uid: str, due_at: datetime.datetime) -> None:
    """Ask again at `due_at` for what a request named that the peer did not take."""
    with engine.begin() as connection:
        connection.execute(
            update(delivery)
            .where(
                delivery.c.state == DeliveryState.SENT,
                delivery.c.id.in_(
                    select(commitment.c.delivery_id).where(commitment.c.transaction_uid == transaction_uid)
                ),
            )
            .values(commitment_due_at=due_at)
        )


def refuse(
    engine: Engine,
    destination: str,
    who: str,
    now: datetime.datetime,
    reason: str,
    transaction_uid: str | None = None,
) -> int:
    """SENT to FAILED: the peer will never commit, to a transaction or to anything due; how many."""
    conditions = _due(destination, now)
    if transaction_uid is not None:
        asked = select(commitment.c.delivery_id).where(commitment.c.transaction_uid == transaction_uid)
        conditions = [delivery.c.state == DeliveryState.SENT, delivery.c.id.in_(asked)]
    with engine.begin() as connection:
        rows = _locked(connection, conditions)
        for row in rows:
            _leave_sent(connection, row, DeliveryState.FAILED, who, now, reason)
    return len(rows)


def give_up_waiting(engine: Engine, destination: str, who: str, now: datetime.datetime) -> Reported:
    """Send again, or after that fail, what was asked for `MOST_REQUESTS` times without a report in time."""
    done = Reported()
    with engine.begin() as connection:
        overdue = [*_due(destination, now), delivery.c.commitment_requests >= MOST_REQUESTS]
        for row in _locked(connection, overdue):
            done = _not_committed(connection, row, who, now, f"no report to {MOST_REQUESTS} requests", done)
    return done


def report(
    engine: Engine,
    transaction_uid: str,
    committed: Collection[str],
    failed: Mapping[str, str],
    who: str,
    now: datetime.datetime,
) -> Reported | None:
    """Move what a report of a peer names (PS3.4 J.3.3); None if the transaction is none of ours.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    transaction_uid : str
        Of the request.
    committed : collection of str
        SOP Instance UIDs that the peer has taken responsibility for.
    failed : mapping of str to str
        Of the others the failure reason in words.
    who : str
        For the history.
    now : datetime.datetime

    Returns
    -------
    Reported or None

    Notes
    -----
    A report that comes twice moves nothing the second time. One that comes after the next request counts
    where it commits; its failures are those of a request that was given up.
    """
    done = Reported()
    with engine.begin() as connection:
        asked = connection.scalars(
            select(commitment.c.delivery_id).where(commitment.c.transaction_uid == transaction_uid)
        ).all()
        if not asked:
            return None
        for row in _locked(connection, [delivery.c.state == DeliveryState.SENT, delivery.c.id.in_(asked)]):
            if row.sop_instance_uid in committed:
                _leave_sent(connection, row, DeliveryState.COMMITTED, who, now, row.reason)
                done = dataclasses.replace(done, committed=done.committed + 1)
            elif row.sop_instance_uid in failed and _is_newest(connection, row.id, transaction_uid):
                done = _not_committed(connection, row, who, now, failed[row.sop_instance_uid], done)
    return done


def _due(destination: str, now: datetime.datetime) -> list[ColumnElement[bool]]:
    return [
        delivery.c.destination == destination,
        delivery.c.state == DeliveryState.SENT,
        delivery.c.commitment_due_at <= now,
    ]


def _locked(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> Sequence[Row[Any]]:
    return connection.execute(
        select(delivery).where(*conditions).order_by(delivery.c.id).with_for_update()
    ).all()


def _is_newest(connection: Connection, delivery_id: int, transaction_uid: str) -> bool:
    """Whether no later request named the delivery."""
    of_delivery = commitment.c.delivery_id == delivery_id
    newest = select(func.max(commitment.c.asked_at)).where(of_delivery).scalar_subquery()
    return transaction_uid in connection.scalars(
        select(commitment.c.transaction_uid).where(of_delivery, commitment.c.asked_at == newest)
    )


def _not_committed(
    connection: Connection, row: Row[Any], who: str, now: datetime.datetime, why: str, done: Reported
) -> Reported:
    """Send a result once more; the second time it is FAILED."""
    if row.resends < MOST_RESENDS:
        _leave_sent(
            connection, row, DeliveryState.PENDING, who, now, f"storage not committed: {why}; sent again"
        )
        return dataclasses.replace(done, sent_again=done.sent_again + 1)
    _leave_sent(connection, row, DeliveryState.FAILED, who, now, f"storage not committed: {why}")
    return dataclasses.replace(done, failed=done.failed + 1)


def _leave_sent(
    connection: Connection, row: Row[Any], state: DeliveryState, who: str, now: datetime.datetime, reason: str
) -> None:
    """Move a row that the transaction has locked; what goes back to PENDING has its time over again."""
    require_move(DELIVERY_MOVES, DeliveryState.SENT, state)
    changes: dict[str, object] = {"commitment_due_at": None}
    if state == DeliveryState.PENDING:
        changes |= {
            "commitment_requests": 0,
            "resends": row.resends + 1,
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
    connection.execute(
        update(delivery)
        .where(delivery.c.id == row.id)
        .values(state=state, reason=reason, changed_at=now, **changes)
    )
    record(connection, row.film_id, DeliveryState.SENT, state, now, who, reason, row.id)
