"""The last step of a training: calibrate, set thresholds, learn which films are like the training films."""

import json
import logging
from pathlib import Path

import numpy as np
from scipy.special import softmax

from model import unlike
from model.calibration import fit_temperature, least_inside, operating_threshold
from model.cascade import of_recipe, steps_of
from model.evaluation import metrics
from model.evaluation.answers import Judged, judge
from model.evaluation.evaluate import BATCH_SIZE, evaluate
from model.evaluation.films import read_films, split
from model.reader import Reader
from model.weights import read_recipe

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
INSIDE = "inside_lungs"  # the threshold beside those of the steps
# What the manifest keeps of `evaluate`; the card has all.
KEPT = (
    "folds", "sources", "n", "n_refused", "refused_for", "n_indeterminate", "milliseconds_per_film",
    "accuracy", "balanced_accuracy", "macro_f1", "accuracy_in_paper_mix", "accuracy_at_70_percent_coverage",
    "auc", "calibration", "coverage", "accuracy_of_answered", "outside_lungs", "inside_lungs",
)  # fmt: skip


def finish(version_dir: Path, manifest_csv: Path, root: Path) -> dict:
    """Write into a trained version what can only be had from its answers.

    Parameters
    ----------
    version_dir : Path
        With ``model.toml``, the weights, and a ``manifest.json`` that holds at least their sha256.
    manifest_csv : Path
        The set's ``manifest.csv``.
    root : Path
        Folder its files are relative to.

    Returns
    -------
    dict
        What ``manifest.json`` now holds: as before, and temperature, thresholds (of each step, and of the
        share inside the lungs), operating_points and unlike (from the validation films), and figures of the
        test folds and of the held-out sources. ``unlike.npz`` lies beside it.
    """
    recipe = read_recipe(version_dir)
    manifest = json.loads((version_dir / MANIFEST).read_text(encoding="utf-8"))
    # The reader opens the version as it stands; no answer of a former run may stay in it.
    bare = {name: manifest[name] for name in manifest if name not in ("temperature", "unlike", "figures")}
    _write(version_dir, bare | {"thresholds": dict.fromkeys((*steps_of(recipe), INSIDE), 0.0)})
    reader = Reader(version_dir, BATCH_SIZE)
    sides = split(read_films(manifest_csv), recipe)
    train, validate = (judge(reader, sides[side], root) for side in ("train", "validate"))
    manifest = bare | calibrated(validate, recipe)
    known = unlike.fit(train.features, train.truth, validate.features)
    manifest["thresholds"][INSIDE] = 0.0
    manifest["unlike"] = unlike.save(known, version_dir)
    _write(version_dir, manifest)
    # What is pointed at is known once the version decides as it will.
    decided = judge(Reader(version_dir, BATCH_SIZE), sides["validate"], root)
    shares = decided.inside[pointed_rightly(decided)]
    manifest["thresholds"][INSIDE] = least_inside(shares, recipe["threshold"]["outside_lungs"])
    _write(version_dir, manifest)
    test = (version_dir, manifest_csv, root)
    figures = {"test_folds": evaluate(*test, recipe["folds"]["test"], recipe["sources"]["train"])}
    if recipe["sources"]["held_out"]:
        figures["held_out_sources"] = evaluate(*test, None, recipe["sources"]["held_out"])
    manifest["figures"] = {side: _kept(found) for side, found in figures.items()}
    _write(version_dir, manifest)
    logger.info("%s: %s", version_dir.name, {k: manifest[k] for k in ("temperature", "operating_points")})
    return manifest


def calibrated(validate: Judged, recipe: dict) -> dict:
    """Temperature and threshold of each step, and what the thresholds reach.

    Parameters
    ----------
    validate : Judged
        Films that trained nothing.
    recipe : dict
        ``model.toml``.

    Returns
    -------
    dict
        temperature, thresholds and operating_points, each by step.
    """
    found: dict = {"temperature": {}, "thresholds": {}, "operating_points": {}}
    asked = np.ones(len(validate.truth), bool)
    cascade = of_recipe(recipe)
    # Of each class what each step should say.
    answers = [cascade.answers(label) for _, label in cascade.classes]
    for number, (step, logits) in enumerate(
        zip(steps_of(recipe), (validate.logits1, validate.logits2), strict=False)
    ):
        labels, harmless = cascade.labels(number + 1), cascade.harmless[number]
        place = np.array([labels.index(of_class[number]) for of_class in answers])
        truth = place[validate.truth]
        temperature = round(fit_temperature(logits, truth), 4)
        scores = softmax(logits / temperature, axis=1)
        ill = ~np.isin(truth, [0, labels.index(harmless)])  # neither the absence nor what misses most
        point = operating_threshold(scores[asked], ill[asked], labels.index(harmless), recipe["threshold"])
        found["temperature"][step] = temperature
        found["thresholds"][step] = point.pop("threshold")
        found["operating_points"][step] = point
        if cascade.after in labels:  # step 2 speaks for these only
            asked = scores.argmax(axis=1) == labels.index(cascade.after)
    return found


def pointed_rightly(judged: Judged) -> np.ndarray:
    """Which films are answered by the right class, and that class lies at a place, (n,) bool."""
    _, right = metrics.decided(judged)
    return right & np.isfinite(judged.inside)


def _kept(found: dict) -> dict:
    """The figures of all films together, with their intervals."""
    intervals = {name: found["ci95"][name] for name in KEPT if name in found["ci95"]}
    return {name: found[name] for name in KEPT} | {"ci95": intervals}


def _write(version_dir: Path, manifest: dict) -> None:
    text = json.dumps(manifest, indent=2) + "\n"
    (version_dir / MANIFEST).write_text(text, encoding="utf-8")
