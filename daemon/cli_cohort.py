"""Verbs ``firstread cohort`` and ``deidentify``: the films of a study chosen and judged, then copied."""

import argparse
import sys

from daemon import cli_jobs, cohort, cohort_films, service, terminal
from daemon.admissions import AdmissionsUnusable
from daemon.cohort_films import NoCohort
from daemon.config_study import Study
from model.study.cohort import LABELS, TooFewFilms
from model.study.pseudonyms import KeyTooShort, Pseudonyms
from storage.database import DatabaseUnavailable, NewerSchema
from storage.spool import SpoolUnavailable


def make(options: argparse.Namespace) -> int:
    """Make a cohort."""
    study = cli_jobs.config_of(options).study
    if not study.admissions:
        return _problem("[study] admissions: found none, expected a CSV file or the URL of a database")
    try:
        password = None
        if study.password_file:
            password = service.read_secret("[study] password_file", study.password_file)
        made = cohort.make(study, password, _pseudonyms(study), options.out)
    except (
        AdmissionsUnusable, DatabaseUnavailable, TooFewFilms, FileExistsError, KeyTooShort,
        service.SecretUnusable,
    ) as error:  # fmt: skip
        return _problem(str(error))
    _show(made)
    print(
        f"written to {options.out}; {cohort.LINKS} there names studies of patients: it stays in the hospital"
    )
    return 0


def deidentify(options: argparse.Namespace) -> int:
    """Copy the films of a cohort without names."""
    config = cli_jobs.config_of(options)
    try:
        pseudonyms = _pseudonyms(config.study)
        engine, spool = service.open_storage(config.storage)
        done = cohort_films.copy(options.study, options.source, engine, spool, pseudonyms, options.out)
    except (
        NoCohort, DatabaseUnavailable, NewerSchema, SpoolUnavailable, FileExistsError, KeyTooShort,
        service.SecretUnusable,
    ) as error:  # fmt: skip
        return _problem(str(error))
    for text, number in done.items():
        print(f"{number:>8}  {text}")
    return 0 if done["copied"] else 1


def _pseudonyms(study: Study) -> Pseudonyms:
    return Pseudonyms(service.read_secret("[study] key_file", study.key_file))


def _show(made: cohort.Made) -> None:
    console = terminal.console()
    for text, number in made.flow.items():
        console.print(f"{number:>8}  {text}")
    columns = [*LABELS, "unknown"]
    rows = [[part, *(str(counts.get(label, 0)) for label in columns)] for part, counts in made.sets.items()]
    console.print(terminal.table(["set", *(f">{label}" for label in columns)], rows))
    for heading, counts in (("decided by", made.rules), ("cause known from", made.origins)):
        rows = [[text, str(number)] for text, number in sorted(counts.items(), key=lambda one: -one[1])]
        console.print(terminal.table([heading, ">films"], rows))
    for part, lacking in made.uncovered.items():
        for covariate, bands in lacking.items():
            console.print(f"not covered: {part} set, {covariate}: {', '.join(bands)}")


def _problem(text: str) -> int:
    print(f"firstread: {text}", file=sys.stderr)
    return 1
