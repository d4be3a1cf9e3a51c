"""When each process last finished a pass of its work."""

import datetime

from sqlalchemy import Connection, Engine, select, update

from storage.tables import heartbeat


def beat(engine: Engine, process: str, now: datetime.datetime) -> None:
    """Note that `process` finished a pass."""
    with engine.begin() as connection:
        known = connection.execute(update(heartbeat).where(heartbeat.c.process == process).values(at=now))
        if known.rowcount == 0:
            connection.execute(heartbeat.insert().values(process=process, at=now))


def latest(connection: Connection) -> dict[str, datetime.datetime]:
    """Last beat of every process that ever ran."""
    return dict(connection.execute(select(heartbeat.c.process, heartbeat.c.at)).all())
