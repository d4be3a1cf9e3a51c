"""What every process of the node needs: logging without identities, signals, systemd, a sign of life."""

import contextlib
import datetime
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Engine

from daemon.config_file import Storage
from storage import database, heartbeats
from storage.spool import Spool

HEARTBEAT_SECONDS = 5.0
_LOGGER = logging.getLogger("firstread")


def configure_logging() -> None:
    """Log to stderr, without what pydicom and pynetdicom would tell of a data set's values.

    pydicom's warnings quote the value that is wrong, which may be a patient's name; values that a peer
    sends are judged by us, where they matter.
    """
    # A look into the job database logs nothing and does without this import.
    import pydicom  # noqa: PLC0415

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.simplefilter("ignore")
    for name in ("pydicom", "highdicom", "alembic", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def now() -> datetime.datetime:
    """The time, aware, UTC: the one clock of the node."""
    return datetime.datetime.now(datetime.UTC)


def claimant(role: str) -> str:
    """Name under which this process claims work: role, host, process number and when the process began."""
    return f"{role}@{_host()}:{os.getpid()}:{_began(os.getpid())}"


def is_gone(name: str) -> bool:
    """Whether `name` is a claimant of this host whose process is no more.

    Its work need not wait for the claim to lapse. A process number given again is told by the time it
    began; of other hosts nothing is known here.
    """
    role_at_host, _, process = name.partition(":")
    number, _, began = process.partition(":")
    return role_at_host.partition("@")[2] == _host() and _began(int(number)) != began


def _host() -> str:
    return socket.gethostname()[:32].replace(":", "-")


def _began(process: int) -> str:
    """Start of a process in clock ticks since boot (proc(5), field 22 of stat), empty if there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def open_storage(settings: Storage) -> tuple[Engine, Spool]:
    """Database, migrated, and spool of table ``[storage]``.

    Raises
    ------
    storage.database.DatabaseUnavailable, storage.database.NewerSchema, storage.spool.SpoolUnavailable
    """
    engine = open_database(settings)
    database.migrate(engine)
    return engine, Spool(Path(settings.spool), settings.floor_mib << 20)


def look_into_database(settings: Storage) -> Engine:
    """Engine for a command that makes and migrates nothing, so that any user of the machine may run it.

    Raises
    ------
    storage.database.DatabaseUnavailable, storage.database.NewerSchema, storage.database.SchemaMissing
    """
    engine = open_database(settings)
    database.require_schema(engine)
    return engine


def open_database(settings: Storage) -> Engine:
    """Engine of table ``[storage]``, its password read from the file the table names."""
    password = None
    if settings.database_password_file:
        try:
            password = Path(settings.database_password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise database.DatabaseUnavailable(
                f"[storage] database_password_file {settings.database_password_file}: {error.strerror}"
            ) from error
    return database.open_engine(settings.database, password)


def disable_nagle(event: Any) -> None:
    """Handler of EVT_CONN_OPEN: send small PDUs at once; pynetdicom leaves TCP_NODELAY off.

    Without it each answer waits for the peer's delayed acknowledgement, 40 ms a film.
    """
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; systemd hears that the process is stopping."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        notify_systemd("STOPPING=1")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def notify_systemd(message: str) -> None:
    """Send a state such as ``READY=1`` to systemd, if it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.connect("\0" + address[1:] if address.startswith("@") else address)
        notifier.sendall(message.encode())


class Pulse:
    """Tells systemd's watchdog and the heartbeat table that a process still finishes passes of its work."""

    def __init__(self, engine: Engine, role: str) -> None:
        self._engine = engine
        self._role = role
        self._last = 0.0

    def beat(self) -> None:
        """Call after each finished pass; writes at most every `HEARTBEAT_SECONDS`."""
        if time.monotonic() - self._last < HEARTBEAT_SECONDS:
            return
        self._last = time.monotonic()
        notify_systemd("WATCHDOG=1")
        # A database away must not end the process: its own work will find out and say so.
        with contextlib.suppress(database.SQLAlchemyError):
            heartbeats.beat(self._engine, self._role, now())


def announce_ready(role: str) -> None:
    """Say on stderr and to systemd that `role` has started."""
    notify_systemd("READY=1")
    _LOGGER.info("%s ready", role)
