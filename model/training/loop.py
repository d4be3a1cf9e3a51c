"""Epochs with early stopping, checkpoint and resume, and a progress bar."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from rich.console import Console
from rich.progress import Progress
from tensorflow import keras

from model.training import replicas

logger = logging.getLogger(__name__)


class Trained(NamedTuple):
    """What a training leaves.

    Parameters
    ----------
    network : keras.Model
        The best epoch's.
    curves : list of dict
        A row for each epoch: its number, losses and metrics, those of the validation films with
        ``validation_`` before their name.
    """

    network: keras.Model
    curves: list[dict[str, float]]


def repeatable(seed: int) -> None:
    """Make what follows in this process the same at every run; before TensorFlow's first operation."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Gradients that meet at one layer are added in the order they come: more threads, other last digits.
    # Replicas, of which each waits for the others, need theirs.
    if not replicas.are_many():
        tf.config.threading.set_inter_op_parallelism_threads(1)


def warm_cosine(
    learning_rate: float, last_epoch: int, batches: int
) -> keras.optimizers.schedules.CosineDecay:
    """A rate that rises in one epoch of so many batches and falls by a cosine to 0 at the end of the last."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, (last_epoch - 1) * batches, warmup_target=learning_rate, warmup_steps=batches
    )


def run(
    network: keras.Model,
    epoch_of: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    limits: Mapping,
    *,
    seed: int,
    keep: Path,
) -> Trained:
    """Train until the validation loss stops falling, and go back to the epoch where it was smallest.

    Parameters
    ----------
    network : keras.Model
        Compiled.
    epoch_of : callable
        Batches of an epoch, from its number, 1 for the first; the same ones at every call.
    validation : tf.data.Dataset
    limits : mapping
        ``epochs``, and ``patience``: epochs without a smaller validation loss.
    seed : int
        Dropout follows from it.
    keep : Path
        Folder for the checkpoints; where it holds some, training goes on from the last. All machines of a
        training see the same folder, and one of them writes.

    Returns
    -------
    Trained
    """
    state = {"epoch": 0, "best_epoch": 0, "best_loss": float("inf"), "curves": []}
    if (keep / "progress.json").exists():
        state = json.loads((keep / "progress.json").read_text())
        network = keras.models.load_model(_checkpoint(keep, state["epoch"]))
        logger.info("resumed after epoch %d", state["epoch"])
    batches = int(epoch_of(1).cardinality())
    passes = replicas.Passes(network, next(iter(epoch_of(1)))) if replicas.are_many() else None
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(keep.name, total=limits["epochs"] * batches, completed=state["epoch"] * batches)
        while state["epoch"] < limits["epochs"] and state["epoch"] - state["best_epoch"] < limits["patience"]:
            epoch = state["epoch"] + 1
            _seed_dropout(network, seed, epoch)
            if passes:
                fitted = passes.learn(epoch_of(epoch), lambda: bar.advance(task))
                judged = passes.judge(validation)
            else:
                fitted, judged = _fit(network, epoch_of(epoch), validation, lambda: bar.advance(task))
            row = {"epoch": epoch} | {name: round(value, 5) for name, value in fitted.items()}
            row |= {f"validation_{name}": round(value, 5) for name, value in judged.items()}
            logger.info(", ".join(f"{name} {value:g}" for name, value in row.items()))
            _save(network, state, row, keep)
    logger.info("best epoch %d, validation loss %.4f", state["best_epoch"], state["best_loss"])
    # The weights alone, without the optimiser's.
    best = keras.models.load_model(_checkpoint(keep, state["best_epoch"]), compile=False)
    return Trained(best, state["curves"])


def _fit(
    network: keras.Model, films: tf.data.Dataset, validation: tf.data.Dataset, after_batch: Callable[[], None]
) -> tuple[dict[str, float], dict[str, float]]:
    """One epoch on one device."""
    step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: after_batch())
    fitted = network.fit(films, shuffle=False, verbose=0, callbacks=[step]).history
    judged = network.evaluate(validation, verbose=0, return_dict=True)
    return {name: values[0] for name, values in fitted.items()}, judged


def _save(network: keras.Model, state: dict, row: dict[str, float], keep: Path) -> None:
    """Write a checkpoint, then the state that names it: a kill between the two repeats the epoch."""
    with replicas.own_folder(keep) as own:
        network.save(_checkpoint(own, row["epoch"]))
        state["epoch"] = row["epoch"]
        state["curves"].append(row)
        if row["validation_loss"] < state["best_loss"]:
            state |= {"best_epoch": row["epoch"], "best_loss": row["validation_loss"]}
        (own / "progress.new").write_text(json.dumps(state))
        (own / "progress.new").replace(own / "progress.json")
        needed = {_checkpoint(own, state[which]) for which in ("epoch", "best_epoch")}
        for old in set(own.glob("epoch*.keras")) - needed:
            old.unlink()
    replicas.wait()


def _checkpoint(keep: Path, epoch: int) -> Path:
    return keep / f"epoch{epoch}.keras"


def _seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    """Set the draw of the dropout by seed and epoch; Keras keeps its place in no checkpoint."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, epoch * 100_000])
