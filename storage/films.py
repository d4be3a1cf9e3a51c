"""Every change of a film's job. One transaction a move: the row and its event, or neither."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy.exc import IntegrityError

from storage import deliveries
from storage.deliveries import NewDelivery
from storage.events import record
from storage.states import FILM_MOVES, FilmState, LostClaim, require_move
from storage.tables import film


@dataclasses.dataclass(frozen=True)
class ReceivedFilm:
    """What is known of a film when it is queued; no patient identity among it.

    Parameters
    ----------
    digest : str
        SHA-256 of the data set as received, without file meta, hexadecimal.
    spool_name : str
        Where the bytes are.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    accession_number: str
    modality: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    spool_name: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str


@dataclasses.dataclass(frozen=True)
class Queued:
    """Outcome of `enqueue`.

    Parameters
    ----------
    job : int
        Number of the job that stands for these bytes.
    is_new : bool
        False if the same bytes had been queued before: the caller's copy is not needed.
    conflict_with : int or None
        Job that holds the same SOP Instance UID with other bytes.
    """

    job: int
    is_new: bool
    conflict_with: int | None


@dataclasses.dataclass(frozen=True)
class Job:
    """A claimed film."""

    id: int
    sop_instance_uid: str
    digest: str
    spool_name: str
    attempts: int


class NoSuchJob(LookupError):
    """A job number that nobody was given."""


def enqueue(engine: Engine, received: ReceivedFilm, now: datetime.datetime) -> Queued:
    """Commit a job for a received film.

    The same bytes again make no second job. The same SOP Instance UID with other bytes is a conflict:
    kept as a job of its own, SKIPPED with the reason, so that the first result stands and an admin sees
    both; requeued, it is read like any film and its results get UIDs of their own.
    """
    try:
        return _insert(engine, received, now)
    except IntegrityError:
        # Another association queued the same bytes between our look and our insert; now they are there.
        return _insert(engine, received, now)


def _insert(engine: Engine, received: ReceivedFilm, now: datetime.datetime) -> Queued:
    with engine.begin() as connection:
        same_uid = connection.execute(
            select(film.c.id, film.c.digest)
            .where(film.c.sop_instance_uid == received.sop_instance_uid)
            .order_by(film.c.id)
        ).all()
        for row in same_uid:
            if row.digest == received.digest:
                return Queued(row.id, False, None)
        conflict_with = same_uid[0].id if same_uid else None
        state = FilmState.SKIPPED if same_uid else FilmState.QUEUED
        reason = (
            f"CONFLICT: found other bytes under the SOP Instance UID of job {conflict_with}, "
            "expected one film a UID; requeue to read this one too"
            if same_uid
            else ""
        )
        job = connection.execute(
            film.insert()
            .values(
                **dataclasses.asdict(received),
                conflict_with=conflict_with,
                state=state,
                reason=reason,
                received_at=now,
                changed_at=now,
            )
            .returning(film.c.id)
        ).scalar_one()
        record(connection, job, None, state, now, f"from {received.calling_ae_title}", reason)
        return Queued(job, True, conflict_with)


def claim(
    engine: Engine, claimant: str, limit: int, now: datetime.datetime, until: datetime.datetime
) -> list[Job]:
    """Take up to `limit` queued films, oldest first, for `claimant` until `until`; counts an attempt each."""
    with engine.begin() as connection:
        ids = connection.scalars(
            select(film.c.id)
            .where(film.c.state == FilmState.QUEUED)
            .order_by(film.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not ids:
            return []
        rows = connection.execute(
            update(film)
            .where(film.c.id.in_(ids), film.c.state == FilmState.QUEUED)
            .values(
                state=FilmState.READING,
                attempts=film.c.attempts + 1,
                claimed_by=claimant,
                claimed_until=until,
                changed_at=now,
                reason="",
            )
            .returning(film.c.id, film.c.sop_instance_uid, film.c.digest, film.c.spool_name, film.c.attempts)
        ).all()
        for row in rows:
            record(connection, row.id, FilmState.QUEUED, FilmState.READING, now, claimant, "")
    return sorted((Job(*row) for row in rows), key=lambda job: job.id)


def renew(engine: Engine, jobs: Sequence[int], claimant: str, until: datetime.datetime) -> None:
    """Keep the claim on films still being read."""
    with engine.begin() as connection:
        connection.execute(
            update(film)
            .where(film.c.id.in_(jobs), film.c.state == FilmState.READING, film.c.claimed_by == claimant)
            .values(claimed_until=until)
        )


def finish_read(
    engine: Engine,
    job: int,
    claimant: str,
    now: datetime.datetime,
    reading: dict[str, Any],
    new_deliveries: Sequence[NewDelivery],
) -> None:
    """READING to READ, with the reading's figures and a delivery for each result and destination.

    Raises
    ------
    LostClaim
        If the film is no longer ours; nothing is changed.
    """
    with engine.begin() as connection:
        _leave_reading(
            connection,
            job,
            claimant,
            FilmState.READ,
            now,
            "",
            message=reading["decision"],
            decision=reading["decision"],
            reading=reading,
        )
        deliveries.insert(connection, job, new_deliveries, now)


def finish(
    engine: Engine,
    job: int,
    claimant: str,
    state: FilmState,
    now: datetime.datetime,
    reason: str,
    new_deliveries: Sequence[NewDelivery] = (),
) -> None:
    """READING to SKIPPED or FAILED with the reason, or back to QUEUED; with a report on it to be delivered.

    Raises
    ------
    LostClaim
        If the film is no longer ours; nothing is changed.
    """
    with engine.begin() as connection:
        _leave_reading(connection, job, claimant, state, now, reason, message=reason)
        deliveries.insert(connection, job, new_deliveries, now)


def release_claims(
    engine: Engine, is_gone: Callable[[str], bool], now: datetime.datetime, most_attempts: int
) -> list[tuple[int, FilmState]]:
    """Put films whose claim lapsed or whose claimant is gone back to QUEUED, or to FAILED.

    Parameters
    ----------
    is_gone : callable
        Whether a claimant is known to be no more.
    most_attempts : int
        A film that has used them up fails.

    Returns
    -------
    list of (job, new state)
    """
    moved = []
    with engine.begin() as connection:
        claimed = connection.execute(
            select(film.c.id, film.c.claimed_by, film.c.claimed_until, film.c.attempts)
            .where(film.c.state == FilmState.READING)
            .with_for_update(skip_locked=True)
        ).all()
        for row in claimed:
            if row.claimed_until >= now and not is_gone(row.claimed_by):
                continue
            state = FilmState.QUEUED if row.attempts < most_attempts else FilmState.FAILED
            reason = f"{row.claimed_by} stopped in the middle of attempt {row.attempts} of {most_attempts}"
            _leave_reading(connection, row.id, row.claimed_by, state, now, reason, message=reason)
            moved.append((row.id, state))
    return moved


def requeue(engine: Engine, job: int, who: str, now: datetime.datetime) -> None:
    """SKIPPED or FAILED back to QUEUED, attempts counted anew.

    Raises
    ------
    NoSuchJob
    IllegalMove
        If it is not at such an end.
    """
    with engine.begin() as connection:
        state = connection.execute(
            select(film.c.state).where(film.c.id == job).with_for_update()
        ).scalar_one_or_none()
        if state is None:
            raise NoSuchJob(f"no job {job}")
        require_move(FILM_MOVES, state, FilmState.QUEUED)
        connection.execute(
            update(film)
            .where(film.c.id == job, film.c.state == state)
            .values(state=FilmState.QUEUED, attempts=0, reason="", changed_at=now)
        )
        record(connection, job, state, FilmState.QUEUED, now, who, "requeued")


def get(connection: Connection, job: int) -> Row[Any]:
    """The row of one film's job.

    Raises
    ------
    NoSuchJob
    """
    row = connection.execute(select(film).where(film.c.id == job)).one_or_none()
    if row is None:
        raise NoSuchJob(f"no job {job}")
    return row


def _leave_reading(
    connection: Connection,
    job: int,
    claimant: str,
    state: FilmState,
    now: datetime.datetime,
    reason: str,
    message: str,
    **values: object,
) -> None:
    require_move(FILM_MOVES, FilmState.READING, state)
    moved = connection.execute(
        update(film)
        .where(film.c.id == job, film.c.state == FilmState.READING, film.c.claimed_by == claimant)
        .values(state=state, reason=reason, claimed_by=None, claimed_until=None, changed_at=now, **values)
    )
    if moved.rowcount != 1:
        raise LostClaim(f"job {job} is no longer READING by {claimant}; someone else moved it")
    record(connection, job, FilmState.READING, state, now, claimant, message)
