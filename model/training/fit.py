"""Train the network of one step: epochs, early stopping, checkpoint and resume."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.training.augment import augment

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


def _seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    """Set the draw of the dropout by seed and epoch; Keras keeps its place in no checkpoint."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, epoch * 100_000])


def fit(
    network: keras.Model, train: Examples, validate: Examples, recipe: Mapping, *, seed: int, keep: Path
) -> keras.Model:
    """Train until the validation loss stops falling, and go back to the epoch where it was smallest.

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
    keras.Model
        The best epoch's network.
    """
    limits = recipe["training"]
    keep.mkdir(parents=True, exist_ok=True)
    last, best, progress = keep / "last.keras", keep / "best.keras", keep / "progress.json"
    state = {"epoch": 0, "best_epoch": 0, "best_loss": float("inf")}
    network.compile(
        keras.optimizers.Adam(limits["learning_rate"]),
        "sparse_categorical_crossentropy",
        weighted_metrics=["accuracy"],
    )
    if progress.exists():
        state = json.loads(progress.read_text())
        network = keras.models.load_model(last)
        logger.info("resumed after epoch %d", state["epoch"])
    while state["epoch"] < limits["epochs"] and state["epoch"] - state["best_epoch"] < limits["patience"]:
        state["epoch"] += 1
        _seed_dropout(network, seed, state["epoch"])
        history = network.fit(_epoch(train, recipe, seed, state["epoch"]), shuffle=False, verbose=0).history
        loss, accuracy = network.evaluate(validate.images, validate.classes, batch_size=64, verbose=0)
        logger.info(
            "epoch %d loss %.4f validation loss %.4f accuracy %.4f",
            state["epoch"],
            history["loss"][0],
            loss,
            accuracy,
        )
        network.save(last)
        if loss < state["best_loss"]:
            state |= {"best_epoch": state["epoch"], "best_loss": loss}
            network.save(best)
        progress.write_text(json.dumps(state))
    logger.info("best epoch %d, validation loss %.4f", state["best_epoch"], state["best_loss"])
    return keras.models.load_model(best, compile=False)  # the weights alone, without the optimiser's
