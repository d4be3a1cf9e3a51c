"""What readers say of a film's reading. Nothing else is changed by it, and nobody is sent it."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from storage.films import NoSuchJob
from storage.states import FilmState, Opinion
from storage.tables import film, verdict

# What is seen instead of what the model said, where that is none of its labels.
OTHER_FINDING = "other finding"
LONGEST_REMARK = 500


class NoReading(RuntimeError):
    """A film without a reading to agree or disagree with."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is said.

    Parameters
    ----------
    opinion : Opinion
    finding : str
        One of `among` with DISAGREE, else empty.
    remark : str
        What an other finding is, else empty.
    among : tuple of str
        What may be seen: labels of the version that read the film, and `OTHER_FINDING`.

    Raises
    ------
    ValueError
        If they do not go together.
    """

    opinion: Opinion
    finding: str = ""
    remark: str = ""
    among: tuple[str, ...] = (OTHER_FINDING,)

    def __post_init__(self) -> None:
        if self.opinion == Opinion.DISAGREE and self.finding not in self.among:
            raise ValueError(f"found finding {self.finding!r}, expected one of {', '.join(self.among)}")
        if self.opinion != Opinion.DISAGREE and self.finding:
            raise ValueError(f"found a finding with {self.opinion}, expected one only with DISAGREE")
        if (self.finding == OTHER_FINDING) != bool(self.remark.strip()):
            raise ValueError("expected a remark with other finding, and only there")
        if len(self.remark) > LONGEST_REMARK:
            raise ValueError(f"found {len(self.remark)} characters, expected {LONGEST_REMARK} at most")


def add(engine: Engine, job: int, said: Verdict, user: str, now: datetime.datetime) -> None:
    """Keep what a user says of the reading that the film has at this moment.

    Raises
    ------
    storage.films.NoSuchJob
    NoReading
    """
    with engine.begin() as connection:
        row = connection.execute(
            select(film.c.state, film.c.decision, film.c.reading).where(film.c.id == job).with_for_update()
        ).one_or_none()
        if row is None:
            raise NoSuchJob(f"no job {job}")
        if row.state != FilmState.READ or row.reading is None:
            raise NoReading(f"job {job} is {row.state}, expected READ: there is no reading to agree with")
        connection.execute(
            verdict.insert().values(
                film_id=job,
                at=now,
                user_name=user,
                opinion=said.opinion,
                finding=said.finding,
                remark=said.remark.strip(),
                version=f"{row.reading['model']} {row.reading['version']}",
                decision=row.decision,
            )
        )


def of_film(connection: Connection, job: int) -> Sequence[Row[Any]]:
    """What was said of a film, newest first."""
    return connection.execute(
        select(verdict).where(verdict.c.film_id == job).order_by(verdict.c.id.desc())
    ).all()
