"""A short training on drawn films, as tests start it in processes of their own; prints the curves.

``python parted_training.py steps|batchwise FOLDER EPOCHS [STRATEGY]`` leaves the checkpoints in FOLDER.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.networks import gao
from model.training import cascade, loop, replicas
from model.training.lung_losses import box_loss, chest_right, picture_loss
from model.weights import VERSIONS, read_recipe

FILMS, BATCH = 21, 8  # the last batch cannot be parted equally


def steps(folder: Path, epochs: int) -> list[dict[str, float]]:
    """The network of the paper: dropout, weights of classes."""
    images = np.repeat(np.random.default_rng(1).random((FILMS, 64, 64, 1), np.float32), 3, axis=-1)
    examples = cascade.Examples(images, np.arange(FILMS) % 3)
    recipe = read_recipe(VERSIONS / "gao-2020")
    recipe["training"] |= {"epochs": epochs, "batch_size": BATCH}
    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    return cascade.fit(gao.build(3), examples, examples, recipe, seed=1, keep=folder).curves


def batchwise(folder: Path, epochs: int) -> list[dict[str, float]]:
    """What is over a batch: normalisation, and the loss of boxes, beside another loss."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((24, 24, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    boxes = keras.layers.Conv2D(18, 1, activation="softplus")(x)
    boxes = keras.layers.Reshape((24, 24, 3, 6), name="boxes")(boxes)
    picture = keras.layers.Dense(6, name="picture")(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, [boxes, picture])
    network.compile(keras.optimizers.AdamW(0.01), [box_loss, picture_loss], metrics=[[], [chest_right]])
    rng = np.random.default_rng(1)
    holds = rng.integers(-1, 2, (16, 24, 24, 3, 1))
    holds[:BATCH] = np.minimum(holds[:BATCH], 0)  # the parts of a batch hold different counts
    truth = np.concatenate([holds, rng.random((16, 24, 24, 3, 5))], axis=-1).astype(np.float32)
    films = rng.random((16, 24, 24, 1), np.float32) * np.arange(16, dtype=np.float32).reshape(-1, 1, 1, 1)
    targets = truth, rng.integers(0, 2, (16, 3)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((films, targets)).shuffle(16, 1, False).batch(BATCH)
    limits = {"epochs": epochs, "patience": epochs}
    return loop.run(network, lambda epoch: batches, batches, limits, seed=1, keep=folder).curves


if __name__ == "__main__":
    what, folder, epochs, *distribute = sys.argv[1:]
    if distribute == ["mirrored"]:
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    with replicas.scope({"strategy": distribute[0]} if distribute else None, BATCH):
        assert replicas.are_many() == bool(distribute)
        train = {"steps": steps, "batchwise": batchwise}[what]
        print(json.dumps(train(Path(folder), int(epochs))))
