"""Which studies of a list an archive has, for backfills of a list."""

import datetime
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Engine, distinct, exists, func, select

from storage import backfills
from storage.backfills import FoundInstance
from storage.states import RetrievalState
from storage.tables import backfill_instance, backfill_study, film


def named(connection: Connection, number: int) -> set[str]:
    """Studies that the archive was asked for and has answered."""
    return set(
        connection.scalars(
            select(backfill_study.c.study_instance_uid).where(backfill_study.c.backfill_id == number)
        )
    )


def add(
    engine: Engine,
    number: int,
    asked: Collection[str],
    found: Mapping[str, Sequence[FoundInstance]],
    now: datetime.datetime,
) -> None:
    """Keep what the archive has of some studies; what has a job already is KNOWN and will not be asked for.

    Parameters
    ----------
    asked : collection of str
        Study Instance UIDs.
    found : mapping
        Instances of those that the archive has; of a study without films that are wanted, none.
    """
    instances = [one for of_study in found.values() for one in of_study]
    with engine.begin() as connection:
        backfills.add_instances(connection, number, instances, now)
        connection.execute(
            backfill_study.insert(),
            [
                {
                    "backfill_id": number,
                    "study_instance_uid": uid,
                    "is_found": uid in found,
                    "named_at": now,
                }
                for uid in asked
            ],
        )


def not_found(connection: Connection, number: int) -> list[str]:
    """Studies that the archive does not have, by UID."""
    return _ordered(connection, number, backfill_study.c.is_found.is_(False))


def without_films(connection: Connection, number: int) -> list[str]:
    """Studies that the archive has, without a film of the kinds asked for, by UID."""
    has_films = exists().where(
        backfill_instance.c.backfill_id == number,
        backfill_instance.c.study_instance_uid == backfill_study.c.study_instance_uid,
    )
    return _ordered(connection, number, backfill_study.c.is_found, ~has_films)


def removed(connection: Connection, number: int) -> int:
    """Instances that were here already, and whose files retention has taken since."""
    return connection.execute(
        select(func.count(distinct(backfill_instance.c.id)))
        .join(film, film.c.sop_instance_uid == backfill_instance.c.sop_instance_uid)
        .where(
            backfill_instance.c.backfill_id == number,
            backfill_instance.c.state == RetrievalState.KNOWN,
            film.c.files_removed_at.is_not(None),
        )
    ).scalar_one()


def _ordered(connection: Connection, number: int, *conditions: object) -> list[str]:
    return list(
        connection.scalars(
            select(backfill_study.c.study_instance_uid)
            .where(backfill_study.c.backfill_id == number, *conditions)
            .order_by(backfill_study.c.study_instance_uid)
        )
    )
