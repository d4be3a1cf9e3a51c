"""Train the paper's cascade: two networks, one for each step."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.cascade import steps_of
from model.training.augment import augment
from model.training.films import LabelledFilm, network_inputs
from model.training.loop import Trained, run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """Network inputs and their classes.

    Parameters
    ----------
    images : (n, size, size, 3) float32
        0 to 1.
    classes : (n,) int64
        Place of the film's label among the step's labels.
    """

    images: np.ndarray
    classes: np.ndarray


def _epoch(train: Examples, recipe: Mapping, seed: int, epoch: int) -> tf.data.Dataset:
    """One pass over the films, shuffled and augmented by seed and epoch alone: a resumed run is the same."""
    counts = np.bincount(train.classes)
    weights = (len(train.classes) / (len(counts) * counts)).astype(np.float32)  # each class weighs the same
    order = np.random.default_rng((seed, epoch)).permutation(len(train.classes))
    classes = train.classes[order]
    # The channels are equal, so one of them is augmented and repeated afterwards.
    films = tf.data.Dataset.from_tensor_slices((train.images[order, :, :, :1], classes, weights[classes]))

    def change(batch: tf.Tensor, pair: tuple) -> tuple:
        images, labels, weight = pair
        place = tf.stack([tf.constant(seed, tf.int64), epoch * 100_000 + 2 * batch])
        return tf.repeat(augment(images, place, recipe["augmentation"]), 3, axis=-1), labels, weight

    batches = films.batch(recipe["training"]["batch_size"]).enumerate()
    return batches.map(change, num_parallel_calls=2).prefetch(2)


def fit(
    network: keras.Model, train: Examples, validate: Examples, recipe: Mapping, *, seed: int, keep: Path
) -> Trained:
    """Train the network of one step.

    Parameters
    ----------
    network : keras.Model
        With fresh weights.
    train, validate : Examples
    recipe : mapping
        The tables ``[training]`` and ``[augmentation]`` of ``model.toml``.
    seed : int
        Order, augmentation and dropout follow from it.
    keep : Path
        Folder for the checkpoints; where it holds some, training goes on from the last.

    Returns
    -------
    Trained
    """
    network.compile(
        keras.optimizers.Adam(recipe["training"]["learning_rate"]),
        "sparse_categorical_crossentropy",
        weighted_metrics=["accuracy"],
    )
    return run(
        network,
        lambda epoch: _epoch(train, recipe, seed, epoch),
        tf.data.Dataset.from_tensor_slices((validate.images, validate.classes)).batch(64),
        recipe["training"],
        seed=seed,
        keep=keep,
    )


def networks(
    recipe: dict, sides: Mapping[str, Sequence[LabelledFilm]], manifest_csv: Path, root: Path, keep: Path
) -> Iterator[tuple[str, Trained]]:
    """Train the networks of a recipe, one after the other.

    Parameters
    ----------
    recipe : dict
        ``model.toml``.
    sides : mapping
        Films to train and to validate with.
    manifest_csv : Path
        Not asked: the films of `sides` are all.
    root : Path
        Folder their files are relative to.
    keep : Path
        Folder for the checkpoints.

    Yields
    ------
    str
        Step, which names the weight file.
    Trained
    """
    inputs = {
        side: network_inputs(sides[side], root, recipe["input_size"], recipe.get("framing"))
        for side in ("train", "validate")
    }
    for step in steps_of(recipe):
        labels = recipe[step]["labels"].values()
        place = {label: i for i, together in enumerate(labels) for label in together}
        train, validate = (
            Examples(images, np.array([place[film.label] for film in sides[side]]))
            for side, images in inputs.items()
        )
        seed = recipe[step]["seed"]
        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
        fresh = import_module(f"model.networks.{recipe['network']}").build(len(labels))
        logger.info("%s: %d films to train, %d to validate", step, len(train.classes), len(validate.classes))
        yield step, fit(fresh, train, validate, recipe, seed=seed, keep=keep / step)
