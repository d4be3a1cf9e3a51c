"""Spool against database, both ways: what a crash left behind, and what a loss of files took away."""

import dataclasses
import datetime

from sqlalchemy import Column, Engine, func, select

from storage import database, deliveries, films
from storage.spool import Spool
from storage.states import DeliveryState, FilmState
from storage.tables import delivery, film


@dataclasses.dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Parameters
    ----------
    kept : int
        Files of films and results that stay.
    removed : tuple of str
        Names of files that no job knows: a crash came between their rename and the commit, so that no
        sender was told success for them.
    temporary : int
        Half-written files that were removed.
    strangers : int
        Files that no job knows, from before the database's first job: not a crash's, left alone.
    failed_films : tuple of int
        Jobs that FAILED since their film is gone.
    failed_deliveries : tuple of int
        Deliveries that FAILED since their result is gone.
    """

    kept: int
    removed: tuple[str, ...]
    temporary: int
    strangers: int
    failed_films: tuple[int, ...]
    failed_deliveries: tuple[int, ...]


def sweep(
    engine: Engine,
    spool: Spool,
    who: str,
    now: datetime.datetime,
    grace: datetime.timedelta,
    has_destinations: bool,
) -> Swept:
    """Bring spool and database to agree; safe beside running processes and other sweeps.

    Parameters
    ----------
    who : str
        Named in the events of what fails.
    grace : datetime.timedelta
        A younger file may be one whose commit is under way.
    has_destinations : bool
        Without any, results have no deliveries and stay.
    """
    limit = (now - grace).timestamp()
    temporary = spool.clear_incoming(limit)
    # The files first: one that gets its row after this look is not taken for an orphan.
    files = [*spool.kept("films"), *spool.kept("results")]
    with database.reading(engine) as connection:
        known = {*_names(connection, film.c.spool_name), *_names(connection, delivery.c.spool_name)}
        first = connection.execute(select(func.min(film.c.received_at))).scalar()
        queued = connection.execute(
            select(film.c.id, film.c.spool_name).where(film.c.state == FilmState.QUEUED)
        ).all()
        pending = connection.execute(
            select(delivery.c.id, delivery.c.spool_name).where(delivery.c.state == DeliveryState.PENDING)
        ).all()
    unknown = [
        file
        for file in files
        if file.name not in known
        and file.since < limit
        and (has_destinations or not file.name.startswith("results/"))
    ]
    # A database that began after the files is another one than theirs, by a slip of the config perhaps.
    began = (first - grace).timestamp() if first else now.timestamp()
    orphans = [file.name for file in unknown if file.since >= began]
    removed = tuple(name for name in orphans if spool.discard_old(name, limit))
    present = {file.name for file in files}
    return Swept(
        kept=len(files) - len(removed),
        removed=removed,
        temporary=temporary,
        strangers=len(unknown) - len(orphans),
        failed_films=tuple(
            row.id
            for row in queued
            if row.spool_name not in present
            and not spool.has(row.spool_name)
            and films.fail_without_file(engine, row.id, row.spool_name, who, now)
        ),
        failed_deliveries=tuple(
            row.id
            for row in pending
            if row.spool_name not in present
            and not spool.has(row.spool_name)
            and deliveries.fail_without_file(engine, row.id, who, now)
        ),
    )


def _names(connection, column: Column) -> list[str]:
    return connection.scalars(
        select(column)
        .join_from(film, delivery, delivery.c.film_id == film.c.id, isouter=True)
        .where(film.c.files_removed_at.is_(None), column.is_not(None))
        .distinct()
    ).all()
