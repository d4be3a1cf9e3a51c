"""Whether a destination takes results: one circuit breaker each, shared by all sender processes.

While a destination is DOWN its deliveries wait untouched, and one connection after each growing wait probes
whether it is back. It carries one result, since a peer without space answers C-ECHO all the same.
"""

import contextlib
import datetime
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import reading
from storage.retry import LONGEST_PROBE_WAIT_SECONDS, wait_seconds
from storage.states import DeliveryState, DestinationState
from storage.tables import delivery, destination

# Built once: that takes SQLAlchemy longer than the statements take to be carried out.
_BY_NAME = select(destination).where(destination.c.name == bindparam("name"))
_LOCKED = _BY_NAME.with_for_update()


def admit(
    engine: Engine,
    name: str,
    claimant: str,
    limit: int,
    is_gone: Callable[[str], bool],
    now: datetime.datetime,
    until: datetime.datetime,
) -> int:
    """How many results may be sent to a destination now: `limit`, 1 to probe it, or 0 to wait.

    A probe is claimed until `until`, so that of several senders one probes; a claim of a process that
    `is_gone` does not hold.
    """
    with reading(engine) as connection:
        row = get(connection, name)
    if row is None or row.state == DestinationState.UP:
        return limit
    with engine.begin() as connection:
        row = connection.execute(_LOCKED, {"name": name}).one()
        if row.state == DestinationState.UP:
            return limit
        is_probed = row.probed_by is not None and row.probed_until >= now and not is_gone(row.probed_by)
        if is_probed or row.next_probe_at > now:
            return 0
        connection.execute(
            update(destination)
            .where(destination.c.name == name)
            .values(probed_by=claimant, probed_until=until)
        )
    return 1


def probe_now(engine: Engine, name: str, now: datetime.datetime) -> bool:
    """Make the next probe of a destination due at once; whether it is DOWN, so that there is one."""
    with engine.begin() as connection:
        return bool(
            connection.execute(
                update(destination)
                .where(destination.c.name == name, destination.c.state == DestinationState.DOWN)
                .values(next_probe_at=now)
            ).rowcount
        )


def release_probe(engine: Engine, name: str, claimant: str) -> None:
    """Give a probe back that told nothing of the destination, for a reason on our side."""
    with engine.begin() as connection:
        connection.execute(
            update(destination)
            .where(destination.c.name == name, destination.c.probed_by == claimant)
            .values(probed_by=None, probed_until=None)
        )


def went_down(engine: Engine, name: str, claimant: str, now: datetime.datetime, error: str) -> None:
    """Note that a destination could not be reached or cannot take anything now.

    The wait until the next probe grows with each failed probe. A try that began before another sender
    found the destination down does not make it longer.
    """
    with engine.begin() as connection:
        row = _row(connection, name, now)
        said = {"last_error": error, "last_error_at": now}
        if row.state == DestinationState.UP or row.probed_by == claimant:
            failures = row.failures + 1 if row.state == DestinationState.DOWN else 1
            seconds = wait_seconds(failures, zlib.crc32(name.encode()), LONGEST_PROBE_WAIT_SECONDS)
            said |= {
                "state": DestinationState.DOWN,
                "since": row.since if row.state == DestinationState.DOWN else now,
                "failures": failures,
                "next_probe_at": now + datetime.timedelta(seconds=seconds),
                "probed_by": None,
                "probed_until": None,
            }
        connection.execute(update(destination).where(destination.c.name == name).values(**said))


def answered(engine: Engine, name: str, now: datetime.datetime, is_success: bool) -> bool:
    """Note that a destination judged what it was sent; whether it was DOWN and is back.

    With `is_success` it took the object; a refusal for good shows as well that it is there.
    """
    with engine.begin() as connection:
        row = _row(connection, name, now)
        is_back = row.state == DestinationState.DOWN
        said = {"last_success_at": now} if is_success else {}
        if is_back:
            said |= {
                "state": DestinationState.UP,
                "since": now,
                "failures": 0,
                "next_probe_at": None,
                "probed_by": None,
                "probed_until": None,
            }
        if said:
            connection.execute(update(destination).where(destination.c.name == name).values(**said))
    return is_back


def get(connection: Connection, name: str) -> Row[Any] | None:
    """The row of a destination; None if it was never tried."""
    return connection.execute(_BY_NAME, {"name": name}).one_or_none()


def down(connection: Connection, names: Collection[str] | None = None) -> Sequence[Row[Any]]:
    """The destinations that take nothing now, by name; of `names` only, where given."""
    query = select(destination).where(destination.c.state == DestinationState.DOWN)
    if names is not None:
        query = query.where(destination.c.name.in_(names))
    return connection.execute(query.order_by(destination.c.name)).all()


def in_words(row: Row[Any]) -> str:
    """What an admin is told of a destination that is DOWN, times in this machine's zone."""
    since, probe = (at.astimezone().strftime("%Y-%m-%d %H:%M:%S") for at in (row.since, row.next_probe_at))
    return f"takes nothing since {since}, next probe at {probe}: {row.last_error}"


def _row(connection: Connection, name: str, now: datetime.datetime) -> Row[Any]:
    """The row of a destination, locked; made if it is the first."""
    row = connection.execute(_LOCKED, {"name": name}).one_or_none()
    if row is None:
        # Two senders may meet their first result for a destination at once.
        with contextlib.suppress(IntegrityError), connection.begin_nested():
            connection.execute(destination.insert().values(name=name, state=DestinationState.UP, since=now))
        row = connection.execute(_LOCKED, {"name": name}).one()
    return row


def wake(engine: Engine, name: str, now: datetime.datetime) -> int:
    """Make due what waits since its destination was out of resources (PS3.4 B.2.3); how many.

    What broke an association goes on waiting: it may be the reason.
    """
    with engine.begin() as connection:
        return connection.execute(
            update(delivery)
            .where(
                delivery.c.destination == name,
                delivery.c.state == DeliveryState.PENDING,
                delivery.c.next_attempt_at > now,
                delivery.c.peer_status.between(0xA700, 0xA7FF),
            )
            .values(next_attempt_at=now)
        ).rowcount


def wake_first(engine: Engine, name: str, now: datetime.datetime) -> None:
    """Make the result that is due next at a destination due at once, for a probe to carry."""
    first = (
        select(delivery.c.id)
        .where(delivery.c.destination == name, delivery.c.state == DeliveryState.PENDING)
        .order_by(delivery.c.next_attempt_at)
        .limit(1)
        .scalar_subquery()
    )
    with engine.begin() as connection:
        connection.execute(
            update(delivery)
            .where(
                delivery.c.id == first,
                delivery.c.state == DeliveryState.PENDING,
                delivery.c.next_attempt_at > now,
            )
            .values(next_attempt_at=now)
        )
