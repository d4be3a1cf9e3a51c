"""Who is in the study, and in which of its sets: whole patients, drawn at random."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from model.study.aetiology import Aetiology
from model.study.ethnicity import ethnic_group
from model.study.gold_standard import Admission, Examination, Truth, judge
from model.study.icd10 import CodeSet

LABELS = ("normal", "bacterial", "viral", "covid19")
# Values of the rest are bands of their own. BMI as the WHO parts it, kg/m2.
BANDS = {"age": (5, 18, 40, 65, 80), "bmi": (18.5, 25, 30, 35)}
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M", "u": "", "unknown": ""}
UNKNOWN = "unknown"
SUMMARY = "cohort.json"  # what became of whom, beside the films of a cohort
COVARIATES = ("age", "sex", "bmi", "ethnicity", "position")


class Part(StrEnum):
    """The sets of the study."""

    TRAINING = "training"
    TEST = "test"
    VALIDATION = "validation"
    SURPLUS = "surplus"  # of a patient who was drawn, of a class that was full


class TooFewFilms(ValueError):
    """The admissions have fewer films of a class than the sets are to have."""


@dataclass(frozen=True)
class CohortFilm:
    """A film of the cohort.

    Parameters
    ----------
    admission : Admission
    examination : Examination
    turn : str
        ``first`` of the admission for suspected pneumonia, or ``last`` before discharge in the same position.
    truth : Truth
    part : Part or None
        None before the sets are drawn.
    """

    admission: Admission
    examination: Examination
    turn: str
    truth: Truth
    part: Part | None = None

    def covariate(self, name: str) -> float | str | None:
        """Its value of a covariate, None if unknown."""
        if name == "position":
            return self.examination.position or None
        return self.admission.covariates.get(name)


def choose(
    admissions: Sequence[Admission], pneumonia: CodeSet, aetiology: Aetiology
) -> tuple[list[CohortFilm], Counter[str]]:
    """Of each admission the first film for suspected pneumonia, and the last in its position.

    Parameters
    ----------
    admissions : sequence of Admission
        Each with its films before discharge, in order of time.
    pneumonia : CodeSet
    aetiology : Aetiology

    Returns
    -------
    films : list of CohortFilm
    flow : Counter
        Admissions and films by how far they came; the boxes of the study flow.
    """
    flow, films = Counter(), []
    for admission in admissions:
        flow["admissions"] += 1
        flow["films"] += len(admission.examinations)
        places = _first_and_last(admission.examinations)
        if not places:
            flow["admissions without a film for suspected pneumonia"] += 1
            continue
        is_coded = any(code in pneumonia for code in admission.codes)
        truths = judge(admission, is_coded, aetiology)
        if len(places) == 1:
            flow["admissions without a last film in the first one's position"] += 1
        for turn, place in zip(("first", "last"), places, strict=False):
            films.append(CohortFilm(admission, admission.examinations[place], turn, truths[place]))
            flow[f"{turn} films"] += 1
    return films, flow


def _first_and_last(examinations: Sequence[Examination]) -> list[int]:
    """Places of an admission's first film for suspected pneumonia and of the last in its position, if any."""
    suspected = [place for place, one in enumerate(examinations) if one.is_suspected]
    if not suspected:
        return []
    first = suspected[0]
    position = examinations[first].position
    later = [
        place for place in range(first + 1, len(examinations)) if examinations[place].position == position
    ]
    return [first, later[-1]] if position and later else [first]


def draw(films: Sequence[CohortFilm], sizes: Mapping[Part, Mapping[str, int]], seed: int) -> list[CohortFilm]:
    """Put each film into a set, whole patients at a time.

    Patients come in random order. One that has a film of a class not yet full joins the set that is being
    filled, training before test; all who are left are the validation set.

    Parameters
    ----------
    films : sequence of CohortFilm
    sizes : mapping of Part to mapping of str to int
        Films of each class in the training and the test set.
    seed : int

    Returns
    -------
    list of CohortFilm
        In the order given, each with its part.

    Raises
    ------
    TooFewFilms
    """
    by_patient: dict[str, list[int]] = {}
    for place, film in enumerate(films):
        by_patient.setdefault(film.admission.patient, []).append(place)
    patients = sorted(by_patient)
    waiting = [patients[place] for place in np.random.default_rng(seed).permutation(len(patients))]
    parts = [Part.VALIDATION] * len(films)
    for part, wanted in sizes.items():
        needed = Counter(wanted)
        left = []
        for patient in waiting:
            places = by_patient[patient]
            if not any(needed[films[place].truth.label] > 0 for place in places):
                left.append(patient)
                continue
            for place in places:
                label = films[place].truth.label
                parts[place] = part if needed[label] > 0 else Part.SURPLUS
                needed[label] -= parts[place] is part
        if missing := {label: number for label, number in needed.items() if number > 0}:
            raise TooFewFilms(_too_few(films, part, wanted, missing))
        waiting = left
    return [replace(one, part=part) for one, part in zip(films, parts, strict=True)]


def _too_few(
    films: Sequence[CohortFilm], part: Part, wanted: Mapping[str, int], missing: Mapping[str, int]
) -> str:
    there = Counter(film.truth.label for film in films)
    lacks = ", ".join(
        f"{label}: found {wanted[label] - number}, expected {wanted[label]}"
        for label, number in missing.items()
    )
    total = ", ".join(f"{there[label]} {label}" for label in LABELS)
    return f"{part} set: {lacks} ({total} in the whole cohort); ask for fewer in [study] {part}"


def band(name: str, value: float | str | None) -> str:
    """The band of a covariate's value.

    Parameters
    ----------
    name : str
        Of the covariate.
    value : float, str or None

    Returns
    -------
    str
        A range such as ``18-40``; ``F`` or ``M``; a group of `model.study.ethnicity`; ``unknown``; or the
        value itself.
    """
    if name == "ethnicity":
        value = ethnic_group(value)
    if name == "sex" and value is not None:
        value = _SEXES.get(value.strip().casefold(), value)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    if name not in BANDS:
        return str(value)
    limits = BANDS[name]
    place = int(np.searchsorted(limits, float(value), side="right"))
    if place == 0:
        return f"below {limits[0]}"
    return f"{limits[place - 1]} or more" if place == len(limits) else f"{limits[place - 1]}-{limits[place]}"


def uncovered(films: Sequence[CohortFilm]) -> dict[str, dict[str, list[str]]]:
    """Bands of each covariate that the cohort has and a set has not.

    Returns
    -------
    dict
        By part (training, test, validation) and covariate, without those that lack nothing.
    """
    present = {name: {band(name, film.covariate(name)) for film in films} - {UNKNOWN} for name in COVARIATES}
    found: dict[str, dict[str, list[str]]] = {}
    for part in (Part.TRAINING, Part.TEST, Part.VALIDATION):
        theirs = [film for film in films if film.part is part]
        for name, bands in present.items():
            lacking = bands - {band(name, film.covariate(name)) for film in theirs}
            if theirs and lacking:
                found.setdefault(str(part), {})[name] = sorted(lacking)
    return found
