"""Make a version's weights: split the films, train both steps, choose thresholds, measure."""

import datetime
import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.evaluation.evaluate import evaluate
from model.training.films import (
    LabelledFilm,
    network_inputs,
    read_manifest,
    require_disjoint,
    select,
    without_groups_of,
)
from model.training.fit import Examples, fit
from model.weights import STEPS, read_recipe, weights_file

logger = logging.getLogger(__name__)


def train(version_dir: Path, manifest_csv: Path, root: Path, out_dir: Path, now: datetime.datetime) -> dict:
    """Train a version from its recipe and measure it.

    Leaves in `out_dir` a complete version, ``model.toml``, the weights and ``manifest.json``, and the
    checkpoints; a run that was broken off goes on from these. The same recipe, films and machine give the
    same weights.

    Parameters
    ----------
    version_dir : Path
        Folder whose ``model.toml`` is the recipe.
    manifest_csv : Path
        The set's ``manifest.csv``.
    root : Path
        Folder its files are relative to.
    out_dir : Path
        May be `version_dir`.
    now : datetime
        Aware; its date goes into ``manifest.json``.

    Returns
    -------
    dict
        What ``manifest.json`` holds.

    Raises
    ------
    ValueError
        If one patient would be on two sides of the split.
    """
    recipe = read_recipe(version_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    if out_dir.resolve() != version_dir.resolve():
        shutil.copyfile(version_dir / "model.toml", out_dir / "model.toml")
    sides = split(read_manifest(manifest_csv), recipe)
    inputs = {side: network_inputs(sides[side], root, recipe["input_size"]) for side in ("train", "validate")}
    scores = {}
    for step in STEPS:
        network = _train_step(step, recipe, sides, inputs, out_dir)
        scores[step] = np.concatenate(
            [network(batch, training=False).numpy() for batch in np.array_split(inputs["validate"], 8)]
        )
    manifest = {
        "date": now.date().isoformat(),
        "data": {
            "manifest_sha256": hashlib.sha256(manifest_csv.read_bytes()).hexdigest(),
            "films": {side: len(films) for side, films in sides.items()},
        },
        "sha256": {
            step: hashlib.sha256((out_dir / weights_file(step)).read_bytes()).hexdigest() for step in STEPS
        },
        "thresholds": _thresholds(scores, recipe),
    }
    # Evaluation opens the version as the node does, so the manifest is there before its figures are.
    _write(out_dir, manifest)
    test = (out_dir, manifest_csv, root)
    manifest["figures"] = {
        "test_folds": evaluate(*test, recipe["folds"]["test"], recipe["sources"]["train"]),
        "held_out_sources": evaluate(*test, None, recipe["sources"]["held_out"]),
    }
    _write(out_dir, manifest)
    return manifest


def split(films: Sequence[LabelledFilm], recipe: dict) -> dict[str, list[LabelledFilm]]:
    """The films of each side: train, validate, test and held_out, with no patient on two of them."""
    sources, folds = recipe["sources"], recipe["folds"]
    held_out = select(films, sources["held_out"])
    own = without_groups_of(select(films, sources["train"]), held_out)
    sides = {side: select(own, sources["train"], folds[side]) for side in ("train", "validate", "test")}
    sides["held_out"] = held_out
    require_disjoint(**sides)
    return sides


def _train_step(
    step: str,
    recipe: dict,
    sides: dict[str, list[LabelledFilm]],
    inputs: dict[str, np.ndarray],
    out_dir: Path,
) -> keras.Model:
    """Train one step's network and write its weights."""
    labels = recipe[step]["labels"].values()
    place = {label: i for i, together in enumerate(labels) for label in together}
    examples = {
        side: Examples(images, np.array([place[film.label] for film in sides[side]]))
        for side, images in inputs.items()
    }
    seed = recipe[step]["seed"]
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    fresh = import_module(f"model.networks.{recipe['network']}").build(len(labels))
    logger.info("%s: %d films to train, %d to validate", step, *(len(e.classes) for e in examples.values()))
    checkpoints = out_dir / "checkpoints" / step
    network = fit(fresh, examples["train"], examples["validate"], recipe, seed=seed, keep=checkpoints)
    network.save_weights(out_dir / weights_file(step))
    return network


def _thresholds(scores: dict[str, np.ndarray], recipe: dict) -> dict[str, float]:
    """Smallest leading score that is said, so that the recipe's share of validation films is not."""
    viral = list(recipe["step1"]["labels"]).index("viral")
    asked = scores["step1"].argmax(axis=1) == viral  # step 2 speaks for these only
    leading = {"step1": scores["step1"].max(axis=1), "step2": scores["step2"][asked].max(axis=1)}
    share = recipe["threshold"]["unanswered"]
    return {step: round(float(np.quantile(leading[step], share)), 4) for step in STEPS}


def _write(out_dir: Path, manifest: dict) -> None:
    (out_dir / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
