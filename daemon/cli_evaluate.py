"""Verb ``firstread evaluate``: a version, or the finder of lungs, judged on labelled films; two compared.

The answer is a table, every figure as JSON, a version's card, or a study's report.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from daemon import service, terminal
from daemon.results.picture import overlaid
from model.evaluation.answers import Judged
from model.evaluation.evaluate import BATCH_SIZE, judge_set, report
from model.evaluation.films import NoFilms
from model.evaluation.table import table
from model.findings import Reading
from model.reader import Reader
from model.weights import open_version

DIFFER = ("first", "second", "difference")


def run(options: argparse.Namespace) -> int:
    """Judge what the options ask for."""
    if options.against and (options.lungs or options.card):
        return _wrong("--against compares versions: --model, and no --lungs or --card")
    if options.films != "licensed" and not options.report:
        return _wrong("--films says what a report shows: give --report too")
    if options.lungs:
        return _lungs(options)
    if options.card:
        return _card(options)
    answer = _report if options.report else _against if options.against else _version
    try:
        return answer(options)
    except NoFilms as error:
        print(f"firstread: {error}", file=sys.stderr)
        return 1


def _version(options: argparse.Namespace) -> int:
    about, judged = _judged(options.model, options)
    found = about | report(judged)
    if not options.json:
        print(table(found))
        return 0
    if len(judged.films):
        from model.study.accuracy import accuracy

        found["study"] = accuracy(judged, open_version(options.model).recipe)
    print(json.dumps(found, indent=2))
    return 0


def _judged(version: str | Path, options: argparse.Namespace) -> tuple[dict, Judged]:
    return judge_set(
        Reader(version, BATCH_SIZE), options.manifest, options.root, options.folds, _sources(options)
    )


def _sources(options: argparse.Namespace) -> list[str] | None:
    return [name for listed in options.sources or [] for name in listed.split(",")] or None


def _against(options: argparse.Namespace) -> int:
    from model.study.comparison import NoCommonFilms, compare

    (first, judged), (second, other) = (_judged(name, options) for name in (options.model, options.against))
    try:
        found = {"first": first, "second": second, **compare(judged, other)}
    except NoCommonFilms as error:
        print(f"firstread: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return 0


def show(found: dict) -> None:
    """Print a comparison of two versions.

    Parameters
    ----------
    found : dict
        From `model.study.comparison.compare`; and first and second, the versions, as `judge_set` names them.
    """
    names = [f"{found[one]['model']} {found[one]['version']}" for one in ("first", "second")]
    left_out, tests = found["left_out"], found["tests"]
    print(
        f"{names[0]} against {names[1]}: {found['films']} films of {found['patients']} patients read by both"
    )
    print(f"left out: {left_out['first']} read by the first only, {left_out['second']} by the second only")
    answers = found["accuracy"]
    print(
        "answered rightly: {both_right} by both, {first_only} by the first only, {second_only} by the second "
        "only, {both_wrong} by neither".format_map(answers)
    )
    rows = [["accuracy (McNemar)", *_figures(answers)]]
    rows += [[f"AUC {label} (DeLong)", *_figures(area)] for label, area in found["roc_auc"].items()]
    print()
    terminal.console().print(
        terminal.table(
            ["", ">first", ">second", ">difference", ">95 % by patients", ">p", ">p adjusted"], rows
        )
    )
    print()
    print(f"p adjusted for {tests['comparisons']} comparisons by {tests['adjustment'].capitalize()}'s method")


def _figures(row: dict[str, Any]) -> list[str]:
    """What is shown of a comparison; a dash for what the films cannot tell."""
    limits = row["bootstrap"] and "{:.3f} to {:.3f}".format(*row["bootstrap"])
    figures = [row[name] if row[name] is None else f"{row[name]:.3f}" for name in DIFFER]
    chances = [row[name] if row[name] is None else f"{row[name]:.2g}" for name in ("p", "p_adjusted")]
    return [text or "-" for text in (*figures, limits, *chances)]


def _report(options: argparse.Namespace) -> int:
    from model.study.comparison import NoCommonFilms
    from model.study.report import Films, NothingRead, write_report

    films = Films(options.manifest, options.root, options.folds, _sources(options), options.films)
    try:
        written = write_report(
            options.model, films, _overlay, service.now(), options.report, against=options.against
        )
    except (NoCommonFilms, NothingRead) as error:
        print(f"firstread: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


def _overlay(display: np.ndarray, reading: Reading) -> np.ndarray:
    """A film with what the picture of its reading has on it."""
    return overlaid(display, reading, 1.0)[0].astype(np.uint8)


def _lungs(options: argparse.Namespace) -> int:
    from model.evaluation import lungs

    if options.card or options.report or options.folds or options.sources:
        return _wrong("--lungs judges its own test films: no --card, --report, --folds or --sources")
    found = lungs.evaluate(options.manifest, options.root)
    print(json.dumps(found, indent=2) if options.json else lungs.table(found))
    return 0


def _card(options: argparse.Namespace) -> int:
    from model.evaluation.card import write_card

    if options.folds or options.sources:
        return _wrong("a card is of its version's test films: no --folds or --sources")
    print(write_card(options.model, options.manifest, options.root, service.now()))
    return 0


def _wrong(usage: str) -> int:
    print(f"firstread: {usage}", file=sys.stderr)
    return 2
