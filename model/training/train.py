"""Make a version: split the films, train, write weights and curves, and have it finished."""

import datetime
import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from model.evaluation.finish import MANIFEST, finish
from model.training import replicas
from model.training.films import (
    LabelledFilm,
    read_manifest,
    require_disjoint,
    sample,
    select,
    without_groups_of,
)
from model.training.loop import Trained
from model.weights import digest, read_cascade, read_recipe, weights_file


def train(
    version_dir: Path, manifest_csv: Path, root: Path, out_dir: Path, now: datetime.datetime
) -> dict | None:
    """Train a version from its recipe and measure it.

    Leaves in `out_dir` a complete version, ``model.toml``, the weights, their curves and ``manifest.json``,
    and the checkpoints; a run that was broken off goes on from these. The same recipe, films and machine
    give the same weights.

    With a table ``[distribute]`` in the recipe the batches are parted, see `replicas.scope`. Of several
    machines, which see the same `out_dir`, one writes.

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
    dict or None
        What ``manifest.json`` holds; None on a machine that does not write.

    Raises
    ------
    ValueError
        If one patient would be on two sides of the split, or a batch cannot be parted equally.
    WeightsInvalid
        If the recipe does not say what the version can say.
    """
    import_module("model.training.curves")  # what it needs is missed before the training, not after
    recipe = read_recipe(version_dir)
    method = import_module(f"model.training.{recipe['training']['method']}")
    if not hasattr(method, "train"):
        read_cascade(version_dir, recipe)  # what it lacks is missed before the training, too
    with replicas.scope(recipe.get("distribute"), recipe["training"]["batch_size"]):
        is_chief = replicas.is_chief()
        with replicas.own_folder(out_dir) as own:
            if own.resolve() != version_dir.resolve():
                shutil.copyfile(version_dir / "model.toml", own / "model.toml")
        if hasattr(method, "train"):  # it names no disease: other films, other figures
            return method.train(recipe, manifest_csv, root, out_dir, now)
        sides = split(read_manifest(manifest_csv), recipe)
        parts = {
            part: write(trained, out_dir, part)
            for part, trained in method.networks(recipe, sides, manifest_csv, root, out_dir / "checkpoints")
        }
    if not is_chief:
        return None
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


def write(trained: Trained, out_dir: Path, part: str) -> str:
    """Write the weights of a network and its curves; the SHA-256 of the weights, hexadecimal."""
    with replicas.own_folder(out_dir) as own:
        trained.network.save_weights(own / weights_file(part))
        import_module("model.training.curves").write_curves(trained.curves, own, f"{part}-curves")
        return digest([own / weights_file(part)])


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
