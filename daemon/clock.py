"""The node's one clock: of this machine, or of the PostgreSQL server that several machines share.

Leases and due times are compared across machines, whose own clocks may be minutes apart. The server's time is
asked for now and then, and counted on from there by a clock that nobody sets.
"""

import datetime
import logging
import threading
import time

from storage import database
from storage.database import Engine, SQLAlchemyError

RENEW_SECONDS = 30.0
# A difference between the two clocks that is told.
TOLD_SECONDS = 2.0
_TRIES = 3
_LOGGER = logging.getLogger("firstread")
_server: datetime.timedelta | None = None


def now() -> datetime.datetime:
    """The time, aware, UTC."""
    if _server is None:
        return datetime.datetime.now(datetime.UTC)
    return _EPOCH + _server + _since_boot()


def follow(engine: Engine) -> None:
    """Go by a PostgreSQL server's time from now on; of another database the machine is this one.

    Raises
    ------
    storage.database.SQLAlchemyError
        If it cannot be asked.
    """
    global _server  # noqa: PLW0603 - a process has one clock
    if engine.dialect.name == "postgresql":
        _server = _ask(engine)


def keep_following(engine: Engine) -> None:
    """As `follow`, again and again for the life of this process; a server that is away is asked later."""
    follow(engine)
    if engine.dialect.name == "postgresql":
        if abs(ahead := ahead_seconds()) > TOLD_SECONDS:
            _LOGGER.warning("this machine's clock is %+.0f s from the database's, which counts", ahead)
        threading.Thread(target=_go_on, args=(engine,), name="clock", daemon=True).start()


def ahead_seconds() -> float:
    """Seconds by which this machine's clock is ahead of the node's."""
    return (datetime.datetime.now(datetime.UTC) - now()).total_seconds()


def _go_on(engine: Engine) -> None:
    while True:
        time.sleep(RENEW_SECONDS)
        try:
            follow(engine)
        except SQLAlchemyError:
            continue  # its users find out and say so


def _ask(engine: Engine) -> datetime.timedelta:
    """The server's time less that since this machine's boot; of some answers the one that came soonest."""
    answers = []
    with database.reading(engine) as connection:
        for _ in range(_TRIES):
            asked = _since_boot()
            theirs = database.server_time(connection)
            took = _since_boot() - asked
            answers.append((took, theirs - _EPOCH - (asked + took / 2)))
    return min(answers)[1]


def _since_boot() -> datetime.timedelta:
    # Goes on while a virtual machine is asleep (clock_gettime(2)).
    return datetime.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
