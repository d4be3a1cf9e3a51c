"""Train the network that finds the lungs, and tells how a film lies and whether it is a chest."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.evaluation.finish import MANIFEST
from model.networks import lungs
from model.training import replicas
from model.training.augment import move
from model.training.films import read_manifest
from model.training.loop import Trained, repeatable, run, warm_cosine
from model.training.lung_films import LEFT, OPACITY, RIGHT, Taught, boxes_of, mask_files, taught
from model.training.lung_losses import (
    box_loss,
    chest_right,
    dice,
    field_loss,
    picture_loss,
    polarity_right,
    turned_right,
)
from model.training.not_chests import not_chests
from model.training.restyle import expose
from model.training.train import split, write

logger = logging.getLogger(__name__)

PART = "lungs"  # names the weight file
LOSS_WEIGHTS = (1.0, 0.5, 1.0)  # of fields, boxes and picture
LEAST_LUNG = 60  # pixels of the input: fewer are no lung
LEAST_SEEN = 0.5  # share of each lung in the film: with less it counts neither as a chest nor as none
CENTRAL = 0.25  # share of a box's sides, either way, in which places answer for it
CENTRAL_PIXELS = 8.0  # and at least
VALIDATED = 512  # films, drawn as those of an epoch
SEEDS_OF_AN_EPOCH = 1_000_000


def train(recipe: dict, manifest_csv: Path, root: Path, out_dir: Path, now: datetime) -> dict | None:
    """Train the lung network from its recipe; as `model.training.train.train`.

    Beside the manifest lie ``unlabelled.csv``, ``lung_masks.csv`` and ``boxes.csv``.

    Returns
    -------
    dict or None
        What ``manifest.json`` holds; None on a machine that does not write.

    Raises
    ------
    ValueError
        If one patient would be on two sides of the split.
    """
    every = read_manifest(manifest_csv) + read_manifest(manifest_csv.with_name("unlabelled.csv"))
    sides = split(every, recipe)
    masks = {
        file: mask
        for file, mask in mask_files(manifest_csv.with_name("lung_masks.csv")).items()
        if any(file.startswith(f"images/{source}/") for source in recipe["sources"]["masks"])
    }
    boxes = boxes_of(manifest_csv.with_name("boxes.csv"))
    films = {}
    for number, side in enumerate(("train", "validate")):
        useful = [film for film in sides[side] if film.file in masks or film.source != "kaggle"]
        films[side] = with_not_chests(
            taught(useful, root, masks, boxes, recipe["input_size"]),
            recipe["training"]["not_chests"] // (1 + 3 * number),
            recipe["seed"] + number,
        )
        logger.info("%s: %s", side, dict(zip(*np.unique(films[side].kinds, return_counts=True), strict=True)))
    trained = fit(recipe, films["train"], films["validate"], out_dir / "checkpoints" / PART)
    sha256 = write(trained, out_dir, PART)
    if not replicas.is_chief():
        return None
    manifest = {
        "date": now.date().isoformat(),
        "data": {
            "manifest_sha256": hashlib.sha256(manifest_csv.read_bytes()).hexdigest(),
            "films": {side: len(of_side.kinds) for side, of_side in films.items()},
        },
        "sha256": {PART: sha256},
    }
    (out_dir / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def with_not_chests(films: Taught, count: int, seed: int) -> Taught:
    """The films, and `count` drawn pictures that are no chest."""
    drawn, without_lungs = not_chests(count, films.pixels[films.kinds == "masked"], seed)
    nothing = np.zeros(count)
    known = np.stack([without_lungs, without_lungs, nothing, nothing], axis=1).astype(np.float32)
    return Taught(
        np.concatenate([films.pixels, drawn]),
        np.concatenate([films.known, known]),
        np.concatenate([films.kinds, np.full(count, "not_chest")]),
    )


def fit(recipe: dict, films: Taught, validate: Taught, keep: Path) -> Trained:
    """Train the network of a recipe with these films.

    In each cycle the learning rate rises in one epoch and falls by a cosine, to 0 at the end of an epoch that
    the cycle need not reach; a cycle may change amounts of the augmentation. Each goes on from the best epoch
    of the one before.
    """
    limits, seed, curves = recipe["training"], recipe["seed"], []
    repeatable(seed)
    batches = limits["films_per_epoch"] // limits["batch_size"]
    network = lungs.build()
    for number, cycle in enumerate(limits["cycles"], start=1):
        changes = recipe | {"augmentation": recipe["augmentation"] | cycle.get("augmentation", {})}
        rate = warm_cosine(cycle["learning_rate"], cycle["rate_falls_until"], batches)
        network.compile(
            keras.optimizers.AdamW(rate, weight_decay=limits["weight_decay"]),
            loss=[field_loss, box_loss, picture_loss],
            loss_weights=list(LOSS_WEIGHTS),
            metrics=[[dice], [], [turned_right, polarity_right, chest_right]],
        )
        # The validation films are changed alike in each epoch.
        drawn = drawn_films(validate, recipe, VALIDATED, (seed + 1, 0))
        validation = batches_of(validate, drawn, changes, seed + 1, 0).cache()
        before = len(curves)

        def epoch_of(epoch: int, before: int = before, changes: dict = changes) -> tf.data.Dataset:
            drawn = drawn_films(films, recipe, limits["films_per_epoch"], (seed, before + epoch))
            return batches_of(films, drawn, changes, seed, before + epoch)

        patient = {"epochs": cycle["epochs"], "patience": cycle["epochs"]}
        network, rows = run(network, epoch_of, validation, patient, seed=seed, keep=keep / f"cycle{number}")
        curves += [row | {"epoch": before + row["epoch"]} for row in rows]
    return Trained(network, curves)


def drawn_films(films: Taught, recipe: dict, count: int, seed: tuple[int, int]) -> np.ndarray:
    """Places of the films of an epoch, each kind by its share."""
    share = np.zeros(len(films.kinds))
    for kind, weight in recipe["training"]["sampling"].items():
        of_kind = films.kinds == kind
        share[of_kind] = weight / max(of_kind.sum(), 1)
    return np.random.default_rng(seed).choice(len(share), count, p=share / share.sum())


def batches_of(films: Taught, drawn: np.ndarray, recipe: dict, seed: int, epoch: int) -> tf.data.Dataset:
    """One pass over the drawn films, changed by seed, epoch and place alone: a resumed run is the same."""
    pixels, known = tf.constant(films.pixels), tf.constant(films.known)
    start = epoch * SEEDS_OF_AN_EPOCH

    def together(number: tf.Tensor, places: tf.Tensor) -> tuple:
        # A step of 100 leaves room for the seeds that are counted up to.
        place = tf.stack([tf.constant(seed, tf.int64), start + 100 * number])
        return changed(tf.gather(pixels, places), tf.gather(known, places), place, recipe["augmentation"])

    batches = tf.data.Dataset.from_tensor_slices(drawn).batch(
        recipe["training"]["batch_size"], drop_remainder=True
    )
    return batches.enumerate().map(together, num_parallel_calls=2).prefetch(3)


def changed(pixels: tf.Tensor, known: tf.Tensor, seed: tf.Tensor, amounts: Mapping) -> tuple:
    """Films moved with their places, restyled, turned and inverted, and what the network should say of them.

    Parameters
    ----------
    pixels : (n, size, size, 2) uint8
    known : (n, 4) float32
        Both as in `Taught`.
    seed : (2,) int64
    amounts : mapping
        The table ``[augmentation]`` of ``model.toml``.

    Returns
    -------
    films : (n, size, size, 1) float32
        -1 to 1.
    targets : tuple
        For `field_loss`, `box_loss` and `picture_loss`.
    """
    n, size = tf.shape(pixels)[0], pixels.shape[1]
    draws = tf.random.stateless_uniform((n, 12), seed, -1.0, 1.0)
    films, places, seen = moved_with_places(pixels, draws[:, :8], amounts)
    grey = tf.random.stateless_uniform((n, 1, 1, 1), seed + 10)
    black = tf.reshape((draws[:, 8] + 1) / 2 < amounts["black"], (n, 1, 1, 1))
    films += (1 - seen) * tf.where(black, 0.0, grey)
    films = tf.clip_by_value(films, 0.0, 1.0) ** tf.exp(draws[:, 9] * amounts["gamma"])[:, None, None, None]
    blurred = tf.nn.avg_pool2d(films, 5, 1, "SAME")
    films += (blurred - films) * tf.nn.relu(draws[:, 10])[:, None, None, None] * amounts["blur"]
    films = expose(films, tf.random.stateless_uniform((n, 6), seed + 20, -1.0, 1.0), seed + 30, amounts)

    chances = tf.random.stateless_uniform((n, 3), seed + 40)
    turn = tf.where(chances[:, 0] < amounts["turned"], 1 + tf.cast(chances[:, 1] * 3, tf.int32), 0)
    films = turned(films, turn)
    negative = chances[:, 2] < amounts["negative"]
    films = tf.where(negative[:, None, None, None], 1 - films, films)

    lies, chest = known[:, 2] > 0, known[:, 3]
    whole = _share_seen(pixels, places, draws, amounts) >= LEAST_SEEN
    chest = tf.where((known[:, 0] > 0) & (chest > 0) & ~whole, -1.0, chest)
    upright = (turn == 0) | (chest == 0)
    picture = tf.stack(
        [
            tf.where(lies, tf.cast(turn, tf.float32), -1.0),
            tf.where(lies, tf.cast(negative, tf.float32), -1.0),
            chest,
        ],
        axis=1,
    )
    where = tf.stack([known[:, 0], known[:, 0], known[:, 1]], axis=1) * tf.cast(upright, tf.float32)[:, None]
    fields = tf.where(where[:, None, None, :2] > 0, places[..., :2], -1.0)
    films = lungs.seen(tf.ensure_shape(films, (None, size, size, 1)))
    return films, (fields, boxes_at(places, where), picture)


def moved_with_places(pixels: tf.Tensor, draws: tf.Tensor, amounts: Mapping) -> tuple:
    """Films, (n, size, size, 1), their places, (n, size, size, 3) 0 or 1, and where the film is, all moved.

    Left and right lung change their names in a mirror: a name says the place in the picture.
    """
    size, mirror = pixels.shape[1], amounts["flip"] & (draws[:, 5] < 0)
    grey, bits = (tf.cast(plane, tf.float32) for plane in tf.split(pixels, 2, axis=-1))

    def moved(planes: tf.Tensor, interpolation: str) -> tf.Tensor:
        planes = move(
            planes,
            size,
            angle=draws[:, 0] * (amounts["rotate_degrees"] * math.pi / 180),
            scale=_scale(draws, amounts),
            shift=draws[:, 3:5] * amounts["shift"],
            mirror=mirror,
            fill="CONSTANT",
            interpolation=interpolation,
        )
        return tf.ensure_shape(planes, (None, size, size, 1))

    # Above the greys of the film itself, so that what lies outside it, 0, is told from black.
    grey = moved(1.0 + grey / 255.0, "BILINEAR")
    bits = tf.cast(moved(bits, "NEAREST"), tf.int32)
    places = tf.cast(bits & tf.constant([RIGHT, LEFT, OPACITY]) > 0, tf.float32)
    swapped = tf.gather(places, [1, 0, 2], axis=-1)
    inside = tf.cast(grey >= 1.0, tf.float32)
    return (grey - 1.0) * inside, tf.where(mirror[:, None, None, None], swapped, places), inside


def _scale(draws: tf.Tensor, amounts: Mapping) -> tf.Tensor:
    """Of columns and rows, (n, 2): zooms in and out are as frequent."""
    low, high = math.log(amounts["smallest_zoom"]), math.log(amounts["largest_zoom"])
    zoom = tf.exp(low + (draws[:, 1:2] + 1) / 2 * (high - low))
    stretch = 1.0 + draws[:, 2:3] * amounts["stretch"]
    return tf.concat([zoom * stretch, zoom / stretch], axis=1)


def _share_seen(pixels: tf.Tensor, places: tf.Tensor, draws: tf.Tensor, amounts: Mapping) -> tf.Tensor:
    """Share of its area that is still in the film, of the lung with less, (n,); 1 without lungs."""
    bits = tf.cast(pixels[..., 1], tf.int32)
    whole = tf.stack(
        [tf.reduce_sum(tf.cast(bits & bit > 0, tf.float32), axis=(1, 2)) for bit in (RIGHT, LEFT)], axis=1
    )
    mirror = (amounts["flip"] & (draws[:, 5] < 0))[:, None]
    whole = tf.where(mirror, whole[:, ::-1], whole) * tf.reduce_prod(_scale(draws, amounts), axis=1)[:, None]
    left = tf.reduce_sum(places[..., :2], axis=(1, 2))
    return tf.reduce_min(tf.where(whole > 0, left / tf.maximum(whole, 1.0), 1.0), axis=1)


def turned(films: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Each film turned counter-clockwise by so many quarters, (n,) int32."""
    ways = [tf.image.rot90(films, quarters) for quarters in range(4)]
    return tf.gather(tf.stack(ways, axis=1), turn, axis=1, batch_dims=1)


def boxes_at(places: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """What each place of the network should say of the boxes round lungs and opacity.

    Parameters
    ----------
    places : (n, size, size, 3) float32
        0 or 1.
    known : (n, 3) float32

    Returns
    -------
    (n, 24, 24, 3, 6) float32
        Class, -1 where not known, centre-ness and distances, as `box_loss` takes them.
    """
    size = places.shape[1]
    there = tf.reduce_sum(places, axis=(1, 2)) >= LEAST_LUNG  # (n, 3)
    columns = tf.cast(tf.reduce_max(places, axis=1) > 0, tf.float32)  # (n, size, 3)
    rows = tf.cast(tf.reduce_max(places, axis=2) > 0, tf.float32)
    sides = []
    for along in (columns, rows):
        first = tf.cast(tf.argmax(along, axis=1), tf.float32)
        sides.append((first, size - tf.cast(tf.argmax(along[:, ::-1], axis=1), tf.float32)))
    (left, right), (top, bottom) = sides
    box = tf.stack([left, top, right, bottom], axis=-1)[:, None, None]  # (n, 1, 1, 3, 4)
    middle = lungs.middles()[None, :, :, None]  # (1, 24, 24, 1, 2)
    distances = tf.concat([middle - box[..., :2], box[..., 2:] - middle], axis=-1)
    half = tf.maximum((box[..., 2:] - box[..., :2]) * CENTRAL, CENTRAL_PIXELS)
    central = tf.abs(middle - (box[..., :2] + box[..., 2:]) / 2) <= half
    inside = tf.reduce_min(distances, axis=-1) > 0
    holds = tf.reduce_all(central, axis=-1) & inside & there[:, None, None]
    distances = tf.maximum(distances, 1e-3)
    nearer = tf.minimum(distances[..., :2], distances[..., 2:])
    further = tf.maximum(distances[..., :2], distances[..., 2:])
    centre_ness = tf.sqrt(tf.reduce_prod(nearer / further, axis=-1, keepdims=True))
    name = tf.where(known[:, None, None] > 0, tf.cast(holds, tf.float32), -1.0)[..., None]
    return tf.concat([name, centre_ness, distances], axis=-1)
