"""What every process of the node needs: logging without identities, signals, systemd, a sign of life."""

import contextlib
import ctypes
import datetime
import functools
import hashlib
import logging
import os
import signal
import socket
import threading
import time
import warnings
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from sqlalchemy import Engine

from daemon import clock, logs
from daemon.config_file import Storage
from storage import database, heartbeats
from storage.spool import Spool, SpoolUnavailable

HEARTBEAT_SECONDS = 5.0
# PROC_PID_INIT_INO of the kernel, the namespace that a machine boots with.
_FIRST_NAMESPACE = "pid:[4026531836]"
_LOGGER = logging.getLogger("firstread")


def configure_logging(process: str = "firstread", log_format: str = "text") -> None:
    """Log to stderr, without what pydicom and pynetdicom would tell of a data set's values.

    pydicom's warnings quote the value that is wrong, which may be a patient's name; values that a peer
    sends are judged by us, where they matter.

    Parameters
    ----------
    process : str
        Role of this process, in every line.
    log_format : str
        ``text`` or ``json``.
    """
    # A look into the job database logs nothing and does without this import.
    import pydicom  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, handlers=[logs.handler(process, log_format == "json")])
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.simplefilter("ignore")
    for name in ("pydicom", "highdicom", "alembic", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def now() -> datetime.datetime:
    """The time, aware, UTC: the one clock of the node (`daemon.clock`)."""
    return clock.now()


def claimant(role: str) -> str:
    """Name under which this process claims work: its role, and which process it is."""
    return f"{role}@{instance()}"


def instance() -> str:
    """Which process this is, of all of all hosts: place, process number and when the process began."""
    return f"{_place()}:{os.getpid()}:{_began(os.getpid())}"


def is_gone(name: str) -> bool:
    """Whether `name` is a claimant of this place whose process is no more.

    Its work need not wait for the claim to lapse. A process number given again is told by the time it
    began; of other hosts and containers nothing is known here, and of a process that is hidden from us
    (proc(5), hidepid: the units see no others) only whether its number is in use.
    """
    role_at_place, _, process = name.partition(":")
    number, _, began = process.partition(":")
    if role_at_place.partition("@")[2] != _place():
        return False
    seen = _began(int(number))
    return seen != began if seen else not _is_in_use(int(number))


def end_with_parent(number: int) -> None:
    """Have this process sent signal `number` when the process that started it ends, however (prctl(2)).

    Nobody else would end it then: it would go on beside those that a restarted parent starts.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(number))


def first_line(error: database.SQLAlchemyError) -> str:
    """What a database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


@functools.cache
def _place() -> str:
    """Where process numbers mean what they mean here: host name, and a digest of machine and PID namespace.

    Containers of one host, and hosts set up alike, may have one name. A machine is the same after a boot; a
    namespace is not.
    """
    namespace, machine = Path("/proc/self/ns/pid").readlink().name, _text_of("/etc/machine-id")
    boot = "" if machine and namespace == _FIRST_NAMESPACE else _text_of("/proc/sys/kernel/random/boot_id")
    digest = hashlib.sha256(f"{machine} {namespace} {boot}".encode()).hexdigest()
    return f"{socket.gethostname()[:24].replace(':', '-')}.{digest[:8]}"


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _began(process: int) -> str:
    """Start of a process in clock ticks since boot (proc(5), field 22 of stat), empty if none is seen."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _is_in_use(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def open_storage(settings: Storage) -> tuple[Engine, Spool]:
    """Database, migrated, and spool of table ``[storage]``.

    Raises
    ------
    storage.database.DatabaseUnavailable, storage.database.NewerSchema, storage.spool.SpoolUnavailable
    """
    engine = open_database(settings)
    database.migrate(engine)
    clock.keep_following(engine)
    return engine, open_spool(settings)


def open_spool(settings: Storage) -> Spool:
    """The film store of table ``[storage]``: a folder, or a bucket of an object store.

    Raises
    ------
    storage.spool.SpoolUnavailable
        If a folder cannot be made, or a file that the table names cannot be used. An object store is asked
        for nothing yet.
    """
    if settings.bucket is None:
        return Spool(Path(settings.spool))
    try:
        from storage.object_store import Bucket, ObjectSpool  # noqa: PLC0415 - of the extra s3
    except ModuleNotFoundError as error:
        raise SpoolUnavailable(
            f"[storage] spool {settings.spool}: package {error.name} is not installed, expected firstread[s3]"
        ) from error
    try:
        keys = [
            read_secret(f"[storage] {option}", path) if path else ""
            for option, path in (
                ("s3_access_key_file", settings.s3_access_key_file),
                ("s3_secret_key_file", settings.s3_secret_key_file),
            )
        ]
        authorities = Path(settings.s3_ca_file).read_text(encoding="ascii") if settings.s3_ca_file else ""
    except SecretUnusable as error:
        raise SpoolUnavailable(str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpoolUnavailable(
            f"[storage] s3_ca_file {settings.s3_ca_file}: expected authorities in PEM"
        ) from error
    bucket = Bucket(*settings.bucket, settings.s3_endpoint, settings.s3_region, *keys, authorities)
    return ObjectSpool(bucket, Path(settings.s3_folder), settings.s3_copies_mib << 20)


def look_into_database(settings: Storage) -> Engine:
    """Engine for a command that makes and migrates nothing, so that any user of the machine may run it.

    Raises
    ------
    storage.database.DatabaseUnavailable, storage.database.NewerSchema, storage.database.SchemaMissing
    """
    engine = open_database(settings)
    database.require_schema(engine)
    clock.follow(engine)
    return engine


def open_database(settings: Storage) -> Engine:
    """Engine of table ``[storage]``, its password read from the file the table names."""
    password = None
    if settings.database_password_file:
        try:
            password = read_secret("[storage] database_password_file", settings.database_password_file)
        except SecretUnusable as error:
            raise database.DatabaseUnavailable(str(error)) from error
    return database.open_engine(settings.database, password)


def disable_nagle(event: Any) -> None:
    """Handler of EVT_CONN_OPEN: send small PDUs at once; pynetdicom leaves TCP_NODELAY off.

    Without it each answer waits for the peer's delayed acknowledgement, 40 ms a film.
    """
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stop_on_signals(*others: signal.Signals) -> threading.Event:
    """An event that SIGTERM, SIGINT and `others` set; systemd hears that the process is stopping."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        notify_systemd("STOPPING=1")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, *others):
        signal.signal(number, end)
    return stop


def notify_systemd(message: str) -> None:
    """Send a state such as ``READY=1`` to systemd, if it started us (sd_notify(3)).

    Work goes on if it cannot be told; systemd ends what it hears nothing of.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        try:
            notifier.connect("\0" + address[1:] if address.startswith("@") else address)
            notifier.sendall(message.encode())
        except OSError as error:
            _LOGGER.warning("NOTIFY_SOCKET %s: %s; not told %s", address, error.strerror, message)


class SecretUnusable(OSError):
    """A file with a secret cannot be used; the message names it, says why, and quotes nothing of it."""


def read_secret(option: str, path: str) -> str:
    """The one line that a file named by `option` of the config holds.

    Raises
    ------
    SecretUnusable
    """
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretUnusable(f"{option} {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SecretUnusable(f"{option} {path}: expected text in UTF-8") from None
    if not secret or not secret.isprintable():
        raise SecretUnusable(f"{option} {path}: expected one line of text, and nothing else")
    return secret


class Pulse:
    """Tells systemd's watchdog and the heartbeat table that a process still finishes passes of its work.

    Leaving it as a context is to end in good order.
    """

    def __init__(self, engine: Engine, role: str) -> None:
        self._engine = engine
        self._role = role
        self._instance = instance()
        self._last = 0.0

    def __enter__(self) -> Self:
        with contextlib.suppress(database.SQLAlchemyError):
            heartbeats.begin(self._engine, self._role, self._instance, is_gone, now())
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error_type is None:
            with contextlib.suppress(database.SQLAlchemyError):
                heartbeats.end(self._engine, self._instance)

    def beat(self, note: str = "") -> None:
        """Call after each finished pass; writes at most every `HEARTBEAT_SECONDS`."""
        if time.monotonic() - self._last < HEARTBEAT_SECONDS:
            return
        self._last = time.monotonic()
        notify_systemd("WATCHDOG=1")
        # A database away must not end the process: its own work will find out and say so.
        with contextlib.suppress(database.SQLAlchemyError):
            heartbeats.beat(self._engine, self._role, self._instance, now(), note)


def announce_ready(role: str) -> None:
    """Say on stderr and to systemd that `role` has started."""
    notify_systemd("READY=1")
    _LOGGER.info("%s ready", role)
