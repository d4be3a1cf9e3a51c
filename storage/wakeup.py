"""Who waits for work is woken when there may be some: by NOTIFY, or by SQLite's own count of changes."""

import threading
import time
from typing import Any

from sqlalchemy import Connection, Engine, String, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from storage.states import DeliveryState, FilmState

# A look at SQLite's count takes microseconds; fifty a second are under a hundredth of a processor.
LOOK_SECONDS = 0.02
# PostgreSQL's channels, by the state that work waits in.
_CHANNELS = {FilmState.QUEUED: "firstread_films", DeliveryState.PENDING: "firstread_deliveries"}
_NOTIFY = select(func.pg_notify(bindparam("channel", type_=String), ""))


def notify(connection: Connection, state: str) -> None:
    """Wake who waits for work in a state, once the caller's transaction is committed."""
    if state in _CHANNELS and connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"channel": _CHANNELS[state]})


class Wakeup:
    """Waits for work of one kind; a connection of its own, used by one thread.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    state : FilmState or DeliveryState
        In which the work waits: QUEUED or PENDING.
    """

    def __init__(self, engine: Engine, state: FilmState | DeliveryState) -> None:
        self._engine = engine
        self._channel = _CHANNELS[state]
        self._connection: Any = None
        self._seen: int | None = None

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Return as soon as there may be work, which may have come before the call; after `seconds` at most.

        Work that is due by the clock wakes nobody, and a database that is away is for others to tell of.
        PostgreSQL is listened to without a look at `stop`.
        """
        limit = time.monotonic() + seconds
        try:
            if self._connection is None:
                self._connect()
            elif self._engine.dialect.name == "postgresql":
                for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                    pass
            else:
                self._look(stop, limit)
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
            self.close()
            stop.wait(max(0.0, limit - time.monotonic()))

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        """Begin to listen; what came before is found by a look right afterwards."""
        pooled = self._engine.raw_connection()
        self._connection = pooled.driver_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            self._connection.autocommit = True
            self._connection.execute(f"LISTEN {self._channel}")

    def _look(self, stop: threading.Event, limit: float) -> None:
        while True:
            changes = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if changes != self._seen:
                self._seen = changes
                return
            if stop.wait(min(LOOK_SECONDS, max(0.0, limit - time.monotonic()))) or time.monotonic() >= limit:
                return
