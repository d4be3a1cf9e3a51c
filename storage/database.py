"""The engine of the job database: SQLite or PostgreSQL by URL, migrated by Alembic."""

import contextlib
import datetime
import sqlite3
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_SECONDS = 10
# Seconds to connect, and milliseconds until data that nobody acknowledges end a connection (libpq 34.1.2).
# The server is asked for the same: rows that a machine held when it was cut off would stay locked for hours.
_SERVER_LIMITS = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_user_timeout=30000 -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 "
    "-c tcp_keepalives_count=3 -c idle_in_transaction_session_timeout=60000",
}
# One number for every process of this product that migrates the same PostgreSQL database.
MIGRATION_LOCK = 7_311_974
_MIGRATIONS = Path(str(files("storage.migrations")))


class DatabaseUnavailable(ConnectionError):
    """The database cannot be reached or opened."""


class NewerSchema(RuntimeError):
    """The database was migrated by a newer release."""


class SchemaMissing(RuntimeError):
    """No process of this release has started with the database yet."""


def open_engine(url: str, password: str | None = None) -> Engine:
    """Engine for a database URL.

    Parameters
    ----------
    url : str
        ``sqlite:////path/firstread.db`` or ``postgresql+psycopg://user@host/name``.
    password : str, optional
        Put into the URL, so that no config file holds it.

    Raises
    ------
    DatabaseUnavailable
        If the driver of the URL is not installed or the URL cannot be parsed.

    Notes
    -----
    SQLite runs in WAL mode with ``synchronous=FULL`` (a commit survives power loss), waits
    `BUSY_TIMEOUT_SECONDS` for a lock, and every transaction takes the write lock at its start:
    a read that later becomes a write would fail at once instead of waiting.
    """
    try:
        parsed = make_url(url)
        if password is not None:
            parsed = parsed.set(password=password)
        is_local = parsed.get_backend_name() == "sqlite"
        engine = create_engine(
            parsed, pool_pre_ping=not is_local, connect_args={} if is_local else _SERVER_LIMITS
        )
    except (SQLAlchemyError, ImportError) as error:
        raise DatabaseUnavailable(f"database URL not usable: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for another URL."""
    parsed = _parsed(url)
    return Path(parsed.database or "") if parsed and parsed.get_backend_name() == "sqlite" else None


def for_libpq(url: str) -> str:
    """The URL of a PostgreSQL database as its own programs take it, without a password."""
    parsed = _parsed(url)
    return parsed._replace(drivername="postgresql", password=None).render_as_string() if parsed else url


def without_password(url: str) -> str:
    """A database URL to be shown, stars in place of a password; one that is none as it is."""
    parsed = _parsed(url)
    return parsed.render_as_string() if parsed else url


def _parsed(url: str) -> URL | None:
    try:
        return make_url(url)
    except SQLAlchemyError:
        return None


def _configure_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"{type(connection)}, expected sqlite3.Connection")
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Set the journal mode; SQLite does not wait for a lock here, whatever its busy timeout says."""
    for tries_left in reversed(range(BUSY_TIMEOUT_SECONDS * 100)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries_left:
                raise
            time.sleep(0.01)


def _begin_immediate(connection: Connection) -> None:
    # SQLAlchemy tells of a begin in AUTOCOMMIT too; a reader would lock every writer out while it looks.
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for single SELECTs, which takes no lock that a writer would wait for."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def server_time(connection: Connection) -> datetime.datetime:
    """What the clock of a PostgreSQL server says at this moment, aware."""
    return connection.execute(select(func.clock_timestamp())).scalar_one()


@contextlib.contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection whose SELECTs all see one moment, and which no writer waits for."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            connection.exec_driver_sql("BEGIN DEFERRED")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("COMMIT")
        return
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection


def migrate(engine: Engine) -> str | None:
    """Bring the schema to this release's; processes that start together take turns.

    Returns
    -------
    str or None
        The revision that was found; None if there were no tables.

    Raises
    ------
    NewerSchema
        If the database's revision is unknown to this release.
    DatabaseUnavailable
        If it cannot be reached.
    """
    # Alembic takes longer to import than all else that a command such as ``tail`` needs.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            found = _revision(connection)
            _refuse_newer(found)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise _unavailable(engine, error) from error
    return found


def require_schema(engine: Engine) -> None:
    """Look whether the database is there and at this release's schema; makes and changes nothing.

    Raises
    ------
    SchemaMissing
        If it has no tables yet, or those of an older release.
    NewerSchema
        If the database's revision is unknown to this release.
    DatabaseUnavailable
        If it cannot be reached.
    """
    path = engine.url.database
    # SQLite would make the file, and make it belong to whoever only wanted to look.
    if engine.dialect.name == "sqlite" and path and not Path(path).exists():
        raise SchemaMissing(f"{name(engine)}: not made yet; the node makes it when it starts")
    try:
        with reading(engine) as connection:
            current = _revision(connection)
    except SQLAlchemyError as error:
        raise _unavailable(engine, error) from error
    _refuse_newer(current)
    if current != newest_revision():
        raise SchemaMissing(
            f"{name(engine)}: found schema {current or 'none'}, expected {newest_revision()}; "
            "the node migrates it when it starts"
        )


def revisions() -> set[str]:
    """Schema revisions that this release knows; a migration's file name begins with its own."""
    return {path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("*.py")}


def newest_revision() -> str:
    """The schema revision of this release."""
    return max(revisions())


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _refuse_newer(current: str | None) -> None:
    if current is not None and current not in revisions():
        raise NewerSchema(
            f"database has schema {current}, newer than {newest_revision()} of this release, which cannot "
            "go back; install the release that made it, or restore a backup of before into an empty database"
        )


def refuses_values(error: SQLAlchemyError) -> bool:
    """Whether the database refuses what is to be written, so that it is asked again in vain (PEP 249)."""
    return isinstance(error, DataError | IntegrityError)


def name(engine: Engine) -> str:
    """How messages name a database: its URL without password."""
    return f"database {engine.url.render_as_string(hide_password=True)}"


def _unavailable(engine: Engine, error: SQLAlchemyError) -> DatabaseUnavailable:
    first_line = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return DatabaseUnavailable(f"{name(engine)} not reachable: {first_line}")
