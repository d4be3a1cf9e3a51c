"""Make a version's weights: split the films, train, choose thresholds, measure."""

import datetime
import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from model.evaluation.evaluate import BATCH_SIZE, evaluate
from model.preprocess import network_input
from model.reader import PreparedFilm, Reader
from model.training.films import (
    LabelledFilm,
    read_manifest,
    read_picture,
    require_disjoint,
    sample,
    select,
    without_groups_of,
)
from model.weights import STEPS, read_recipe, weights_file


def train(version_dir: Path, manifest_csv: Path, root: Path, out_dir: Path, now: datetime.datetime) -> dict:
    """Train a version from its recipe and measure it.

    Leaves in `out_dir` a complete version, ``model.toml``, the weights, their curves and ``manifest.json``,
    and the checkpoints; a run that was broken off goes on from these. The same recipe, films and machine
    give the same weights.

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
    curves = import_module("model.training.curves")  # what it needs is missed before the training, not after
    recipe = read_recipe(version_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    if out_dir.resolve() != version_dir.resolve():
        shutil.copyfile(version_dir / "model.toml", out_dir / "model.toml")
    sides = split(read_manifest(manifest_csv), recipe)
    method = import_module(f"model.training.{recipe['training']['method']}")
    parts = {}
    for part, (network, rows) in method.networks(recipe, sides, manifest_csv, root, out_dir / "checkpoints"):
        network.save_weights(out_dir / weights_file(part))
        curves.write_curves(rows, out_dir, f"{part}-curves")
        parts[part] = hashlib.sha256((out_dir / weights_file(part)).read_bytes()).hexdigest()
    manifest = {
        "date": now.date().isoformat(),
        "data": {
            "manifest_sha256": hashlib.sha256(manifest_csv.read_bytes()).hexdigest(),
            "films": {side: len(films) for side, films in sides.items()},
        },
        "sha256": parts,
        "thresholds": dict.fromkeys(STEPS, 0.0),
    }
    # Thresholds and figures come from the version as the node opens it, so its manifest is there first.
    _write(out_dir, manifest)
    manifest["thresholds"] = _thresholds(out_dir, sides["validate"], root, recipe)
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
    if "sample" in recipe:
        sides["train"] = sample(sides["train"], recipe["sample"]["films"], recipe["sample"]["seed"])
    sides["held_out"] = held_out
    require_disjoint(**sides)
    return sides


def _thresholds(
    version_dir: Path, films: Sequence[LabelledFilm], root: Path, recipe: dict
) -> dict[str, float]:
    """Smallest leading score that is said, so that the recipe's share of these films is not."""
    reader = Reader(version_dir, BATCH_SIZE)
    prepared = []
    for film in films:
        display = read_picture(root / film.file)
        prepared.append(PreparedFilm(display, network_input(display, reader.input_size), *display.shape))
    readings = reader.read(prepared)
    leading = {
        "step1": [reading.step1.leading_score for reading in readings],
        # Step 2 speaks for those only of which step 1 says viral.
        "step2": [reading.step2.leading_score for reading in readings if reading.step2 is not None],
    }
    share = recipe["threshold"]["unanswered"]
    return {
        step: round(float(np.quantile(of_step, share)), 4) if of_step else 0.0
        for step, of_step in leading.items()
    }


def _write(out_dir: Path, manifest: dict) -> None:
    (out_dir / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
