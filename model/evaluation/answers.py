"""What a version says of labelled films: everything its figures are made from."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from model.cascade import Cascade
from model.decode import UnreadableFilm
from model.evaluation.films import JudgedFilm, prepare_file
from model.findings import Reading
from model.lungs import Found
from model.reader import PreparedFilm, Reader
from model.scope import OutOfScope

CLASSES = ("normal", "bacterial", "viral", "covid19")  # the paper's; viral is other than COVID-19
LEAST = 1e-9  # added to every score: where both steps leave nothing, all classes are alike
BATCH = 64  # films in memory at once


@dataclass(frozen=True)
class Judged:
    """Labelled films and what a version said of each.

    Parameters
    ----------
    films : (n,) object
        `JudgedFilm`, those that were read.
    truth : (n,) int
        Place of each film's class in `classes`.
    logits1, logits2 : (n, labels) float32
        Of each step; step 2 answers every film here, asked or not. (n, 0) of a step that is not there.
    step1, step2 : (n, labels) float64
        Scores of each step, at the version's temperatures.
    features : (n, k) float32
        Penultimate features.
    decisions : (n,) object
        `Decision`.
    inside : (n,) float64
        Share of the activation that lies inside the lungs, 0 to 1; NaN where it is that of normal, which
        points at no place, or empty.
    refused : tuple of (JudgedFilm, str)
        Those that were not read, and why; the reason's code comes first.
    milliseconds_per_film : float
        From file to decision, one film after the other made ready, in batches answered.
    cascade : Cascade
        What the version can say.
    """

    films: np.ndarray
    truth: np.ndarray
    logits1: np.ndarray
    logits2: np.ndarray
    step1: np.ndarray
    step2: np.ndarray
    features: np.ndarray
    decisions: np.ndarray
    inside: np.ndarray
    refused: tuple[tuple[JudgedFilm, str], ...]
    milliseconds_per_film: float
    cascade: Cascade

    @property
    def classes(self) -> tuple[str, ...]:
        """What the films can be: the classes of the version."""
        return tuple(name for name, _ in self.cascade.classes)

    @property
    def scores(self) -> np.ndarray:
        """Forced answer, see `forced_scores`, (n, classes) float64."""
        return forced_scores(self.step1, self.step2, self.cascade)

    def of(self, **values: object) -> "Judged":
        """The films whose fields have these values, e.g. ``source="ieee"``."""
        return self.by(lambda film: all(getattr(film, name) == value for name, value in values.items()))

    def by(self, fits: Callable[[JudgedFilm], bool]) -> "Judged":
        """The films, refused ones too, that fit."""
        chosen = np.array([fits(film) for film in self.films], bool)
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {name: array[chosen] for name, array in arrays.items() if isinstance(array, np.ndarray)}
        return replace(self, **kept, refused=tuple(pair for pair in self.refused if fits(pair[0])))


def forced_scores(step1: np.ndarray, step2: np.ndarray, cascade: Cascade) -> np.ndarray:
    """Scores of a version's classes where an answer is forced.

    Of two steps both are asked whether it is what step 2 refines, such as viral, so their odds for it are
    multiplied and the root is taken; beside it step 1 parts what it knows, normal from bacterial, within it
    step 2, COVID-19 from other virus. Steps that agree give what either says. On the validation films of
    gao-2020 an accuracy of 0.86, against 0.80 for viral of step 1 times COVID-19 or other virus of step 2,
    where a step 2 in doubt speaks against viral alone.

    Parameters
    ----------
    step1, step2 : (n, labels) float
        Scores; (n, 0) of a step that is not there, with which an answer is that of step 1.
    cascade : Cascade

    Returns
    -------
    (n, classes) float64
        0 to 1, sum 1.
    """
    first, second = cascade.labels(1), cascade.labels(2)
    names = [label for _, label in cascade.classes]
    if not second:
        return step1.astype(float)[:, [first.index(name) for name in names]]
    step1, step2 = (scores.astype(float) + LEAST for scores in (step1, step2))
    refined = first.index(cascade.after)
    # What each step leaves to the classes that it parts: beside the refined label, and within it.
    beside, within = np.delete(step1, refined, axis=1).sum(axis=1), step2[:, 1:].sum(axis=1)
    against, for_it = np.sqrt(beside * step2[:, 0]), np.sqrt(step1[:, refined] * within)
    products = [
        for_it * step2[:, second.index(name)] / within
        if name in second
        else against * step1[:, first.index(name)] / beside
        for name in names
    ]
    return np.stack(products, axis=1) / (against + for_it)[:, np.newaxis]


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
        If a label says no class of the version, or might say more than one.
    """
    cascade = reader.model.cascade
    class_of = {label: cascade.class_of(label) for label in {film.label for film in films}}
    if strange := [label for label, name in class_of.items() if name is None]:
        known = (film for step in cascade.steps for label in step for film in label.films)
        told = ", ".join(film for film in dict.fromkeys(known) if cascade.class_of(film))
        raise ValueError(f"found the labels {sorted(strange)}, expected {told}")
    classes = [name for name, _ in cascade.classes]
    read: list[JudgedFilm] = []
    refused: list[tuple[JudgedFilm, str]] = []
    parts: list[tuple] = [_said(reader, [], [])]
    start = time.perf_counter()
    for place in range(0, len(films), BATCH):
        opened, prepared = [], []
        for film in films[place : place + BATCH]:
            try:
                prepared.append(prepare_file(root / film.file, reader.input_sizes))
            except OutOfScope as error:
                refused.append((film, str(error)))
            except UnreadableFilm as error:
                refused.append((film, f"UNREADABLE: {error}"))
            else:
                opened.append(film)
        refusals, passed, lungs = reader.admit(prepared)
        for film, refusal in zip(opened, refusals, strict=True):
            if refusal is None:
                read.append(film)
            else:
                refused.append((film, str(refusal)))
        parts.append(_said(reader, passed, lungs))
    elapsed = time.perf_counter() - start
    logits1, logits2, step1, step2, features, decisions, inside = (
        np.concatenate(a) for a in zip(*parts, strict=True)
    )
    return Judged(
        films=_objects(read),
        truth=np.array([classes.index(class_of[film.label]) for film in read], int),
        logits1=logits1,
        logits2=logits2,
        step1=step1,
        step2=step2,
        features=features,
        decisions=decisions,
        inside=inside,
        refused=tuple(refused),
        milliseconds_per_film=round(1000 * elapsed / len(films), 2),
        cascade=cascade,
    )


def _said(reader: Reader, films: list[PreparedFilm], lungs: list[Found]) -> tuple[np.ndarray, ...]:
    """Logits and scores of both steps, features, decisions and shares inside of at most one batch."""
    answers = reader.answer(films, lungs)
    scores = (of_step.astype(float) for of_step in reader.scores(answers))
    readings = reader.decide(films, lungs, answers)
    decisions = _objects([reading.decision for reading in readings])
    inside = np.array([_inside(reading) for reading in readings], float)
    return answers.step1_logits, answers.step2_logits, *scores, answers.features, decisions, inside


def _inside(reading: Reading) -> float:
    return reading.inside.both if reading.points_at_a_place and reading.inside is not None else np.nan


def _objects(values: list) -> np.ndarray:
    """An array of objects, one for each value; NumPy would look into them."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
