"""EfficientNet-Lite0 with a head for each step of the cascade, and one call that answers both."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from model.networks.devices import prepare
from model.networks.dropout import Dropout
from model.networks.equalise import equalise

BORDER = 8  # rows and columns left out on each side: markers, collimator edges and captions stand there
CELL = 32  # pixels of the input to one place of the last features
METHOD = (
    "CAM: the class's weights times the last 1280 features, exact for global average pooling, "
    "mean over the film and its mirror image"
)
# Repeats, kernel, stride, expansion, filters of each stage.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


def build(outputs: Sequence[int]) -> keras.Model:
    """Build the network with fresh weights.

    Parameters
    ----------
    outputs : sequence of int
        Classes of each step.

    Returns
    -------
    keras.Model
        What `seen` gives, (n, size, size, 3) float32 from -1 to 1, to the logits of each step,
        (n, outputs) float32. The size is free.

    References
    ----------
    M. Tan and Q. V. Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", 2019;
    the Lite variants have no squeeze-and-excitation and ReLU6 for swish.
    """
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D(name="pooled")(backbone(inputs))
    features = Dropout(0.3, name="dropout")(features)
    logits = [
        keras.layers.Dense(classes, name=f"step{step}_logits")(features)
        for step, classes in enumerate(outputs, start=1)
    ]
    return keras.Model(inputs, logits)


def backbone(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """The convolutions of EfficientNet-Lite0: (n, size, size, 3) to (n, size / 32, size / 32, 1280)."""
    x = _normalised(_convolution(STEM, 3, 2, "stem")(inputs), "stem")
    block = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            x = _block(x, block, kernel, stride if repeat == 0 else 1, expansion, filters)
            block += 1
    return _normalised(_convolution(HEAD, 1, 1, "head")(x), "head")


def _block(
    x: keras.KerasTensor, number: int, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """One inverted residual: expand, filter each channel, project."""
    name, inputs, channels = f"block{number}", x, x.shape[-1]
    if expansion > 1:
        x = _normalised(_convolution(channels * expansion, 1, 1, f"{name}_expand")(x), f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_convolution"
    )(x)
    x = _normalised(x, f"{name}_depthwise")
    x = _convolution(filters, 1, 1, f"{name}_project")(x)
    x = keras.layers.BatchNormalization(name=f"{name}_project_normalisation")(x)
    return keras.layers.Add(name=f"{name}_add")([inputs, x]) if inputs.shape == x.shape else x


def _convolution(filters: int, kernel: int, stride: int, name: str) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_convolution"
    )


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(name=f"{name}_normalisation")(x)
    return keras.layers.ReLU(6, name=f"{name}_relu")(x)


def cells(input_size: int) -> tuple[int, int]:
    """Rows and columns of places that the network tells apart in an input."""
    side = -(-(input_size - 2 * BORDER) // CELL)
    return side, side


def load(weights: Sequence[Path], outputs: Sequence[int]) -> keras.Model:
    """Build the network and give it the weights of the one file that `train` made."""
    prepare()
    network = build(outputs)
    (path,) = weights
    network.load_weights(path)
    return network


def seen(images: tf.Tensor) -> tf.Tensor:
    """What the network sees of a film: no border, and every grey level as often as any other.

    Parameters
    ----------
    images : (n, size, size, 1 or 3) float32
        0 to 1, channels equal.

    Returns
    -------
    (n, size - 16, size - 16, 3) float32
        -1 to 1.
    """
    inner = equalise(images[:, BORDER:-BORDER, BORDER:-BORDER, 0])
    return tf.repeat(2 * inner[..., tf.newaxis] - 1, 3, axis=-1)


def answering(network: keras.Model) -> Callable[[tf.Tensor], tuple]:
    """One traced call that gives logits, the activation of every class, and features, for both steps.

    Behind the global average stands nothing but a linear layer, so the class activation is exact: its mean
    over the places, with the bias, is the logit. Film and mirror image are both looked at.

    Parameters
    ----------
    network : keras.Model
        From `build`.

    Returns
    -------
    callable
        (n, size, size, 3) float32 to three: for each step logits, (n, outputs) float32; for
        each step activations over the whole film, (n, outputs, size / 8, size / 8) float32, 0 to 1, the
        share of the map's own maximum, all 0 where nothing speaks for the class and in the border; and the
        pooled features, (n, 1280) float32. The size is a multiple of 8.

    References
    ----------
    B. Zhou et al., "Learning deep features for discriminative localization", 2016.
    """
    as_layers = keras.Model(network.inputs, network.get_layer("head_relu").output)
    heads = [network.get_layer(name) for name in network.output_names]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)], autograph=False)
    def places(
        films: tf.Tensor,
    ) -> tf.Tensor:
        """Traced once, for film and mirror image."""
        return as_layers(films, training=False)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)], autograph=False)
    def answer(images: tf.Tensor) -> tuple:
        films = seen(images)
        features = places(films)  # (n, rows, columns, 1280)
        mirrored = places(films[:, :, ::-1])[:, :, ::-1]
        features = (features + mirrored) / 2
        pooled = tf.reduce_mean(features, axis=(1, 2))
        logits = [head(pooled) for head in heads]
        finer = tf.shape(films)[1:3] // BORDER  # a cell of the answer is as wide as the border
        maps = [tf.einsum("nrck,kl->nrcl", features, head.kernel) for head in heads]
        activations = [_whole_film(of_step, finer) for of_step in maps]
        return logits, activations, pooled

    return answer


def _whole_film(maps: tf.Tensor, finer: tf.Tensor) -> tf.Tensor:
    """Class activations as shares of their maximum: on a finer grid, and the border round it."""
    activation = tf.image.resize(tf.nn.relu(maps), finer)
    activation = tf.transpose(tf.pad(activation, ((0, 0), (1, 1), (1, 1), (0, 0))), (0, 3, 1, 2))
    return tf.math.divide_no_nan(activation, tf.reduce_max(activation, axis=(2, 3), keepdims=True))
