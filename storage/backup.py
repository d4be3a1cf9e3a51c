"""A copy of what the node could not get again: jobs, and the films and results not yet delivered."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select, update

from storage import database
from storage.retention import is_delivered, is_over
from storage.spool import Spool
from storage.states import FilmState
from storage.tables import delivery, film, heartbeat, metadata, user_session

DATABASE = "firstread.db"
INDEX = "index.json"
_ROWS_AT_ONCE = 1000


class BadBackup(ValueError):
    """A backup that cannot be made or restored; the message says what was found."""


def save(
    engine: Engine, spool: Spool, folder: Path, now: datetime, committing: Collection[str]
) -> tuple[int, int]:
    """Back up a node, running or not.

    The jobs are those of one moment, always as an SQLite file. Then come the files that they need: of
    every film that is not both read and delivered, and of every result not delivered. On one file system
    these are hard links, which cost nothing: no file of the spool is ever written again.

    Parameters
    ----------
    folder : Path
        Absent or empty.
    now : datetime
        Kept in the index.
    committing : collection of str
        Destinations whose commitment is waited for.

    Returns
    -------
    jobs, files : int

    Raises
    ------
    BadBackup
        If the folder holds something.
    OSError
        If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadBackup(f"{folder} is not empty, expected a new folder for each backup")
    copy = database.open_engine(f"sqlite:///{folder / DATABASE}")
    try:
        database.migrate(copy)
        with database.snapshot(engine) as source, copy.begin() as target:
            _copy_rows(source, target)
        with database.reading(copy) as connection:
            jobs = connection.execute(select(func.count()).select_from(film)).scalar_one()
            needed = _needed(connection, committing)
    finally:
        copy.dispose()
    index = []
    for name in needed:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # A file that is gone was so before, or was delivered and aged out since: the sweep tells which.
        with contextlib.suppress(FileNotFoundError), spool.local(name) as path:
            _link_or_copy(path, target)
            index.append({"name": name, "size_bytes": target.stat().st_size, "sha256": _sha256(target)})
    # Written last: a backup without its index was cut short.
    temporary = folder / f"{INDEX}.part"
    temporary.write_text(
        json.dumps({"taken_at": now.isoformat(), "jobs": jobs, "files": index}, indent=1), encoding="utf-8"
    )
    temporary.rename(folder / INDEX)
    os.sync()
    return jobs, len(index)


def restore(engine: Engine, spool: Spool, folder: Path, now: datetime) -> tuple[int, int]:
    """Bring a backup into an empty database and an empty spool; the node is not running.

    Parameters
    ----------
    engine : Engine
        Migrated.
    now : datetime
        Noted for the films whose files were not needed.

    Returns
    -------
    jobs, files : int

    Raises
    ------
    BadBackup
        If something is there already, or the backup is cut short or damaged; nothing is changed.
    storage.database.NewerSchema
        If a newer release made the backup.
    """
    files = _verified(folder)
    if any(True for kind in ("films", "results") for _ in spool.kept(kind)):
        raise BadBackup(f"found files in {spool.where}, expected an empty spool: move the old one away")
    with database.reading(engine) as connection:
        if connection.execute(select(film.c.id).limit(1)).first():
            raise BadBackup("found jobs in the database, expected an empty one: move the old one away")
    for name in files:
        spool.take_back(folder / name, name)
    # A copy of the copy: an older release's has to be migrated, and the backup stays as it is.
    working = spool.incoming / DATABASE
    shutil.copyfile(folder / DATABASE, working)
    copy = database.open_engine(f"sqlite:///{working}")
    try:
        database.migrate(copy)
        with database.reading(copy) as source, engine.begin() as target:
            _copy_rows(source, target)
            _note_missing(target, files, now)
            jobs = target.execute(select(func.count()).select_from(film)).scalar_one()
    finally:
        copy.dispose()
        for path in spool.incoming.glob(f"{DATABASE}*"):
            path.unlink()
    return jobs, len(files)


def _copy_rows(source: Connection, target: Connection) -> None:
    """All rows of all tables but the signs of life and of who is logged in, into empty tables."""
    for table in metadata.sorted_tables:
        if table in (heartbeat, user_session):
            continue
        # Migrations leave a row in one of them.
        target.execute(table.delete())
        rows = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(
            select(table).order_by(*table.primary_key)
        )
        for batch in rows.mappings().partitions():
            target.execute(table.insert(), [dict(row) for row in batch])
        if target.dialect.name == "postgresql" and "id" in table.c:
            # Rows with numbers of their own leave the sequence where it was.
            last = select(func.max(table.c.id)).scalar_subquery()
            target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last)))


def _needed(connection: Connection, committing: Collection[str]) -> list[str]:
    """Spool names of what the node still has work with, or an admin may requeue."""
    films = connection.scalars(
        select(film.c.spool_name).where(
            film.c.files_removed_at.is_(None), ~is_over(committing) | (film.c.state == FilmState.SKIPPED)
        )
    )
    results = connection.scalars(select(delivery.c.spool_name).where(~is_delivered(committing)).distinct())
    return [*films, *results]


def _note_missing(connection: Connection, files: Collection[str], now: datetime) -> None:
    """Say of films that are over and were not copied that their files are gone."""
    rows = connection.execute(
        select(film.c.id, film.c.spool_name).where(
            film.c.state == FilmState.READ, film.c.files_removed_at.is_(None)
        )
    ).all()
    present = set(files)
    for row in rows:
        if row.spool_name not in present:
            connection.execute(update(film).where(film.c.id == row.id).values(files_removed_at=now))


def _verified(folder: Path) -> list[str]:
    """Names of a backup's files, each looked at."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise BadBackup(f"{folder}: found no whole {INDEX}, expected a backup that was finished") from error
    for file in index["files"]:
        path = folder / file["name"]
        if not path.is_file() or _sha256(path) != file["sha256"]:
            raise BadBackup(f"{path}: missing or damaged, expected the file of {INDEX}")
    return [file["name"] for file in index["files"]]


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
