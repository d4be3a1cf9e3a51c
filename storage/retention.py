"""Which films' files may go, and that they went; the job rows stay."""

import datetime
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, Engine, and_, or_, select, update

from storage import database, film_maps
from storage.deliveries import NOTE
from storage.spool import Spool
from storage.states import DeliveryState, FilmState
from storage.tables import delivery, film


def remove(
    engine: Engine,
    spool: Spool,
    now: datetime.datetime,
    keep: datetime.timedelta,
    most_bytes: int,
    committing: Collection[str],
) -> int:
    """Remove the files of films that are old, or while there are too many bytes; never what is undelivered.

    Parameters
    ----------
    now : datetime.datetime
    keep : datetime.timedelta
        A film that came to its end longer ago goes.
    most_bytes : int
        Films and results above this go too, the oldest first; 0 sets no bound.
    committing : collection of str
        Destinations whose commitment is waited for.

    Returns
    -------
    int
        Films whose files are gone now.
    """
    with database.reading(engine) as connection:
        candidates = _removable(connection, committing)
    sizes = {file.name: file.size_bytes for kind in ("films", "results") for file in spool.kept(kind)}
    excess = sum(sizes.values()) - most_bytes if most_bytes else 0
    removed = 0
    for job, changed_at in candidates:
        if changed_at > now - keep and excess <= 0:
            break
        names = _release(engine, job, now, committing)
        for name in names:
            # Only after the commit: a file whose row says that it is gone is swept, a lost film is lost.
            spool.discard(name)
            excess -= sizes.get(name, 0)
        removed += bool(names)
    return removed


def is_delivered(committing: Collection[str]) -> ColumnElement[bool]:
    """Whether a delivery needs its file no more: its destination holds it, and has said so if it commits."""
    return or_(
        delivery.c.state == DeliveryState.COMMITTED,
        and_(
            delivery.c.state == DeliveryState.SENT,
            # One that was sent before its destination was asked for commitment is never committed to.
            or_(delivery.c.commitment_due_at.is_(None), delivery.c.destination.not_in(committing)),
        ),
    )


def is_over(committing: Collection[str]) -> ColumnElement[bool]:
    """The one rule for what may go: the film was read or skipped, and all its results are delivered.

    A READ film without deliveries had nowhere to send its results: nobody else has them. What FAILED, or
    was refused by its destination, is kept for the admin.
    """
    of_film = select(delivery.c.id).where(delivery.c.film_id == film.c.id)
    return and_(
        # Of a film whose results were withdrawn only the note has to be delivered.
        ~of_film.where(
            ~is_delivered(committing), or_(film.c.withdrawn_at.is_(None), delivery.c.kind == NOTE)
        ).exists(),
        or_(
            film.c.state == FilmState.SKIPPED,
            and_(film.c.state == FilmState.READ, of_film.exists()),
        ),
    )


def _removable(
    connection: Connection, committing: Collection[str]
) -> Sequence[tuple[int, datetime.datetime]]:
    """Jobs that are over, the oldest end first."""
    return connection.execute(
        select(film.c.id, film.c.changed_at)
        .where(film.c.files_removed_at.is_(None), is_over(committing))
        .order_by(film.c.changed_at)
    ).all()


def _release(engine: Engine, job: int, now: datetime.datetime, committing: Collection[str]) -> list[str]:
    """Note that a film's files go, and name them; none if it was moved meanwhile."""
    with engine.begin() as connection:
        spool_name = connection.execute(
            update(film)
            .where(film.c.id == job, film.c.files_removed_at.is_(None), is_over(committing))
            .values(files_removed_at=now)
            .returning(film.c.spool_name)
        ).scalar_one_or_none()
        if spool_name is None:
            return []
        film_maps.remove(connection, job)
        results = connection.scalars(
            select(delivery.c.spool_name).where(delivery.c.film_id == job).distinct()
        )
        return [spool_name, *results]
