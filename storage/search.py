"""Jobs found and paged, newest first: by key, so that a page costs the same at a million jobs."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, select, text, union

from storage import films
from storage.states import DeliveryState, FilmState
from storage.tables import delivery, film

# Above every text that begins alike, in the order of bytes.
_LAST = "\U0010ffff"
_MOST_SENDERS = 200


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which jobs; what is None or false asks for nothing.

    Parameters
    ----------
    accession_end : str
        Last letters of the Accession Number.
    since, before : datetime
        Time of reception.
    destination : str
        Jobs with a result for it.
    delivery_failed : bool
        Jobs with a result that FAILED, at `destination` where given.
    indeterminate : bool
        Jobs whose reading is.
    """

    accession_end: str | None = None
    state: FilmState | None = None
    calling_ae_title: str | None = None
    destination: str | None = None
    since: datetime.datetime | None = None
    before: datetime.datetime | None = None
    delivery_failed: bool = False
    indeterminate: bool = False


def page(
    connection: Connection,
    wanted: Filter,
    limit: int,
    older_than: int | None = None,
    newer_than: int | None = None,
) -> list[int]:
    """Numbers of up to `limit` jobs, newest first: those next to the job that is named, or the newest."""
    # Which index leads is not left to a database that may know nothing of how many rows there are.
    by_delivery = wanted.delivery_failed or (
        wanted.destination is not None and wanted.calling_ae_title is None
    )
    conditions = _of_film(wanted)
    if by_delivery:
        job: ColumnElement[int] = delivery.c.film_id
        conditions = [*_of_delivery(wanted), *_joined(conditions)]
    else:
        job = film.c.id + 0 if wanted.accession_end else film.c.id
        if wanted.destination is not None:
            conditions.append(exists().where(delivery.c.film_id == film.c.id, *_of_delivery(wanted)))
    between = _between(connection, wanted, job)
    if between is None:
        return []
    conditions += between
    if older_than is not None:
        conditions.append(job < older_than)
    if newer_than is not None:
        conditions.append(job > newer_than)
    query = (
        select(job).where(*conditions).order_by(job if newer_than is not None else job.desc()).limit(limit)
    )
    if by_delivery:
        query = query.group_by(job)
    return sorted(connection.scalars(query), reverse=True)


def with_uid(connection: Connection, uid: str) -> list[int]:
    """Numbers of the jobs of a film, a study or a result, newest first."""
    of = (
        select(film.c.id).where(film.c.sop_instance_uid == uid),
        select(film.c.id).where(film.c.study_instance_uid == uid),
        select(delivery.c.film_id).where(delivery.c.sop_instance_uid == uid),
    )
    return sorted(connection.scalars(union(*of)), reverse=True)


def existing(connection: Connection, job: int) -> list[int]:
    """The number itself, if there is such a job."""
    return list(connection.scalars(select(film.c.id).where(film.c.id == job)))


def load(connection: Connection, jobs: Sequence[int]) -> list[tuple[Row[Any], list[Row[Any]]]]:
    """The rows of these jobs, newest first, each with those of its deliveries."""
    rows = connection.execute(select(film).where(film.c.id.in_(jobs)).order_by(film.c.id.desc())).all()
    deliveries: dict[int, list[Row[Any]]] = {row.id: [] for row in rows}
    sent = select(delivery).where(delivery.c.film_id.in_(jobs)).order_by(delivery.c.id)
    for row in connection.execute(sent):
        deliveries[row.film_id].append(row)
    return [(row, deliveries[row.id]) for row in rows]


def count_between(
    connection: Connection, since: datetime.datetime, before: datetime.datetime
) -> tuple[dict[str, int], int]:
    """How many films received in that time are in each state, and how many have a result that FAILED."""
    in_time = (film.c.received_at >= since, film.c.received_at < before)
    states = connection.execute(select(film.c.state, func.count()).where(*in_time).group_by(film.c.state))
    counts = dict(states.all())
    failed = connection.execute(
        select(func.count())
        .select_from(film)
        .where(*in_time, exists().where(delivery.c.film_id == film.c.id, _HAS_FAILED))
    ).scalar_one()
    return counts, failed


def senders(connection: Connection) -> list[str]:
    """Calling AE titles that films came from; a look into the index for each, not at every film."""
    found: list[str] = []
    while len(found) < _MOST_SENDERS:
        last = found[-1] if found else ""
        later = select(func.min(film.c.calling_ae_title)).where(film.c.calling_ae_title > last)
        if (title := connection.execute(later).scalar_one()) is None:
            break
        found.append(title)
    return found


def first_received(connection: Connection) -> datetime.datetime | None:
    """When the oldest film that there is a job of came."""
    return connection.scalars(select(film.c.received_at).order_by(film.c.id).limit(1)).one_or_none()


# Said as texts, by which both databases know the indexes of just these rows.
_HAS_PASSED = text(f"film.state <> '{FilmState.QUEUED}'")
_HAS_FAILED = text(f"delivery.state = '{DeliveryState.FAILED}'")


def _of_film(wanted: Filter) -> list[Any]:
    conditions: list[Any] = []
    if wanted.accession_end:
        begin = wanted.accession_end[::-1]
        conditions += [film.c.accession_reversed >= begin, film.c.accession_reversed < begin + _LAST]
    if wanted.state is not None:
        conditions.append(film.c.state == wanted.state)
        if wanted.state != FilmState.QUEUED:
            conditions.append(_HAS_PASSED)
    if wanted.calling_ae_title is not None:
        conditions.append(film.c.calling_ae_title == wanted.calling_ae_title)
    if wanted.since is not None:
        conditions.append(film.c.received_at >= wanted.since)
    if wanted.before is not None:
        conditions.append(film.c.received_at < wanted.before)
    if wanted.indeterminate:
        conditions.append(film.c.decision.startswith("indeterminate"))
    return conditions


def _of_delivery(wanted: Filter) -> list[Any]:
    if wanted.delivery_failed:
        # An expression, so that the index of the failed ones leads, and not that of the destination.
        to = [delivery.c.destination.concat("") == wanted.destination] if wanted.destination else []
        return [_HAS_FAILED, *to]
    return [delivery.c.destination == wanted.destination]


def _joined(conditions: list[Any]) -> list[Any]:
    return [exists().where(film.c.id == delivery.c.film_id, and_(*conditions))] if conditions else []


def _between(connection: Connection, wanted: Filter, job: ColumnElement[int]) -> list[Any] | None:
    """Bounds of the job numbers of a time, by which the page is cut out; None if no film came in it."""
    bounds: list[Any] = []
    if wanted.since is not None:
        if (first := films.first_received_from(connection, wanted.since)) is None:
            return None
        bounds.append(job >= first - films.NUMBERING_SLACK)
    if (
        wanted.before is not None
        and (end := films.first_received_from(connection, wanted.before)) is not None
    ):
        bounds.append(job < end + films.NUMBERING_SLACK)
    return bounds
