"""The films of the triage list: those received since a time, with their deliveries and verdicts."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from storage import films
from storage.states import FilmState
from storage.tables import delivery, film, verdict

# What the list shows, of many rows.
_OF_FILM = [
    film.c[name]
    for name in (
        "id", "state", "reason", "attempts", "received_at", "withdrawn_at", "decision", "reading",
        "accession_number", "modality", "view_position", "calling_ae_title",
    )
]  # fmt: skip
_OF_DELIVERY = [
    delivery.c[name]
    for name in (
        "id", "film_id", "kind", "destination", "state", "peer_status", "attempts", "next_attempt_at",
    )
]  # fmt: skip
_ENDS = (FilmState.READ, FilmState.SKIPPED, FilmState.FAILED)


@dataclasses.dataclass(frozen=True)
class Listed:
    """One film at an end.

    Parameters
    ----------
    film : Row
    deliveries : list of Row
    verdict : Row or None
        The newest, which counts.
    """

    film: Row[Any]
    deliveries: Sequence[Row[Any]]
    verdict: Row[Any] | None


def films_since(connection: Connection, since: datetime.datetime, limit: int) -> list[Listed]:
    """The newest films received since a time that are at an end, newest first, `limit` at most."""
    first = films.first_received_from(connection, since)
    if first is None:
        return []
    # By number, which every index leads to, also where the database knows nothing of how many rows there are.
    rows = connection.execute(
        select(*_OF_FILM)
        .where(film.c.id >= first - films.NUMBERING_SLACK, film.c.received_at >= since)
        .order_by(film.c.id.desc())
        .limit(limit)
    ).all()
    if not rows:
        return []
    oldest = rows[-1].id
    sent = connection.execute(select(*_OF_DELIVERY).where(delivery.c.film_id >= oldest)).all()
    deliveries: dict[int, list[Row[Any]]] = {}
    for row in sorted(sent, key=lambda row: row.id):
        deliveries.setdefault(row.film_id, []).append(row)
    said = connection.execute(select(verdict).where(verdict.c.film_id >= oldest)).all()
    verdicts = {row.film_id: row for row in sorted(said, key=lambda row: row.id)}
    return [
        Listed(row, deliveries.get(row.id, []), verdicts.get(row.id)) for row in rows if row.state in _ENDS
    ]


def in_work(connection: Connection) -> tuple[int, int]:
    """How many films are being read, and how many wait to be."""
    states = connection.execute(
        select(film.c.state, func.count())
        .where(film.c.state.in_((FilmState.READING, FilmState.QUEUED)))
        .group_by(film.c.state)
    )
    counts = dict(states.all())
    return counts.get(FilmState.READING, 0), counts.get(FilmState.QUEUED, 0)


def last_film(connection: Connection) -> Row[Any] | None:
    """When the newest film came, and from whom."""
    return connection.execute(
        select(film.c.received_at, film.c.calling_ae_title).order_by(film.c.id.desc()).limit(1)
    ).one_or_none()
