"""Make a version: split the films, train, write weights and curves, and have it finished."""

import datetime
import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from model.evaluation.finish import MANIFEST, finish
from model.training.films import (
    LabelledFilm,
    read_manifest,
    require_disjoint,
    sample,
    select,
    without_groups_of,
)
from model.weights import read_recipe, weights_file


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
    method = import_module(f"model.training.{recipe['training']['method']}")
    if hasattr(method, "train"):  # it names no disease: other films, other figures
        return method.train(recipe, manifest_csv, root, out_dir, now)
    sides = split(read_manifest(manifest_csv), recipe)
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
    }
    (out_dir / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return finish(out_dir, manifest_csv, root)


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
