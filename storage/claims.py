"""Films taken in hand by a reader, and what it has to know of the films beside them."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine, Integer, bindparam, func, select, update

from storage.events import record
from storage.states import FilmState
from storage.tables import delivery, film


@dataclasses.dataclass(frozen=True)
class OtherFilm:
    """A film that a claimed one is compared with: the study's earliest, or the first of the same UID."""

    job: int
    spool_name: str


@dataclasses.dataclass(frozen=True)
class Job:
    """A claimed film.

    Parameters
    ----------
    study_began : OtherFilm or None
        The earliest film of its study whose file is still there; may be itself.
    same_uid : OtherFilm or None
        The first film of its SOP Instance UID, which had other bytes.
    earlier_results : tuple of str
        Spool names of the results of an earlier reading.
    retrospective : bool
        Whether a backfill asked the archive for it.
    """

    id: int
    sop_instance_uid: str
    digest: str
    spool_name: str
    attempts: int
    study_instance_uid: str
    calling_ae_title: str
    received_at: datetime.datetime
    retrospective: bool
    study_began: OtherFilm | None = None
    same_uid: OtherFilm | None = None
    earlier_results: tuple[str, ...] = ()


# Built once: that takes SQLAlchemy longer than the statements take to be carried out.
_QUEUED = {
    retrospective: select(film.c.id)
    .where(film.c.state == FilmState.QUEUED, film.c.retrospective == retrospective)
    .with_for_update(skip_locked=True)
    for retrospective in (False, True)
}
_TRIED = {
    retrospective: queued.where(film.c.attempts > 0).order_by(film.c.attempts, film.c.id).limit(1)
    for retrospective, queued in _QUEUED.items()
}
_FRESH = {
    retrospective: queued.where(film.c.attempts == 0)
    .order_by(film.c.id)
    .limit(bindparam("most", type_=Integer))
    for retrospective, queued in _QUEUED.items()
}
_OF_JOB = (
    "id",
    "sop_instance_uid",
    "digest",
    "spool_name",
    "attempts",
    "study_instance_uid",
    "calling_ae_title",
    "received_at",
    "retrospective",
    "conflict_with",
)
_CLAIM = (
    update(film)
    .where(film.c.id.in_(bindparam("ids", expanding=True)), film.c.state == FilmState.QUEUED)
    .values(state=FilmState.READING, attempts=film.c.attempts + 1, reason="")
    .returning(*(film.c[name] for name in _OF_JOB))
)
_OTHERS = select(film.c.id, film.c.spool_name).where(film.c.id.in_(bindparam("jobs", expanding=True)))
_FIRST_OF_STUDIES = select(film.c.study_instance_uid, film.c.id, film.c.spool_name).where(
    film.c.id.in_(
        select(func.min(film.c.id))
        .where(
            film.c.study_instance_uid.in_(bindparam("studies", expanding=True)),
            film.c.files_removed_at.is_(None),
        )
        .group_by(film.c.study_instance_uid)
    )
)
_EARLIER_RESULTS = (
    select(delivery.c.film_id, delivery.c.spool_name)
    .where(delivery.c.film_id.in_(bindparam("jobs", expanding=True)))
    .distinct()
    .order_by(delivery.c.film_id, delivery.c.spool_name)
)


def claim(
    engine: Engine,
    claimant: str,
    limit: int,
    now: datetime.datetime,
    until: datetime.datetime,
    has_other_films: bool = False,
    limit_retrospective: int | None = None,
) -> list[Job]:
    """Take queued films for `claimant` until `until`, counting an attempt each.

    Up to `limit` that were never tried, oldest first. But one that came back from an attempt, perhaps of
    a reader that died with a batch in hand, is taken before them and alone, so that a film that kills its
    reader uses up its own attempts and no other's. A claimant that `has_other_films` gets none then.

    Retrospective films have their turn when there is no other, up to `limit_retrospective` of them (`limit`).
    """
    limits = {False: limit, True: limit if limit_retrospective is None else limit_retrospective}
    ids: Sequence[int] = ()
    with engine.begin() as connection:
        for retrospective, most in limits.items():
            ids = connection.scalars(_TRIED[retrospective]).all()
            if ids and has_other_films:
                return []
            ids = ids or connection.scalars(_FRESH[retrospective], {"most": most}).all()
            if ids:
                break
        else:
            return []
        rows = connection.execute(
            _CLAIM, {"ids": ids, "claimed_by": claimant, "claimed_until": until, "changed_at": now}
        ).all()
        for row in rows:
            record(connection, row.id, FilmState.QUEUED, FilmState.READING, now, claimant, "")
        began = _first_of_studies(connection, {row.study_instance_uid for row in rows} - {""})
        others = _others(connection, {row.conflict_with for row in rows} - {None})
        earlier = _earlier_results(connection, ids)
    jobs = (
        Job(
            *row[:-1],
            began.get(row.study_instance_uid),
            others.get(row.conflict_with),
            tuple(earlier.get(row.id, ())),
        )
        for row in rows
    )
    return sorted(jobs, key=lambda job: job.id)


def renew(engine: Engine, jobs: Sequence[int], claimant: str, until: datetime.datetime) -> None:
    """Keep the claim on films still being read."""
    with engine.begin() as connection:
        connection.execute(
            update(film)
            .where(film.c.id.in_(jobs), film.c.state == FilmState.READING, film.c.claimed_by == claimant)
            .values(claimed_until=until)
        )


def claimed_by(connection: Connection, claimant: str) -> set[int]:
    """Jobs that are READING by `claimant`."""
    return set(
        connection.scalars(
            select(film.c.id).where(film.c.state == FilmState.READING, film.c.claimed_by == claimant)
        )
    )


def _others(connection: Connection, jobs: Collection[int]) -> dict[int, OtherFilm]:
    if not jobs:
        return {}
    rows = connection.execute(_OTHERS, {"jobs": list(jobs)})
    return {row.id: OtherFilm(*row) for row in rows}


def _first_of_studies(connection: Connection, studies: Collection[str]) -> dict[str, OtherFilm]:
    rows = connection.execute(_FIRST_OF_STUDIES, {"studies": list(studies)})
    return {row.study_instance_uid: OtherFilm(row.id, row.spool_name) for row in rows}


def _earlier_results(connection: Connection, jobs: Collection[int]) -> dict[int, list[str]]:
    """Spool names of the results that films have from an earlier reading."""
    rows = connection.execute(_EARLIER_RESULTS, {"jobs": jobs})
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row.film_id, []).append(row.spool_name)
    return found
