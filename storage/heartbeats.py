"""When each process last finished a pass of its work: a row for each, on whichever host.

The last row of a role or chore stays, however it ended: it says since when nobody does that work.
"""

import dataclasses
import datetime
from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, select, update

from storage.tables import heartbeat


@dataclasses.dataclass(frozen=True)
class Beat:
    """Last sign of life of a process, or of a chore in it.

    Parameters
    ----------
    process : str
        Role or chore.
    instance : str
        Whose: place, process number, and when the process began, as claimants are called behind the @.
    at : datetime
    note : str
        What there is to say of it.
    """

    process: str
    instance: str
    at: datetime.datetime
    note: str

    @property
    def host(self) -> str:
        """Host name, and what tells hosts and containers of one name apart."""
        return self.instance.partition(":")[0]

    def __str__(self) -> str:
        """As claimants are called, without when the process began."""
        return f"{self.process}@{self.instance.rpartition(':')[0]}"


def begin(
    engine: Engine, process: str, instance: str, is_gone: Callable[[str], bool], now: datetime.datetime
) -> None:
    """First beat of a process, which takes the place of one of its role that is known to be no more, if any.

    Of several, of the one silent for longest: how many are missing is still seen then.

    Parameters
    ----------
    is_gone : callable
        Whether a claimant is known to be no more.
    """
    with engine.begin() as connection:
        before = connection.execute(
            select(heartbeat.c.instance).where(heartbeat.c.process == process).order_by(heartbeat.c.at)
        )
        gone = next((one for one in before.scalars() if is_gone(f"{process}@{one}")), None)
        if gone is not None:
            connection.execute(delete(heartbeat).where(heartbeat.c.instance == gone))
    beat(engine, process, instance, now)


def beat(engine: Engine, process: str, instance: str, now: datetime.datetime, note: str = "") -> None:
    """Note that `process` finished a pass, and what there is to say of it."""
    ours = heartbeat.c.process == process, heartbeat.c.instance == instance
    with engine.begin() as connection:
        known = connection.execute(update(heartbeat).where(*ours).values(at=now, note=note))
        if known.rowcount == 0:
            connection.execute(
                heartbeat.insert().values(process=process, instance=instance, at=now, note=note)
            )


def end(engine: Engine, instance: str) -> None:
    """Take out what a process and its chores said that ends in good order, where another does that work."""
    with engine.begin() as connection:
        connection.execute(update(heartbeat).where(heartbeat.c.instance == instance).values(is_ended=True))
        _remove(connection, heartbeat.c.is_ended)


def forget(engine: Engine, before: datetime.datetime) -> None:
    """Take out what ended, or was last heard of before then, where another has done that work since."""
    with engine.begin() as connection:
        _remove(connection, heartbeat.c.is_ended | (heartbeat.c.at < before))


def all_of(connection: Connection) -> list[Beat]:
    """Last beats of all processes, by role or chore, then by whose they are."""
    rows = connection.execute(select(heartbeat).order_by(heartbeat.c.process, heartbeat.c.instance))
    return [Beat(row.process, row.instance, row.at, row.note) for row in rows]


def latest(connection: Connection) -> dict[str, Beat]:
    """Last beat of each role and chore, whosever."""
    return {one.process: one for one in sorted(all_of(connection), key=lambda one: one.at)}


def _remove(connection: Connection, condition: ColumnElement[bool]) -> None:
    other = heartbeat.alias("other")
    does_that_work = exists().where(
        other.c.process == heartbeat.c.process,
        (other.c.at > heartbeat.c.at) | (heartbeat.c.is_ended & ~other.c.is_ended),
    )
    connection.execute(delete(heartbeat).where(condition, does_that_work))
