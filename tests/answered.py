"""Films with answers that are right where a test says so."""

from collections.abc import Sequence

import numpy as np
from readings import CASCADE

from model.evaluation.answers import CLASSES, Judged
from model.evaluation.films import JudgedFilm
from model.findings import Decision

_SURE, _NOT = 0.9, 0.05
# Of each class the step-wise scores and the decision that say it.
_SAID = {
    "normal": ((_SURE, _NOT, _NOT), (_SURE, _NOT, _NOT), Decision("normal")),
    "bacterial": ((_NOT, _SURE, _NOT), (_SURE, _NOT, _NOT), Decision("bacterial")),
    "viral": ((_NOT, _NOT, _SURE), (_NOT, _NOT, _SURE), Decision("other virus")),
    "covid19": ((_NOT, _NOT, _SURE), (_NOT, _SURE, _NOT), Decision("COVID-19")),
}


def answered(films: Sequence[JudgedFilm], right: Sequence[bool]) -> Judged:
    """A wrong answer is bacterial for a normal film, and normal for any other."""
    wrong = dict.fromkeys(CLASSES, "normal") | {"normal": "bacterial"}
    said = [
        film.label if is_right else wrong[film.label] for film, is_right in zip(films, right, strict=True)
    ]
    objects, decisions = np.empty(len(films), object), np.empty(len(films), object)
    objects[:], decisions[:] = list(films), [_SAID[label][2] for label in said]
    step1, step2 = (np.array([_SAID[label][step] for label in said], float).reshape(-1, 3) for step in (0, 1))
    none = np.zeros((len(films), 2))
    truth = np.array([CLASSES.index(film.label) for film in films], int)
    return Judged(
        objects, truth, none, none, step1, step2, none, decisions, np.full(len(films), np.nan), (), 1.0,
        CASCADE,
    )  # fmt: skip
