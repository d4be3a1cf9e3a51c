"""Fine-tune one network that answers both steps, from ImageNet weights."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.cascade import steps_of
from model.networks import efficientnet_lite
from model.preprocess import network_input
from model.training.efficientnet_lite_weights import give_imagenet_weights, imagenet_weights
from model.training.films import (
    LabelledFilm,
    displays,
    files_found,
    one_channel,
    require_disjoint,
    select,
    untyped_pneumonia,
    without_groups_of,
)
from model.training.loop import Trained, repeatable, run, warm_cosine
from model.training.partial_labels import OneOf, may_be, right
from model.training.restyle import degrade, restyle, softened

logger = logging.getLogger(__name__)

CACHED = 256  # rows and columns of a film before it is augmented


def shares(films: Sequence[LabelledFilm], weights: dict[str, float]) -> np.ndarray:
    """How often each film is drawn, (n,), sum 1.

    Each class by its weight, and within a class each source by the root of its films: between all sources
    alike, which would show few films too often, and all films alike, which would leave the class to one
    source.
    """
    of_class_and_source = Counter((film.label, film.source) for film in films)
    roots = {pair: count**0.5 for pair, count in of_class_and_source.items()}
    of_class = Counter()
    for (label, _), root in roots.items():
        of_class[label] += root
    share = [
        weights[film.label]
        / of_class[film.label]
        * roots[film.label, film.source]
        / of_class_and_source[film.label, film.source]
        for film in films
    ]
    return np.array(share) / sum(share)


def networks(
    recipe: dict, sides: Mapping[str, Sequence[LabelledFilm]], manifest_csv: Path, root: Path, keep: Path
) -> Iterator[tuple[str, Trained]]:
    """Train the one network of a recipe.

    Beside the films of `sides` it learns from the pneumonia of unknown cause that ``unlabelled.csv``, which
    lies beside the manifest, lists; and not from films of which the source says that nothing shows.

    Parameters
    ----------
    recipe : dict
        ``model.toml``.
    sides : mapping
        Films to train and to validate with, and those held out.
    manifest_csv : Path
    root : Path
        Folder the files are relative to.
    keep : Path
        Folder for the checkpoints; where it holds some, training goes on from the last.

    Yields
    ------
    str
        ``steps``, which names the weight file.
    Trained
    """
    untyped = select(
        without_groups_of(untyped_pneumonia(manifest_csv.with_name("unlabelled.csv")), sides["held_out"]),
        recipe["sources"]["untyped"],
    )
    invisible = files_found(manifest_csv, "without abnormality")
    train = [film for film in sides["train"] if film.file not in invisible]
    train += [film for film in untyped if film.fold in recipe["folds"]["train"]]
    validate = sides["validate"] + [film for film in untyped if film.fold in recipe["folds"]["validate"]]
    require_disjoint(train=train, **{side: films for side, films in sides.items() if side != "train"})
    yield "steps", finetune(recipe, train, validate, root, keep / "steps")


def finetune(
    recipe: dict, train: Sequence[LabelledFilm], validate: Sequence[LabelledFilm], root: Path, keep: Path
) -> Trained:
    """Train the network of a recipe with these films; see `networks`.

    The learning rate falls to 0 in each of the cycles. The weights are the mean of those that the cycles
    ended in: they lie in one valley, and its middle serves strange films better than its edge.

    References
    ----------
    P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
    """
    limits, seed = recipe["training"], recipe["seed"]
    labels = [recipe[step]["labels"] for step in steps_of(recipe)]
    repeatable(seed)
    framing = recipe.get("framing")
    pixels = cached(train, root, framing)
    allowed = tuple(may_be(train, of_step) for of_step in labels)
    logger.info("%d films to train, %d to validate", len(train), len(validate))

    validation = tf.data.Dataset.from_tensor_slices(
        (
            one_channel(displays(validate, root, framing), limits["input_size"]),
            tuple(may_be(validate, of_step) for of_step in labels),
        )
    )
    validation = validation.batch(50).map(lambda films, targets: (efficientnet_lite.seen(films), targets))
    network = efficientnet_lite.build([len(of_step) for of_step in labels])
    give_imagenet_weights(network, imagenet_weights())
    ends, curves = [], []

    def epoch_of(epoch: int) -> tf.data.Dataset:
        number = len(curves) + epoch  # over all cycles
        share = shares(train, cycle["sampling"])
        drawn = np.random.default_rng((seed, number)).choice(len(train), limits["films_per_epoch"], p=share)
        changed = recipe | {"augmentation": softened(recipe["augmentation"], cycle["strength"])}
        return batches_of(pixels, allowed, drawn, changed, seed, number)

    for number, cycle in enumerate(limits["cycles"], start=1):
        freeze(network, cycle["frozen_blocks"])
        _compile(network, limits, cycle["learning_rate"], cycle["rate_falls_until"])
        patient = {"epochs": cycle["epochs"], "patience": cycle["epochs"]}
        trained = run(network, epoch_of, validation, patient, seed=seed, keep=keep / f"cycle{number}")
        network = trained.network
        ends.append(network.get_weights())
        curves += [row | {"epoch": len(curves) + row["epoch"]} for row in trained.curves]
    network.set_weights([np.mean(of_cycles, axis=0) for of_cycles in zip(*ends, strict=True)])
    return Trained(network, curves)


def _compile(network: keras.Model, limits: dict, learning_rate: float, last_epoch: int) -> None:
    """Give the network its losses and its learning rate."""
    rate = warm_cosine(learning_rate, last_epoch, limits["films_per_epoch"] // limits["batch_size"])
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=limits["weight_decay"]),
        loss=[OneOf(limits["label_smoothing"]) for _ in network.outputs],
        metrics=[[right] for _ in network.outputs],
    )


def freeze(network: keras.Model, blocks: int) -> None:
    """Train all but the stem and the first blocks: cheaper, and less to learn a source by."""
    trainable = blocks == 0
    for layer in network.layers:
        trainable = trainable or layer.name.startswith(f"block{blocks}_")
        layer.trainable = trainable


def cached(films: Sequence[LabelledFilm], root: Path, framing: Mapping | None) -> np.ndarray:
    """The films before augmentation, (n, 256, 256, 1) uint8; `framing` as for `displays`."""
    return np.stack(
        [
            np.rint(255 * network_input(picture, CACHED)[..., :1]).astype(np.uint8)
            for picture in displays(films, root, framing)
        ]
    )


def batches_of(
    pixels: np.ndarray,
    allowed: tuple[np.ndarray, ...],
    drawn: np.ndarray,
    recipe: dict,
    seed: int,
    epoch: int,
) -> tf.data.Dataset:
    """One pass over the drawn films, augmented by seed, epoch and place alone: a resumed run is the same."""
    amounts, size = recipe["augmentation"], recipe["training"]["input_size"]
    films, targets = tf.constant(pixels), tuple(tf.constant(of_step) for of_step in allowed)
    start = epoch * 1_000_000

    def one(place: tf.Tensor, index: tf.Tensor) -> tuple:
        film = degrade(films[index], tf.stack([tf.constant(seed, tf.int64), start + place]), amounts)
        return film, tuple(of_step[index] for of_step in targets)

    def together(number: tf.Tensor, batch: tuple) -> tuple:
        # A step of 100 leaves room for the seeds that restyle counts up to.
        place = tf.stack([tf.constant(seed + 1, tf.int64), start + 100 * number])
        return efficientnet_lite.seen(restyle(batch[0], size, place, amounts)), batch[1]

    single = tf.data.Dataset.from_tensor_slices(drawn).enumerate().map(one, num_parallel_calls=2)
    batches = single.batch(recipe["training"]["batch_size"], drop_remainder=True).enumerate()
    return batches.map(together, num_parallel_calls=2).prefetch(3)
