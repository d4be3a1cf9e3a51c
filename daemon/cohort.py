"""The cohort of a study on disk: its films without names, what became of whom, and the key back."""

import csv
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from daemon import admissions
from daemon.config_study import Study
from model.study import cohort
from model.study.aetiology import Aetiology
from model.study.cohort import COVARIATES, LABELS, SUMMARY, CohortFilm, Part
from model.study.icd10 import CodeSet
from model.study.pseudonyms import Pseudonyms

FILMS, LINKS = "cohort.csv", "links.csv"
# An age beyond it names a person in many places (45 CFR 164.514 (b)(2)(i)(C)).
_OLDEST_TOLD = 90
_COLUMNS = (
    "film", "patient", "admission", "turn", "set", "days", "pneumonia", "label", "rule", "origin", *COVARIATES
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Made:
    """What was made of a table of admissions.

    Parameters
    ----------
    flow : dict of str to int
        Admissions and films by how far they came.
    sets : dict
        By set, then by class, films; the key ``unknown`` counts pneumonias of no known class.
    rules : dict of str to int
        Films of the cohort by the rule that decided them.
    origins : dict of str to int
        Pneumonias of the cohort by what their cause is known from.
    uncovered : dict
        See `model.study.cohort.uncovered`.
    """

    flow: dict[str, int]
    sets: dict[str, dict[str, int]]
    rules: dict[str, int]
    origins: dict[str, int]
    uncovered: dict[str, dict[str, list[str]]]


def make(study: Study, password: str | None, pseudonyms: Pseudonyms, folder: Path) -> Made:
    """Choose, judge and draw the films of a cohort, and write them into a new folder.

    ``cohort.csv`` and ``cohort.json`` name nobody. ``links.csv``, for its owner's eyes alone, says which
    study each film is.

    Parameters
    ----------
    study : Study
    password : str or None
        Of the database of admissions.
    pseudonyms : Pseudonyms
    folder : Path
        Made; must not be there.

    Raises
    ------
    FileExistsError
    AdmissionsUnusable, DatabaseUnavailable, TooFewFilms
        Nothing is written then.
    """
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already, expected the name of a new folder")
    aetiology = Aetiology(
        {
            "bacterial": study.bacterial_organisms,
            "viral": study.viral_organisms,
            "covid19": study.covid19_organisms,
        },
        {
            "bacterial": CodeSet(study.bacterial_codes),
            "viral": CodeSet(study.viral_codes),
            "covid19": CodeSet(study.covid19_codes),
        },
    )
    rows = admissions.read(study.admissions, password, study.table)
    chosen, flow = cohort.choose(rows, CodeSet(study.pneumonia_codes), aetiology)
    sizes = {Part.TRAINING: study.training, Part.TEST: study.test}
    sizes = {part: dict(zip(LABELS, numbers, strict=True)) for part, numbers in sizes.items()}
    films = cohort.draw(chosen, sizes, study.seed)
    made = Made(
        dict(flow),
        {str(part): _labels(film for film in films if film.part is part) for part in Part},
        dict(Counter(str(film.truth.rule) for film in films)),
        dict(Counter(str(film.truth.origin) for film in films if film.truth.origin)),
        cohort.uncovered(films),
    )
    folder.mkdir(parents=True)
    _write(folder, study, films, pseudonyms, made)
    return made


def _labels(films: Iterable[CohortFilm]) -> dict[str, int]:
    counts = Counter(film.truth.label or "unknown" for film in films)
    return {label: counts[label] for label in (*LABELS, "unknown") if counts[label]}


def _write(
    folder: Path, study: Study, films: Sequence[CohortFilm], pseudonyms: Pseudonyms, made: Made
) -> None:
    begun: dict[str, Any] = {}
    for film in films:
        began = begun.setdefault(film.admission.patient, film.examination.examined_at)
        begun[film.admission.patient] = min(began, film.examination.examined_at)
    with (folder / FILMS).open("x", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, _COLUMNS)
        table.writeheader()
        table.writerows(_told(film, pseudonyms, begun[film.admission.patient]) for film in films)
    descriptor = os.open(folder / LINKS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
        links = csv.writer(file)
        links.writerow(("film", "study_instance_uid"))
        links.writerows(
            (pseudonyms.uid(film.examination.study_instance_uid), film.examination.study_instance_uid)
            for film in films
        )
    settings = dataclasses.asdict(study)
    for option in ("admissions", "password_file", "key_file", "table"):
        del settings[option]
    summary = dataclasses.asdict(made) | {"settings": settings}
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _told(film: CohortFilm, pseudonyms: Pseudonyms, begun: Any) -> dict[str, object]:
    """A row of the cohort; days are counted from the patient's first film in it."""
    truth = film.truth
    covariates = {name: film.covariate(name) for name in COVARIATES}
    if isinstance(age := covariates["age"], float) and age > _OLDEST_TOLD:
        covariates["age"] = float(_OLDEST_TOLD)
    return {
        "film": pseudonyms.uid(film.examination.study_instance_uid),
        "patient": pseudonyms.of("patient", film.admission.patient),
        "admission": pseudonyms.of("admission", f"{film.admission.patient}\0{film.admission.admission}"),
        "turn": film.turn,
        "set": film.part,
        "days": (film.examination.examined_at - begun).days,
        "pneumonia": int(truth.is_pneumonia),
        "label": truth.label,
        "rule": truth.rule,
        "origin": truth.origin or "",
        **covariates,
    }
