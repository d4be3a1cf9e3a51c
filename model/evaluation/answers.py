"""What a version says of labelled films: everything its figures are made from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from model.decode import UnreadableFilm
from model.evaluation.films import JudgedFilm, prepare_file
from model.findings import STEP1_LABELS, STEP2_LABELS, Decision
from model.reader import PreparedFilm, Reader
from model.scope import OutOfScope

CLASSES = ("normal", "bacterial", "viral", "covid19")  # of the films; viral is other than COVID-19
BATCH = 64  # films in memory at once


@dataclass(frozen=True)
class Judged:
    """Labelled films and what a version said of each.

    Parameters
    ----------
    films : (n,) object
        `JudgedFilm`, those that were read.
    truth : (n,) int
        Place of each film's label in `CLASSES`.
    logits1, logits2 : (n, 3) float32
        Of each step; step 2 answers every film here, asked or not.
    step1, step2 : (n, 3) float64
        Scores of each step, at the version's temperatures.
    features : (n, k) float32
        Penultimate features.
    decisions : (n,) object
        `Decision`.
    refused : tuple of (JudgedFilm, str)
        Those that were not read, and why.
    milliseconds_per_film : float
        From file to decision, one film after the other made ready, in batches answered.
    """

    films: np.ndarray
    truth: np.ndarray
    logits1: np.ndarray
    logits2: np.ndarray
    step1: np.ndarray
    step2: np.ndarray
    features: np.ndarray
    decisions: np.ndarray
    refused: tuple[tuple[JudgedFilm, str], ...]
    milliseconds_per_film: float

    @property
    def scores(self) -> np.ndarray:
        """Forced answer, see `four_classes`, (n, 4) float64."""
        return four_classes(self.step1, self.step2)

    def of(self, **values: object) -> "Judged":
        """The films whose fields have these values, e.g. ``source="ieee"``."""

        def fits(film: JudgedFilm) -> bool:
            return all(getattr(film, name) == value for name, value in values.items())

        refused = tuple(pair for pair in self.refused if fits(pair[0]))
        return replace(self.at([fits(film) for film in self.films]), refused=refused)

    def at(self, chosen: Sequence[bool] | np.ndarray) -> "Judged":
        """The films that are chosen."""
        chosen = np.asarray(chosen, bool)
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[chosen] for k, v in arrays.items() if isinstance(v, np.ndarray)})


def four_classes(step1: np.ndarray, step2: np.ndarray) -> np.ndarray:
    """Scores of `CLASSES` where an answer is forced.

    Normal and bacterial are step 1's; viral of step 1 is shared out by step 2's scores of COVID-19 and other
    virus; what step 2 gives to not viral is left out, and the four are brought to a sum of 1.

    Parameters
    ----------
    step1, step2 : (n, 3) float
        In the order of `STEP1_LABELS` and `STEP2_LABELS`.

    Returns
    -------
    (n, 4) float64
        0 to 1, sum 1.
    """
    viral = step1[:, STEP1_LABELS.index("viral")].astype(float)
    products = np.stack(
        [
            step1[:, STEP1_LABELS.index("normal")],
            step1[:, STEP1_LABELS.index("bacterial")],
            viral * step2[:, STEP2_LABELS.index("other virus")],
            viral * step2[:, STEP2_LABELS.index("COVID-19")],
        ],
        axis=1,
    )
    products += 1e-12  # where both steps leave nothing, all classes are alike
    return products / products.sum(axis=1, keepdims=True)


def judge(reader: Reader, films: Sequence[JudgedFilm], root: Path) -> Judged:
    """Read labelled films as the node does.

    Parameters
    ----------
    reader : Reader
    films : sequence of JudgedFilm
    root : Path
        Folder their files are relative to.

    Returns
    -------
    Judged

    Raises
    ------
    ValueError
        If a label is none of `CLASSES`.
    """
    if strange := {film.label for film in films} - set(CLASSES):
        raise ValueError(f"found the labels {sorted(strange)}, expected {', '.join(CLASSES)}")
    read, refused = [], []
    parts: list[tuple] = [_said(reader, [])]
    start = time.perf_counter()
    for place in range(0, len(films), BATCH):
        prepared = []
        for film in films[place : place + BATCH]:
            try:
                prepared.append(prepare_file(root / film.file, reader.input_size))
            except (OutOfScope, UnreadableFilm) as error:
                refused.append((film, str(error)))
            else:
                read.append(film)
        parts.append(_said(reader, prepared))
    elapsed = time.perf_counter() - start
    logits1, logits2, step1, step2, features, decisions = (
        np.concatenate(a) for a in zip(*parts, strict=True)
    )
    return Judged(
        films=_objects(read),
        truth=np.array([CLASSES.index(film.label) for film in read], int),
        logits1=logits1,
        logits2=logits2,
        step1=step1,
        step2=step2,
        features=features,
        decisions=decisions,
        refused=tuple(refused),
        milliseconds_per_film=round(1000 * elapsed / len(films), 2),
    )


def _said(reader: Reader, films: list[PreparedFilm]) -> tuple[np.ndarray, ...]:
    """Logits and scores of both steps, features and decisions of at most one batch."""
    answers = reader.answer(films)
    scores = (of_step.astype(float) for of_step in reader.scores(answers))
    decisions: list[Decision] = [reading.decision for reading in reader.decide(films, answers)]
    return answers.step1_logits, answers.step2_logits, *scores, answers.features, _objects(decisions)


def _objects(values: list) -> np.ndarray:
    """An array of objects, one for each value; NumPy would look into them."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
