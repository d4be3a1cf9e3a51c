"""What the lung network learns by; a target of -1 says that nothing is known."""

import tensorflow as tf
from tensorflow import keras

from model.training import replicas

FOCUS = 2.0  # power of the focal loss
POSITIVE = 0.25  # weight of the places that hold a box, there


@keras.utils.register_keras_serializable("firstread")
def field_loss(places: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy and lack of overlap of the lung fields, (n,).

    Parameters
    ----------
    places, logits : (n, size, size, fields) float32
    """
    known = tf.cast(places >= 0, tf.float32)
    places = tf.maximum(places, 0.0)
    entropy = known * tf.nn.sigmoid_cross_entropy_with_logits(places, logits)
    said = known * tf.sigmoid(logits)
    axes = (1, 2)
    both = tf.reduce_sum(said * places, axes)
    overlap = (2 * both + 1) / (tf.reduce_sum(said, axes) + tf.reduce_sum(places, axes) + 1)
    # A field that is not there counts by its cross entropy alone.
    there = tf.cast(tf.reduce_any(places > 0, axes), tf.float32)
    return tf.reduce_mean(entropy, (1, 2, 3)) + tf.reduce_mean(there * (1 - overlap), axis=-1)


@keras.utils.register_keras_serializable("firstread")
def dice(places: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Overlap of the two fields together over the films of a batch, a number."""
    known = tf.cast(places >= 0, tf.float32)
    true, said = known * tf.maximum(places, 0.0), known * tf.cast(logits > 0, tf.float32)
    return tf.math.divide_no_nan(2 * tf.reduce_sum(true * said), tf.reduce_sum(true) + tf.reduce_sum(said))


@keras.utils.register_keras_serializable("firstread")
def box_loss(truth: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Focal loss of the classes, and at the places that hold a box generalised overlap and centre-ness, (n,).

    Parameters
    ----------
    truth : (n, rows, columns, names, 6) float32
        Class, 0, 1 or -1, centre-ness, and distances to the four sides in pixels.
    found : (n, rows, columns, names, 6) float32
        As `model.networks.lungs.build` gives them.

    References
    ----------
    T.-Y. Lin et al., "Focal loss for dense object detection", 2017; H. Rezatofighi et al., "Generalized
    intersection over union", 2019.
    """
    known = tf.cast(truth[..., 0] >= 0, tf.float32)
    holds = tf.maximum(truth[..., 0], 0.0)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(holds, found[..., 0])
    right = tf.where(holds > 0, tf.sigmoid(found[..., 0]), 1 - tf.sigmoid(found[..., 0]))
    weight = tf.where(holds > 0, POSITIVE, 1 - POSITIVE)
    classes = known * weight * (1 - right) ** FOCUS * entropy
    centre = tf.nn.sigmoid_cross_entropy_with_logits(truth[..., 1], found[..., 1])
    sides = 1 - overlap(truth[..., 2:], found[..., 2:])
    # An opacity counts as much as a lung though few places hold one: by the boxes of its name.
    count = replicas.summed(tf.reduce_sum(holds, axis=(0, 1, 2))) + 1.0
    films = replicas.summed(tf.cast(tf.shape(truth)[0], tf.float32))
    each = tf.reduce_sum((classes * 4 + holds * (sides + 0.5 * centre)) / count, axis=(1, 2, 3))
    return films * each / 3


def overlap(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Generalised intersection over union of boxes about one point, from (..., 4) distances."""
    smaller, larger = tf.minimum(one, other), tf.maximum(one, other)

    def area(box: tf.Tensor) -> tf.Tensor:
        return (box[..., 0] + box[..., 2]) * (box[..., 1] + box[..., 3])

    both, hull = area(smaller), area(larger)
    union = area(one) + area(other) - both
    return both / (union + 1e-6) - (hull - union) / (hull + 1e-6)


@keras.utils.register_keras_serializable("firstread")
def picture_loss(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of turn, polarity and chest, (n,).

    Parameters
    ----------
    truth : (n, 3) float32
        Quarter turns, negative, chest; -1 where not known.
    logits : (n, 6) float32
    """
    turn = tf.cast(tf.maximum(truth[:, 0], 0.0), tf.int32)
    turned = tf.nn.sparse_softmax_cross_entropy_with_logits(turn, logits[:, :4])
    rest = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(truth[:, 1:], 0.0), logits[:, 4:])
    known = tf.cast(truth >= 0, tf.float32)
    return known[:, 0] * turned + known[:, 1] * rest[:, 0] + known[:, 2] * rest[:, 1]


@keras.utils.register_keras_serializable("firstread")
def turned_right(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Share of the films whose turn is known that is named right, a number."""
    said = tf.cast(tf.argmax(logits[:, :4], axis=-1), tf.float32)
    known = tf.cast(truth[:, 0] >= 0, tf.float32)
    return tf.math.divide_no_nan(
        tf.reduce_sum(known * tf.cast(said == truth[:, 0], tf.float32)), tf.reduce_sum(known)
    )


@keras.utils.register_keras_serializable("firstread")
def polarity_right(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Share of the films of known polarity of which it is named right, a number."""
    return _share_right(truth[:, 1], logits[:, 4])


@keras.utils.register_keras_serializable("firstread")
def chest_right(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Share of the pictures told rightly for a chest or for none, a number."""
    return _share_right(truth[:, 2], logits[:, 5])


def _share_right(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    known = tf.cast(truth >= 0, tf.float32)
    right = tf.cast((logits > 0) == (truth > 0.5), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(known * right), tf.reduce_sum(known))
