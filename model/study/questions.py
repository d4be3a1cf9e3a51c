"""What a version is asked about a film: the forced answer, and each step of the cascade."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.evaluation.answers import Judged


@dataclass(frozen=True)
class Question:
    """Labels to choose from, and what was chosen.

    Parameters
    ----------
    labels : (k,) tuple of str
    truth : (n,) int
        Place of the true label in `labels`.
    scores : (n, k) float64
        0 to 1, sum 1; the highest is the answer.
    groups : (n,) tuple of str
        Patient of each film.
    """

    labels: tuple[str, ...]
    truth: np.ndarray
    scores: np.ndarray
    groups: tuple[str, ...]

    @property
    def said(self) -> np.ndarray:
        """Place of the answer in `labels`, (n,) int."""
        return self.scores.argmax(axis=1)


def questions(judged: Judged, recipe: Mapping) -> dict[str, Question]:
    """The questions of the cascade, each with the films that it is put to.

    Parameters
    ----------
    judged : Judged
    recipe : mapping
        ``model.toml``.

    Returns
    -------
    dict
        classes, step1 and, of a version that has it, step2, which is asked of the films whose leading label
        of step 1 is the one that it refines.

    Raises
    ------
    ValueError
        If a step has no label for a class that occurs, or two labels.
    """
    everyone = np.ones(len(judged.truth), bool)
    first = _step(judged, recipe, "step1", judged.step1, everyone)
    asked = {
        "classes": Question(judged.classes, judged.truth, judged.scores, _groups(judged, everyone)),
        "step1": first,
    }
    if "step2" in recipe:
        refined = first.said == first.labels.index(recipe["step2"]["after"])
        asked["step2"] = _step(judged, recipe, "step2", judged.step2, refined)
    return asked


def _step(judged: Judged, recipe: Mapping, name: str, scores: np.ndarray, asked: np.ndarray) -> Question:
    labels, truth = recipe[name]["labels"], [film.label for film in judged.films[asked]]
    place = {}
    for true in sorted(set(truth)):
        meant = [i for i, of in enumerate(labels.values()) if true in of]
        if len(meant) != 1:
            raise ValueError(
                f"[{name}.labels]: found {len(meant)} labels for films of {true}, expected one; "
                "put the class into one label of model.toml"
            )
        place[true] = meant[0]
    places = np.array([place[true] for true in truth], int)
    return Question(tuple(labels), places, scores[asked], _groups(judged, asked))


def _groups(judged: Judged, asked: np.ndarray) -> tuple[str, ...]:
    return tuple(film.group for film in judged.films[asked])
