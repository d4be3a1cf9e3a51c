"""The network of T. Gao and G. Wang, and one call that answers both steps of its cascade."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from model.networks.devices import prepare
from model.networks.dropout import Dropout

INPUT_SIZE = 64
LAST_FEATURES = "features3"
CELL = 8  # pixels of the input to one place of the last features
METHOD = "HiResCAM: gradient times activation at the last pooled 8x8x128 features"


def build(outputs: int) -> keras.Model:
    """Build the network for one step, with fresh weights.

    Parameters
    ----------
    outputs : int
        Classes of the step.

    Returns
    -------
    keras.Model
        (n, 64, 64, 3) float32 from 0 to 1 to (n, outputs) float32 scores, 0 to 1, sum 1.

    References
    ----------
    T. Gao and G. Wang, "Chest X-ray image analysis and classification for COVID-19 pneumonia detection
    using Deep CNN", 2020.
    """
    inputs = keras.Input((INPUT_SIZE, INPUT_SIZE, 3))
    x = inputs
    for block, filters in enumerate((32, 64, 128), start=1):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"convolution{block}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"features{block}")(x)
    x = keras.layers.Flatten(name="flatten")(x)  # (n, 8 * 8 * 128)
    for layer, units in enumerate((16, 64, 128), start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"dense{layer}")(x)
    x = Dropout(0.5, name="dropout")(x)
    # The softmax stands apart so that the activation can be taken from the logits.
    logits = keras.layers.Dense(outputs, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="scores")(logits))


def cells(input_size: int) -> tuple[int, int]:
    """Rows and columns of places that the network tells apart in an input."""
    return input_size // CELL, input_size // CELL


def load(weights: Sequence[Path], outputs: Sequence[int]) -> list[keras.Model]:
    """Build one network for each step and give it the weights of its file, which `train` made."""
    prepare()
    networks = [build(classes) for classes in outputs]
    for network, path in zip(networks, weights, strict=True):
        network.load_weights(path)
    return networks


def _answer(network: keras.Model, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Logits (n, outputs), class activations (n, outputs, 8, 8) and penultimate features (n, 128)."""
    layers = network.layers[1:-1]  # without the input itself and the softmax
    head = next(i for i, layer in enumerate(layers) if layer.name == LAST_FEATURES) + 1
    features = images
    for layer in layers[:head]:
        features = layer(features)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        penultimate = features
        for layer in layers[head:-1]:
            penultimate = layer(penultimate)
        logits = layers[-1](penultimate)
        # Films do not meet in this network: the gradient of the sum is each film's own gradient.
        sums = [tf.reduce_sum(logits[:, i]) for i in range(logits.shape[1])]
    maps = [tf.reduce_sum(tape.gradient(total, features) * features, axis=-1) for total in sums]
    activation = tf.nn.relu(tf.stack(maps, axis=1))  # (n, outputs, 8, 8)
    peak = tf.reduce_max(activation, axis=(2, 3), keepdims=True)
    return logits, tf.math.divide_no_nan(activation, peak), penultimate


def answering(networks: Sequence[keras.Model]) -> Callable[[tf.Tensor], tuple]:
    """One traced call that gives logits, the activation of every class, and features, for every step.

    The activation is HiResCAM: the head is a flatten and dense layers, so gradient times activation, summed
    over the channels, shows the places that raised the class and no others.

    Parameters
    ----------
    networks : sequence of keras.Model
        One for each step, from `build`.

    Returns
    -------
    callable
        (n, 64, 64, 3) float32 to three tuples: for each step logits, (n, outputs) float32,
        and for each step activations, (n, outputs, 8, 8) float32, 0 to 1, the share of the map's own
        maximum, all 0 where nothing speaks for the class; and last the penultimate features of all steps
        side by side, (n, 128 * steps) float32.

    References
    ----------
    R. L. Draelos and L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks", 2020.
    """

    @tf.function(
        input_signature=[tf.TensorSpec((None, INPUT_SIZE, INPUT_SIZE, 3), tf.float32)],
        autograph=False,
    )
    def answer(images: tf.Tensor) -> tuple:
        logits, activations, penultimate = zip(*(_answer(n, images) for n in networks), strict=True)
        return logits, activations, tf.concat(penultimate, axis=1)

    return answer
