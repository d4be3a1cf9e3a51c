"""Two versions on the same films: how the one in the shadow compares with the one that reads."""

import dataclasses
import datetime
from typing import Any

from daemon import drift
from daemon.drift import Share
from storage import database, shadow
from storage.database import Engine

DAY = datetime.timedelta(days=1)
DAYS = 30
# Two JSON texts each, parsed whenever somebody asks: as many as tell an agreement of 0.9 to within 0.02.
MOST_READINGS = 1000
MOST_POINTS = 400
MOST_ROWS = 6


@dataclasses.dataclass(frozen=True)
class Said:
    """What the two say of so many films."""

    main: str
    shadow: str
    films: int


@dataclasses.dataclass(frozen=True)
class Compared(shadow.Pair):
    """A version in the shadow of another, on the newest of the films that both have read.

    Parameters
    ----------
    equal : int
        Films of the same decision.
    agreement : Share or None
        Their share; None of no films.
    decisions : list of Said
        Most films first.
    points : list of (float, float)
        Scores of main and shadow for any pneumonia, 0 to 1, newest film first, not of all films.
    """

    equal: int
    agreement: Share | None
    decisions: list[Said]
    points: list[tuple[float, float]]

    @property
    def differing(self) -> list[Said]:
        """The most frequent disagreements."""
        return [said for said in self.decisions if said.main != said.shadow][:MOST_ROWS]


def look(engine: Engine, now: datetime.datetime) -> list[Compared]:
    """Compare what was read in the shadow lately; the pair that read last comes first."""
    with database.reading(engine) as connection:
        pairs = shadow.compare(connection, now - DAYS * DAY, now, MOST_READINGS)
    return [_compared(pair) for pair in pairs]


def _compared(pair: shadow.Comparison) -> Compared:
    decisions = [Said(*both, films) for both, films in pair.decisions.items()]
    equal = sum(said.films for said in decisions if said.main == said.shadow)
    # The first label of step 1 is the absence of a finding, where both versions have the same.
    newest = next(iter(pair.scores.values()), [])[: -MOST_POINTS - 1 : -1]
    return Compared(
        **{field.name: getattr(pair, field.name) for field in dataclasses.fields(shadow.Pair)},
        equal=equal,
        agreement=drift.wilson(equal, pair.films) if pair.films else None,
        decisions=sorted(decisions, key=lambda said: (-said.films, said.main, said.shadow)),
        points=[(round(1 - main, 4), round(1 - other, 4)) for _, main, other in newest],
    )


def named(version: dict[str, Any]) -> str:
    """Name and version."""
    return f"{version['model']} {version['version']}"
