"""What backfills asked an archive for, and what of it has come: enough to go on after a kill."""

import dataclasses
import datetime
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import BindParameter, Connection, Engine, Exists, distinct, exists, func, select, update

from storage.retry import wait_seconds
from storage.states import DeliveryState, FilmState, RetrievalState
from storage.tables import backfill, backfill_day, backfill_instance, delivery, film

MOST_ATTEMPTS = 3
_UIDS_AT_ONCE = 500


class AlreadyRunning(RuntimeError):
    """Another process is at a backfill; together they would ask twice and double what is asked a minute."""


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of an archive.

    Parameters
    ----------
    archive : str
        Its AE title.
    first_day, last_day : date
        *Study Date*, both included; of a list of studies, the day on which it is given.
    modalities : tuple of str
    studies : tuple of str
        Study Instance UIDs; empty where days are asked for.
    """

    archive: str
    first_day: datetime.date
    last_day: datetime.date
    modalities: tuple[str, ...]
    studies: tuple[str, ...] = ()

    def days(self) -> list[datetime.date]:
        """All of them, oldest first."""
        number = (self.last_day - self.first_day).days + 1
        return [self.first_day + datetime.timedelta(days=n) for n in range(number)]

    def size(self) -> int:
        """Studies, or days."""
        return len(self.studies) or len(self.days())

    def studies_sha256(self) -> str:
        """Digest that tells one list of studies from another, whatever their order; empty for days."""
        return hashlib.sha256("\n".join(sorted(self.studies)).encode()).hexdigest() if self.studies else ""

    def __str__(self) -> str:
        return f"{len(self.studies)} studies" if self.studies else f"{self.first_day} to {self.last_day}"


@dataclasses.dataclass(frozen=True)
class Backfill:
    """A question that a process works on; `is_resumed` where an earlier one began."""

    id: int
    question: Question
    is_resumed: bool


@dataclasses.dataclass(frozen=True)
class FoundInstance:
    """An instance that the archive names."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclasses.dataclass(frozen=True)
class AskedInstance(FoundInstance):
    """One that is about to be asked for."""

    id: int
    attempts: int


def begin(
    engine: Engine,
    question: Question,
    is_open: bool,
    claimant: str,
    is_gone: Callable[[str], bool],
    now: datetime.datetime,
    until: datetime.datetime,
) -> Backfill:
    """Claim the unfinished backfill with this question, or a new one, until `until`.

    What an earlier process had asked for and has not come is FOUND again.

    Parameters
    ----------
    question : Question
    is_open : bool
        Whether an unfinished one with another last day will do, of which the newest is taken.
    is_gone : callable
        Whether a claimant is known to be no more.

    Raises
    ------
    AlreadyRunning
    """
    of_question = [
        backfill.c.archive == question.archive,
        backfill.c.studies_sha256 == question.studies_sha256(),
        backfill.c.modalities == ",".join(question.modalities),
    ]
    if not question.studies:
        of_question.append(backfill.c.first_day == question.first_day)
    if not (question.studies or is_open):
        of_question.append(backfill.c.last_day == question.last_day)
    claim = {"claimed_by": claimant, "claimed_until": until}
    with engine.begin() as connection:
        unfinished = select(backfill).where(backfill.c.finished_at.is_(None)).order_by(backfill.c.id.desc())
        for row in connection.execute(unfinished.where(backfill.c.claimed_until >= now)):
            if not is_gone(row.claimed_by):
                what = "a list of studies" if row.studies_sha256 else f"{row.first_day} to {row.last_day}"
                raise AlreadyRunning(
                    f"{row.claimed_by} is at the backfill of {what}; end it, or wait for its end"
                )
        row = connection.execute(unfinished.where(*of_question).limit(1)).one_or_none()
        if row is None:
            inserted = connection.execute(
                backfill.insert()
                .values(
                    archive=question.archive,
                    first_day=question.first_day,
                    last_day=question.last_day,
                    modalities=",".join(question.modalities),
                    studies_sha256=question.studies_sha256(),
                    started_at=now,
                    **claim,
                )
                .returning(backfill.c.id)
            )
            return Backfill(inserted.scalar_one(), question, False)
        connection.execute(update(backfill).where(backfill.c.id == row.id).values(**claim))
        _settle(connection, row.id, now)
        resumed = dataclasses.replace(question, last_day=row.last_day)
    return Backfill(row.id, resumed, True)


def renew(engine: Engine, number: int, until: datetime.datetime) -> None:
    """Keep the claim on a backfill."""
    with engine.begin() as connection:
        connection.execute(update(backfill).where(backfill.c.id == number).values(claimed_until=until))


def release(engine: Engine, number: int, now: datetime.datetime, is_finished: bool) -> None:
    """Give the claim up; one that is finished is not gone on with."""
    values: dict[str, object] = {"claimed_by": None, "claimed_until": None}
    if is_finished:
        values["finished_at"] = now
    with engine.begin() as connection:
        connection.execute(update(backfill).where(backfill.c.id == number).values(**values))


def days_named(connection: Connection, number: int) -> set[datetime.date]:
    """Days whose instances the archive has named."""
    return set(connection.scalars(select(backfill_day.c.day).where(backfill_day.c.backfill_id == number)))


def add_day(
    engine: Engine,
    number: int,
    day: datetime.date,
    found: Sequence[FoundInstance],
    now: datetime.datetime,
) -> None:
    """Keep what the archive has of a day; what has a job already is KNOWN and will not be asked for."""
    with engine.begin() as connection:
        add_instances(connection, number, found, now)
        connection.execute(backfill_day.insert().values(backfill_id=number, day=day, named_at=now))


def add_instances(
    connection: Connection, number: int, found: Sequence[FoundInstance], now: datetime.datetime
) -> None:
    """Add to a backfill what it does not have yet, FOUND or, with a job, KNOWN."""
    uids = [one.sop_instance_uid for one in found]
    here = known(connection, uids)
    before = _among(connection, backfill_instance, uids, backfill_instance.c.backfill_id == number)
    rows = [
        {
            **dataclasses.asdict(one),
            "backfill_id": number,
            "state": RetrievalState.KNOWN if one.sop_instance_uid in here else RetrievalState.FOUND,
            "next_attempt_at": now,
        }
        for one in found
        if one.sop_instance_uid not in before
    ]
    if rows:
        connection.execute(backfill_instance.insert(), rows)


def known(connection: Connection, uids: Iterable[str]) -> set[str]:
    """Those of some SOP Instance UIDs that have a job."""
    return _among(connection, film, uids)


def ask_next(engine: Engine, number: int, limit: int, now: datetime.datetime) -> list[AskedInstance]:
    """Take up to `limit` instances of one series that are to be asked for now; counts an attempt each.

    What has come by itself since it was found becomes KNOWN instead.
    """
    due = (
        select(backfill_instance)
        .where(
            backfill_instance.c.backfill_id == number,
            backfill_instance.c.state == RetrievalState.FOUND,
            backfill_instance.c.next_attempt_at <= now,
        )
        .order_by(backfill_instance.c.id)
    )
    with engine.begin() as connection:
        while first := connection.execute(due.limit(1)).one_or_none():
            of_series = due.where(backfill_instance.c.series_instance_uid == first.series_instance_uid)
            rows = connection.execute(of_series.limit(limit)).all()
            here = known(connection, [row.sop_instance_uid for row in rows])
            _move(
                connection,
                [row.id for row in rows if row.sop_instance_uid in here],
                RetrievalState.FOUND,
                RetrievalState.KNOWN,
            )
            asked = [row for row in rows if row.sop_instance_uid not in here]
            if asked:
                ids = [row.id for row in asked]
                more = {"attempts": backfill_instance.c.attempts + 1}
                _move(connection, ids, RetrievalState.FOUND, RetrievalState.ASKED, **more)
                return [
                    AskedInstance(
                        row.study_instance_uid,
                        row.series_instance_uid,
                        row.sop_instance_uid,
                        row.id,
                        row.attempts + 1,
                    )
                    for row in asked
                ]
    return []


def settle(engine: Engine, number: int, now: datetime.datetime, reason: str) -> int:
    """After a move: what came has ARRIVED, the rest is asked for again later, or has FAILED; how many came.

    Parameters
    ----------
    reason : str
        Why something did not come.
    """
    with engine.begin() as connection:
        return _settle(connection, number, now, reason)


def put_back(engine: Engine, number: int, now: datetime.datetime) -> None:
    """After a move that the archive never heard of: what was to be asked for is due again, uncounted."""
    with engine.begin() as connection:
        _settle(connection, number, now)


def next_attempt_at(connection: Connection, number: int) -> datetime.datetime | None:
    """When the next instance is to be asked for; None if there is none."""
    return connection.execute(
        select(func.min(backfill_instance.c.next_attempt_at)).where(
            backfill_instance.c.backfill_id == number, backfill_instance.c.state == RetrievalState.FOUND
        )
    ).scalar_one()


def counts(connection: Connection, number: int) -> Counter[str]:
    """Instances of a backfill by state."""
    rows = connection.execute(
        select(backfill_instance.c.state, func.count())
        .where(backfill_instance.c.backfill_id == number)
        .group_by(backfill_instance.c.state)
    )
    return Counter(dict(rows.all()))


def failures(connection: Connection, number: int) -> Counter[str]:
    """Instances that FAILED by reason."""
    rows = connection.execute(
        select(backfill_instance.c.reason, func.count())
        .where(backfill_instance.c.backfill_id == number, backfill_instance.c.state == RetrievalState.FAILED)
        .group_by(backfill_instance.c.reason)
    )
    return Counter(dict(rows.all()))


def is_asked_for(sop_instance_uid: str | BindParameter[str]) -> Exists:
    """Whether a backfill waits for an instance, within another statement."""
    return exists().where(
        backfill_instance.c.sop_instance_uid == sop_instance_uid,
        backfill_instance.c.state == RetrievalState.ASKED,
    )


def in_hand(connection: Connection, destinations: Collection[str]) -> int:
    """Retrospective films that are not read, or of which a result is on its way to one of `destinations`."""
    unread = select(func.count()).where(
        film.c.state.in_((FilmState.QUEUED, FilmState.READING)), film.c.retrospective
    )
    undelivered = (
        select(func.count(distinct(delivery.c.film_id)))
        .join(film, film.c.id == delivery.c.film_id)
        .where(
            delivery.c.destination.in_(destinations),
            delivery.c.state.in_((DeliveryState.PENDING, DeliveryState.SENDING)),
            film.c.retrospective,
            film.c.state.not_in((FilmState.QUEUED, FilmState.READING)),
        )
    )
    return connection.execute(unread).scalar_one() + connection.execute(undelivered).scalar_one()


def _settle(connection: Connection, number: int, now: datetime.datetime, reason: str = "") -> int:
    """Judge what is ASKED by what is here; without a reason, the attempt of the rest is not counted."""
    rows = connection.execute(
        select(backfill_instance).where(
            backfill_instance.c.backfill_id == number, backfill_instance.c.state == RetrievalState.ASKED
        )
    ).all()
    here = known(connection, [row.sop_instance_uid for row in rows])
    came = [row.id for row in rows if row.sop_instance_uid in here]
    _move(connection, came, RetrievalState.ASKED, RetrievalState.ARRIVED, reason="")
    for row in rows:
        if row.sop_instance_uid in here:
            continue
        if not reason:
            values = {"attempts": row.attempts - 1, "next_attempt_at": now}
            _move(connection, [row.id], RetrievalState.ASKED, RetrievalState.FOUND, **values)
        elif row.attempts < MOST_ATTEMPTS:
            wait = datetime.timedelta(seconds=wait_seconds(row.attempts, number))
            values = {"reason": reason, "next_attempt_at": now + wait}
            _move(connection, [row.id], RetrievalState.ASKED, RetrievalState.FOUND, **values)
        else:
            _move(connection, [row.id], RetrievalState.ASKED, RetrievalState.FAILED, reason=reason)
    return len(came)


def _move(
    connection: Connection,
    ids: Sequence[int],
    from_state: RetrievalState,
    to_state: RetrievalState,
    **values: object,
) -> None:
    if ids:
        connection.execute(
            update(backfill_instance)
            .where(backfill_instance.c.id.in_(ids), backfill_instance.c.state == from_state)
            .values(state=to_state, **values)
        )


def _among(connection: Connection, table: object, uids: Iterable[str], *conditions: object) -> set[str]:
    """Those of some SOP Instance UIDs that a table has."""
    uids, found = list(uids), set()
    for start in range(0, len(uids), _UIDS_AT_ONCE):
        some = table.c.sop_instance_uid.in_(uids[start : start + _UIDS_AT_ONCE])
        found |= set(connection.scalars(select(table.c.sop_instance_uid).where(some, *conditions)))
    return found
