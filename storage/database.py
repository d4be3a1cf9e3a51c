"""The engine of the job database: SQLite or PostgreSQL by URL, migrated by Alembic."""

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_SECONDS = 10
# One number for every process of this product that migrates the same PostgreSQL database.
MIGRATION_LOCK = 7_311_974


class DatabaseUnavailable(ConnectionError):
    """The database cannot be reached or opened."""


class NewerSchema(RuntimeError):
    """The database was migrated by a newer release."""


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
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (SQLAlchemyError, ImportError) as error:
        raise DatabaseUnavailable(f"database URL not usable: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _configure_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"{type(connection)}, expected sqlite3.Connection")
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for single SELECTs, which takes no lock that a writer would wait for."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def migrate(engine: Engine) -> None:
    """Bring the schema to this release's; processes that start together take turns.

    Raises
    ------
    NewerSchema
        If the database's revision is unknown to this release.
    DatabaseUnavailable
        If it cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(str(files("storage.migrations")))))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            current = MigrationContext.configure(connection).get_current_revision()
            if current is not None and current not in known:
                raise NewerSchema(
                    f"database has schema {current}, this release knows {', '.join(sorted(known))}; "
                    "install the release that made it, or point the node to another database"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"database not reachable: {_first_line(error)}") from error


def ping(engine: Engine) -> None:
    """Raise DatabaseUnavailable unless the database answers."""
    try:
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"database not reachable: {_first_line(error)}") from error


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
