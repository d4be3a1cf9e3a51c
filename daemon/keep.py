"""A received film into spool and database: both have it, or the sender is told that neither has."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from storage import database, films
from storage.films import Queued, ReceivedFilm
from storage.spool import Spool, SpoolUnavailable


def keep(incoming: Path, described: dict[str, object], engine: Engine, spool: Spool) -> Queued:
    """Make a received file durable and commit its job.

    Parameters
    ----------
    incoming : Path
        A closed file in the spool's ``incoming``.
    described : dict
        The fields of `ReceivedFilm` but its ``spool_name``.

    Raises
    ------
    OSError, sqlalchemy.exc.SQLAlchemyError
        If the film could not be kept. No file is left behind; if a row is, since a commit went through
        whose answer came too late even for a second look, the same bytes sent again become its file.
    """
    name = spool.keep_film(incoming)
    received = ReceivedFilm(**described, spool_name=name)
    try:
        queued = _enqueue(engine, received)
        if queued.spool_name != name and not spool.has(queued.spool_name):
            films.replace_file(engine, queued.job, name, service.now())
        elif queued.spool_name != name:
            spool.discard(name)
        elif not spool.has(name):
            raise SpoolUnavailable("its file was removed before its job was committed")
    except BaseException:
        spool.discard(name)
        raise
    return queued


def _enqueue(engine: Engine, received: ReceivedFilm) -> Queued:
    """Commit the job; where that fails, look whether only the answer was lost, or try once more."""
    try:
        return films.enqueue(engine, received, service.now())
    except SQLAlchemyError:
        with database.reading(engine) as connection:
            row = films.find(connection, received.sop_instance_uid, received.digest)
        if row is None:
            return films.enqueue(engine, received, service.now())
        return Queued(row.id, row.spool_name == received.spool_name, row.conflict_with, row.spool_name)
