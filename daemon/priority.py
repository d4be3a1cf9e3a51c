"""How urgent a film is: a suggestion of an order for people, which moves nothing in a PACS."""

import datetime
import math
from enum import StrEnum

FORMULA = "priority = 85 × severity × (score − threshold) / (100 − threshold) + min(15, minutes / 4)"
MOST_FOR_SCORE = 85
MOST_FOR_WAITING = 15
MINUTES_A_POINT = 4


class Group(StrEnum):
    """The parts of the list, the first ones to be looked at first."""

    LOOK_FIRST = "Look first"
    NEEDS_A_PERSON = "Needs a person"
    LOOK_SOON = "Look soon"
    ROUTINE = "Routine"


def priority(severity: float, score: float, threshold: float, waiting: datetime.timedelta) -> int:
    """Priority of a film whose reading stands.

    Parameters
    ----------
    severity : float
        Of the class that the reading says, 0 (normal) to 1.
    score : float
        Model score of that class in its step, 0 to 1.
    threshold : float
        Smallest score at which the step says it, 0 to 1. Under it only the waiting time counts.
    waiting : timedelta
        Since the film came, or from there to its verdict.

    Returns
    -------
    int
        0 to 100, half up.
    """
    above = max(0.0, score - threshold) / (1.0 - threshold) if threshold < 1.0 else 0.0
    minutes = max(0.0, waiting / datetime.timedelta(minutes=1))
    points = MOST_FOR_SCORE * severity * above + min(MOST_FOR_WAITING, minutes / MINUTES_A_POINT)
    return math.floor(points + 0.5)


def group(points: int | None) -> Group:
    """Where a film stands; one without a usable answer has no priority, and is never below a normal one."""
    if points is None:
        return Group.NEEDS_A_PERSON
    if points >= 60:
        return Group.LOOK_FIRST
    return Group.LOOK_SOON if points >= 30 else Group.ROUTINE
