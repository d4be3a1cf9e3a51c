"""The report of a study: a version judged on labelled films, as a paper's supplement would print it."""

import datetime
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.cascade import Cascade
from model.evaluation.answers import Judged
from model.evaluation.evaluate import BATCH_SIZE, judge_set
from model.evaluation.films import JudgedFilm, read_films, split
from model.reader import Reader
from model.study import (
    report_accuracy,
    report_checklists,
    report_cohort,
    report_comparison,
    report_equity,
    report_films,
    report_page,
    report_training,
)
from model.study.accuracy import accuracy
from model.study.comparison import compare
from model.study.covariates import regression
from model.study.equity import equity
from model.study.report_films import Overlay
from model.study.report_parts import Section, Table, count, listed, plain_rows
from model.weights import Version, digest, open_version

HTML, PDF, FIGURES, CARD = "report.html", "report.pdf", "report.json", "card.md"
SETS = {"train": "Training", "validate": "Validation", "test": "Test", "held_out": "Held-out sources"}
SOFTWARE = ("firstread", "tensorflow", "keras", "numpy", "scipy", "scikit-learn", "statsmodels", "pydicom",
            "matplotlib", "weasyprint")  # fmt: skip
CAUTION = "No figure here is clinical evidence: films were chosen for a study, and no reader took part."


@dataclass(frozen=True)
class Films:
    """Which films a report is about, and how it shows them.

    Parameters
    ----------
    manifest_csv : Path
        See `model.evaluation.films.read_films`.
    root : Path
        Folder the files are relative to.
    folds : collection of int or None
    sources : collection of str or None
        Only these; None for all.
    shown : str
        ``licensed``, ``all`` or ``none``, see `report_films.section`.
    """

    manifest_csv: Path
    root: Path
    folds: Collection[int] | None = None
    sources: Collection[str] | None = None
    shown: str = "licensed"


def write_report(
    version_name: str | Path,
    films: Films,
    overlay: Overlay,
    now: datetime.datetime,
    folder: Path,
    *,
    against: str | Path | None = None,
) -> list[Path]:
    """Judge a version and write the report of it.

    Parameters
    ----------
    version_name : str or Path
        As for `Reader`.
    films : Films
    overlay : callable
        Film and reading to the film with its heatmap, (rows, columns, 3) uint8.
    now : datetime
        Its date goes into the report.
    folder : Path
        Made where it is not there; what a former report left in it is written over.
    against : str or Path, optional
        A second version, to be compared on the same films.

    Returns
    -------
    list of Path
        The report as HTML and as PDF, both whole in themselves, every figure as JSON, and the version's card,
        copied unless the folder lies beside it.

    Raises
    ------
    NoFilms
        If no film is in these folds and sources.
    NothingRead
        If every film was refused.
    NoCommonFilms
        If no film was read by both versions.
    """
    version = open_version(version_name)
    chosen = (films.manifest_csv, films.root, films.folds, films.sources)
    reader = Reader(version_name, BATCH_SIZE)
    about, judged = judge_set(reader, *chosen)
    if not len(judged.films):
        reasons = "; ".join(sorted({reason for _, reason in judged.refused}))
        raise NothingRead(f"{films.manifest_csv}: all {len(judged.refused)} films were refused ({reasons})")
    found = about | {
        "date": now.date().isoformat(),
        "n": len(judged.films) + len(judged.refused),
        "n_refused": len(judged.refused),
        "accuracy": accuracy(judged, version.recipe),
        "covariates": regression(judged),
        "equity": equity(judged),
    }
    if against is not None:
        other, answers = judge_set(Reader(against, BATCH_SIZE), *chosen)
        found["comparison"] = {"with": other, **compare(judged, answers)}
    folder.mkdir(parents=True, exist_ok=True)
    card = _card(version, folder)
    examples = report_films.section(judged, reader, films.root, films.shown, overlay)
    html = report_page.page(
        f"{found['model']} {found['version']} judged on labelled {'chest ' * version.lungs}films",
        f"{count(found['n'])} films of {listed(found['sources'])}",
        CAUTION,
        _facts(found, reader, films),
        _sections(found, judged, version, films, examples, card),
    )
    written = [folder / HTML, folder / PDF, folder / FIGURES]
    written[0].write_text(html, encoding="utf-8")
    written[1].write_bytes(report_page.pdf(html))
    written[2].write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


class NothingRead(ValueError):
    """Every film was refused, so there is nothing to report."""


def _card(version: Version, folder: Path) -> str:
    """Where the version's card lies, seen from the report; empty where it has none."""
    card = version.folder / CARD
    if not card.exists():
        return ""
    if folder.resolve().parent == version.folder.resolve():
        return f"../{CARD}"
    shutil.copy(card, folder)
    shutil.copytree(version.folder / "card", folder / "card", dirs_exist_ok=True)
    return CARD


def _facts(found: dict, reader: Reader, films: Films) -> list[tuple[str, str]]:
    of = "the model's and the lung network's files together" if reader.model.lungs else "the model's files"
    folds = "all" if found["folds"] == "all" else ", ".join(map(str, found["folds"]))
    return [
        ("Model", f"{found['model']} {found['version']}"),
        ("Weights", f"SHA-256 {found['weights_sha256']}, {of}"),
        ("Lung network", reader.model.lungs or "none"),
        ("Date", found["date"]),
        ("Films", f"{count(found['n'])}, folds: {folds}, sources: {', '.join(found['sources'])}"),
        ("Manifest", f"{films.manifest_csv.name}, SHA-256 {digest([films.manifest_csv])}"),
    ]


def _sections(
    found: dict, judged: Judged, version: Version, films: Films, examples: Section, card: str
) -> Sequence[Section]:
    own = version.manifest.get("data", {}).get("manifest_sha256") == digest([films.manifest_csv])
    sides = split(read_films(films.manifest_csv), version.recipe) if own else {}
    sets = {SETS[side]: of_side for side, of_side in sides.items()}
    accurate = report_accuracy.sections(found["accuracy"])
    sections = [
        Section("summary", "Summary", (), (report_accuracy.headline(found["accuracy"]),)),
        report_cohort.section(judged, films.manifest_csv, sets),
        _methods(judged, sides.get("train", []), version.lungs),
        report_training.section(version),
        *accurate,
        report_equity.covariates(found["covariates"]),
        report_equity.groups(found["equity"]),
        *([report_comparison.section(found)] if "comparison" in found else []),
        examples,
        _made(),
        *([_card_section(card)] if card else []),
    ]
    present = {key for one in sections for key in (one.key, *(part.key for part in one.parts))}
    return [*sections, *report_checklists.sections(present)]


def _steps(cascade: Cascade) -> str:
    """The steps and how they are put together, in sentences."""
    first, *others = (listed([label.name for label in of_step]) for of_step in cascade.steps)
    if not others:
        return f"There is one step, which tells {first}."
    after, [second] = cascade.after, others
    return (
        f"The cascade has two steps. Step 1 tells {first}; where {after} leads, step 2 tells {second}. For a "
        f"forced answer both steps are asked whether it is {after} (root of the product of their odds); each "
        "then parts what it alone tells apart."
    )


def _methods(judged: Judged, trained_on: Sequence[JudgedFilm], lungs: bool) -> Section:
    """What was done with a film, in sentences; `lungs` says whether they were looked for."""
    door = (
        "Every film passes the door that films from a modality pass: its header must be that of a frontal"
        " chest film, its pixels are decoded to display grey levels, and a network of its own finds the "
        "lungs and refuses pictures that are blank, no chest, turned, inverted or cut off at a lung."
        if lungs
        else "Every film passes the door that films from a modality pass: its pixels are decoded to display "
        "grey levels, and pictures that are blank are refused."
    )
    lead = [
        f"{door} What is refused is counted and judged no further. The pixels are the only predictors; age, "
        "sex and the other covariates are not shown to the network.",
        f"{_steps(judged.cascade)} One set of weights answers each step; answers of "
        "several models are not combined. The decision is what the node would say, with the version's "
        "thresholds: it may be indeterminate. The forced answer is always one of the classes.",
        "The true class is the manifest's label. Nothing of the version was changed for or after this "
        "evaluation.",
        "Intervals by patients drawn again are percentiles of draws of whole patients with replacement. "
        "The class activation, where the answer came from, is drawn from 35% of its maximum.",
    ]  # fmt: skip
    if trained_on:
        known = {film.group for film in trained_on} & {film.group for film in judged.films}
        lead.append(
            f"{count(len(known)) if known else 'None'} of the patients judged here had films in the "
            "version's training set; its sets divide whole patients."
        )
    return Section("methods", "Methods", tuple(lead))


def _made() -> Section:
    rows = [(name, importlib.metadata.version(name)) for name in SOFTWARE]
    rows.insert(0, ("Python", platform.python_version()))
    software = Table("software", "Software", ("", "Version"), plain_rows(rows), texts=True)
    lead = (
        "Firstread is free software (Apache-2.0); firstread evaluate with the option report makes this "
        "report from the version's folder and a manifest of films. report.json beside it holds every "
        "figure unrounded.",
    )
    return Section("made", "Software and data", lead, (software,))


def _card_section(card: str) -> Section:
    lead = (
        "What the version is for and not for, the films it learned from, its audit for shortcuts, its "
        "robustness and its limits stand in its model card.",
    )
    return Section("card", "Model card", lead, link=(card, "Model card (card.md)"))
