"""Every change of a film's job. One transaction a move: the row and its event, or neither."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, Engine, Row, Update, bindparam, or_, select, update
from sqlalchemy.exc import IntegrityError

from storage import deliveries, film_maps
from storage.backfills import is_asked_for
from storage.deliveries import NewDelivery
from storage.events import record
from storage.film_maps import FilmMap
from storage.states import FILM_MOVES, FilmState, IllegalMove, LostClaim, require_move
from storage.tables import film


@dataclasses.dataclass(frozen=True)
class ReceivedFilm:
    """What is known of a film when it is queued; no patient identity among it.

    Parameters
    ----------
    digest : str
        BLAKE3 of the data set as received, without file meta, hexadecimal.
    spool_name : str
        Where the bytes are.
    retrospective : bool
        Whether it is known that a backfill asked the archive for it; of an instance that a backfill waits for
        it is so anyway.
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
    manufacturer: str = ""
    view_position: str = ""
    retrospective: bool = False


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
    spool_name : str
        Where the job looks for its bytes: the caller's copy, if it is new.
    """

    job: int
    is_new: bool
    conflict_with: int | None
    spool_name: str


@dataclasses.dataclass(frozen=True)
class ReadFilm:
    """What `finish_all_read` is told of a film.

    Parameters
    ----------
    job : int
    at : datetime.datetime
    reading : dict
        Its figures.
    deliveries : sequence of NewDelivery
    maps : FilmMap or None
    """

    job: int
    at: datetime.datetime
    reading: dict[str, Any]
    deliveries: Sequence[NewDelivery]
    maps: FilmMap | None = None


# Job numbers follow the times of reception but for associations side by side and a clock set back a little.
NUMBERING_SLACK = 1000


class NoSuchJob(LookupError):
    """A job number that nobody was given."""


# Built once: that takes SQLAlchemy longer than the statements take to be carried out.
_SAME_UID = (
    select(film.c.id, film.c.digest, film.c.spool_name)
    .where(film.c.sop_instance_uid == bindparam("uid"))
    .order_by(film.c.id)
)
_INSERT = (
    film.insert()
    .values(
        retrospective=or_(
            bindparam("is_known_retrospective", type_=Boolean),
            is_asked_for(bindparam("asked_uid")),
        )
    )
    .returning(film.c.id)
)
_LEAVE_READING = update(film).where(
    film.c.id == bindparam("of_job"),
    film.c.state == FilmState.READING,
    film.c.claimed_by == bindparam("claimant"),
)


def enqueue(engine: Engine, received: ReceivedFilm, now: datetime.datetime) -> Queued:
    """Commit a job for a received film.

    The same bytes again make no second job. The same SOP Instance UID with other bytes is a job of its own:
    the reader tells a corrected header from another film.
    """
    try:
        return _insert(engine, received, now)
    except IntegrityError:
        # Another association queued the same bytes between our look and our insert; now they are there.
        return _insert(engine, received, now)


def _insert(engine: Engine, received: ReceivedFilm, now: datetime.datetime) -> Queued:
    with engine.begin() as connection:
        same_uid = connection.execute(_SAME_UID, {"uid": received.sop_instance_uid}).all()
        for row in same_uid:
            if row.digest == received.digest:
                return Queued(row.id, False, None, row.spool_name)
        conflict_with = same_uid[0].id if same_uid else None
        reason = f"other bytes under the SOP Instance UID of job {conflict_with}" if same_uid else ""
        values = dataclasses.asdict(received)
        values |= {
            "is_known_retrospective": values.pop("retrospective"),
            "asked_uid": received.sop_instance_uid,
            "conflict_with": conflict_with,
            "state": FilmState.QUEUED,
            "reason": reason,
            "received_at": now,
            "changed_at": now,
        }
        job = connection.execute(_INSERT, values).scalar_one()
        record(connection, job, None, FilmState.QUEUED, now, f"from {received.calling_ae_title}", reason)
        return Queued(job, True, conflict_with, received.spool_name)


def find(connection: Connection, sop_instance_uid: str, digest: str) -> Row[Any] | None:
    """The row of the job for these bytes, if there is one."""
    return connection.execute(
        select(film).where(film.c.sop_instance_uid == sop_instance_uid, film.c.digest == digest)
    ).one_or_none()


def replace_file(engine: Engine, job: int, spool_name: str, now: datetime.datetime) -> None:
    """Give a job whose file is gone the same bytes, come again; one that FAILED is queued again."""
    with engine.begin() as connection:
        state = connection.execute(
            select(film.c.state).where(film.c.id == job).with_for_update()
        ).scalar_one()
        values: dict[str, object] = {"spool_name": spool_name, "files_removed_at": None}
        if state == FilmState.FAILED:
            require_move(FILM_MOVES, state, FilmState.QUEUED)
            values |= {"state": FilmState.QUEUED, "attempts": 0, "reason": "", "changed_at": now}
            record(connection, job, state, FilmState.QUEUED, now, "receive", "came again, its file was gone")
        connection.execute(update(film).where(film.c.id == job).values(**values))


def fail_without_file(engine: Engine, job: int, spool_name: str, who: str, now: datetime.datetime) -> bool:
    """QUEUED to FAILED, for a film whose file is gone; False if it has been moved or given another file."""
    reason = "MISSING: found no file in the spool, expected the film; it is read if it is sent again"
    require_move(FILM_MOVES, FilmState.QUEUED, FilmState.FAILED)
    with engine.begin() as connection:
        moved = connection.execute(
            update(film)
            .where(film.c.id == job, film.c.state == FilmState.QUEUED, film.c.spool_name == spool_name)
            .values(state=FilmState.FAILED, reason=reason, changed_at=now)
        )
        if moved.rowcount:
            record(connection, job, FilmState.QUEUED, FilmState.FAILED, now, who, reason)
    return moved.rowcount == 1


def finish_read(
    engine: Engine,
    job: int,
    claimant: str,
    now: datetime.datetime,
    reading: dict[str, Any],
    new_deliveries: Sequence[NewDelivery],
    maps: FilmMap | None = None,
) -> None:
    """READING to READ, with the reading's figures and maps and a delivery for each result and destination.

    Raises
    ------
    LostClaim
        If the film is no longer ours; nothing is changed.
    """
    with engine.begin() as connection:
        _finish_read(connection, claimant, ReadFilm(job, now, reading, new_deliveries, maps))


def finish_all_read(engine: Engine, claimant: str, some: Sequence[ReadFilm]) -> dict[int, LostClaim]:
    """As `finish_read`, several films in one transaction.

    Returns
    -------
    dict of int to LostClaim
        Jobs that are no longer the claimant's; of these nothing is changed.
    """
    lost = {}
    with engine.begin() as connection:
        for one in some:
            try:
                _finish_read(connection, claimant, one)
            except LostClaim as error:
                lost[one.job] = error
    return lost


def _finish_read(connection: Connection, claimant: str, one: ReadFilm) -> None:
    said = one.reading["decision"]
    _leave_reading(
        connection,
        one.job,
        claimant,
        FilmState.READ,
        one.at,
        "",
        message=said,
        decision=said,
        reading=one.reading,
    )
    if one.maps is not None:
        film_maps.put(connection, one.job, one.maps)
    deliveries.insert(connection, one.job, one.deliveries, one.at)


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


def put_back(engine: Engine, jobs: Sequence[int], claimant: str, now: datetime.datetime, reason: str) -> None:
    """READING to QUEUED, the attempt not counted: the node's trouble, not the film's."""
    uncounted = _LEAVE_READING.values(attempts=film.c.attempts - 1)
    with engine.begin() as connection:
        for job in jobs:
            _leave_reading(connection, job, claimant, FilmState.QUEUED, now, reason, reason, uncounted)


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


def requeue(engine: Engine, job: int, who: str, now: datetime.datetime, message: str = "requeued") -> None:
    """READ, SKIPPED or FAILED back to QUEUED, attempts counted anew; `message` stands in the history.

    A film that another had the SOP Instance UID of is then read as one of its own.

    Raises
    ------
    NoSuchJob
    IllegalMove
        If it is not at an end, retention has taken its film, or its results were withdrawn.
    """
    with engine.begin() as connection:
        row = connection.execute(
            select(film.c.state, film.c.files_removed_at, film.c.withdrawn_at)
            .where(film.c.id == job)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise NoSuchJob(f"no job {job}")
        state = row.state
        require_move(FILM_MOVES, state, FilmState.QUEUED)
        if row.files_removed_at is not None:
            raise IllegalMove(
                f"its files were removed at {row.files_removed_at:%Y-%m-%d %H:%M}, expected them"
            )
        if row.withdrawn_at is not None:
            raise IllegalMove(
                f"its results were withdrawn at {row.withdrawn_at:%Y-%m-%d %H:%M}, expected them in use"
            )
        connection.execute(
            update(film)
            .where(film.c.id == job, film.c.state == state)
            .values(state=FilmState.QUEUED, attempts=0, reason="", conflict_with=None, changed_at=now)
        )
        record(connection, job, state, FilmState.QUEUED, now, who, message)


def first_received_from(connection: Connection, at: datetime.datetime) -> int | None:
    """Number of the first job whose film was received at a time or later.

    The films of later numbers are those received since but for `NUMBERING_SLACK` of them.
    """
    query = select(film.c.id).where(film.c.received_at >= at).order_by(film.c.received_at).limit(1)
    return connection.scalars(query).one_or_none()


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


def neighbours(connection: Connection, job: int) -> tuple[int | None, int | None]:
    """The jobs received right after and right before one."""
    after = select(film.c.id).where(film.c.id > job).order_by(film.c.id).limit(1)
    before = select(film.c.id).where(film.c.id < job).order_by(film.c.id.desc()).limit(1)
    return connection.scalars(after).one_or_none(), connection.scalars(before).one_or_none()


def _leave_reading(
    connection: Connection,
    job: int,
    claimant: str,
    state: FilmState,
    now: datetime.datetime,
    reason: str,
    message: str,
    leave: Update = _LEAVE_READING,
    **values: object,
) -> None:
    require_move(FILM_MOVES, FilmState.READING, state)
    values |= {"state": state, "reason": reason, "changed_at": now, "claimed_by": None, "claimed_until": None}
    moved = connection.execute(leave, {"of_job": job, "claimant": claimant} | values)
    if moved.rowcount != 1:
        raise LostClaim(f"job {job} is no longer READING by {claimant}; someone else moved it")
    record(connection, job, FilmState.READING, state, now, claimant, message)
