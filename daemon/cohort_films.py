"""The films of a cohort, copied from the film store without names, with the table that training reads."""

import csv
import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import pydicom
from sqlalchemy import Engine

from daemon.cohort import FILMS, LINKS
from daemon.deidentify import BurnedIn, deidentify
from model import header
from model.study.cohort import COVARIATES, SUMMARY, Part
from model.study.pseudonyms import Pseudonyms
from storage import database, search
from storage.spool import Spool
from storage.states import FilmState

MANIFEST = "manifest.csv"
# The folds of the recipes in model/versions: training and validation of a training, then what judges it.
_TRAINING_FOLDS, _TEST_FOLD, _VALIDATION_FOLD = 8, 8, 9
_OF_HEADER = {"view": "ViewPosition", "manufacturer": "Manufacturer"}
_COLUMNS = (
    "file", "label", "patient_id", "group_id", "fold", "source", "set", "turn", "rule", *COVARIATES,
    *_OF_HEADER,
)  # fmt: skip


class NoCohort(ValueError):
    """The folder is none that ``firstread cohort`` wrote, or was made with another key."""


def copy(
    study: Path, source: str, engine: Engine, spool: Spool, pseudonyms: Pseudonyms, out: Path
) -> Counter:
    """Copy every film of a cohort that was read here and is still in the film store.

    Parameters
    ----------
    study : Path
        What ``firstread cohort`` wrote.
    source : str
        Name of this hospital in the table.
    engine, spool
        Of the node.
    pseudonyms : Pseudonyms
        Of the same key as the cohort's.
    out : Path
        A new folder: ``films`` and ``manifest.csv``, as `firstread train` and `evaluate` read it, and the
        cohort's summary.

    Returns
    -------
    Counter
        Films by what became of them: copied, not here, and why others were left out.

    Raises
    ------
    NoCohort
    FileExistsError
    """
    rows, studies = (
        _read(study / FILMS),
        {row["film"]: row["study_instance_uid"] for row in _read(study / LINKS)},
    )
    if any(pseudonyms.uid(studies.get(row["film"], "")) != row["film"] for row in rows):
        raise NoCohort(f"{study}: found names of another key, expected those of [study] key_file")
    if out.exists():
        raise FileExistsError(f"{out}: is there already, expected the name of a new folder")
    (out / "films").mkdir(parents=True)
    shutil.copy(study / SUMMARY, out)  # it names nobody, and a report shows the flow
    done: Counter = Counter()
    with (out / MANIFEST).open("x", newline="", encoding="utf-8") as file:
        manifest = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        manifest.writeheader()
        for row in rows:
            if row["set"] == Part.SURPLUS or not row["label"]:
                done["in no set, or of no known class"] += 1
                continue
            names = _read_here(engine, studies[row["film"]])
            if not names:
                done["not here"] += 1
            for name in names:
                outcome = _copy(spool, name, pseudonyms, row["patient"], out)
                done[outcome.text] += 1
                if outcome.file:
                    told = {"file": outcome.file, "source": source, "fold": _fold(row), **outcome.header}
                    manifest.writerow(row | told | {"patient_id": row["patient"], "group_id": row["patient"]})
    return done


@dataclasses.dataclass(frozen=True)
class _Outcome:
    text: str
    file: str = ""
    header: dict[str, str] = dataclasses.field(default_factory=dict)


def _copy(spool: Spool, name: str, pseudonyms: Pseudonyms, patient: str, out: Path) -> _Outcome:
    try:
        with spool.local(name) as path:
            ds = pydicom.dcmread(path)
        deidentify(ds, pseudonyms, patient)
    except FileNotFoundError:
        return _Outcome("no longer in the film store")
    except BurnedIn as error:
        return _Outcome(str(error))
    file = f"films/{ds.SOPInstanceUID}.dcm"
    ds.save_as(out / file, enforce_file_format=True)
    # Of the header that is left: what the profile keeps, without the patient's names.
    return _Outcome("copied", file, {name: header.text(ds, of) for name, of in _OF_HEADER.items()})


def _read_here(engine: Engine, study_instance_uid: str) -> list[str]:
    """Spool names of the films of a study that were read; others are no frontal chest films."""
    with database.reading(engine) as connection:
        rows = [row for row, _ in search.load(connection, search.with_uid(connection, study_instance_uid))]
    return [
        row.spool_name
        for row in rows
        if row.state == FilmState.READ and row.study_instance_uid == study_instance_uid
    ]


def _fold(row: dict[str, str]) -> int:
    if row["set"] == Part.TRAINING:
        return int(row["patient"], 16) % _TRAINING_FOLDS
    return _TEST_FOLD if row["set"] == Part.TEST else _VALIDATION_FOLD


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise NoCohort(
            f"{file}: {error.strerror}, expected a folder that `firstread cohort` wrote"
        ) from error
