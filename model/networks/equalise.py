"""Grey levels by rank: what a window, a gamma curve or a film's exposure cannot change."""

import tensorflow as tf

LEVELS = 256


def equalise(images: tf.Tensor) -> tf.Tensor:
    """Replace each grey level by the share of the film's pixels that are darker.

    Between levels the share rises in a straight line, so that a small change of a pixel stays small.

    Parameters
    ----------
    images : (n, rows, columns) float32
        0 to 1.

    Returns
    -------
    (n, rows, columns) float32
        0 to 1; all 0 where a film is black.
    """
    shape = tf.shape(images)
    levels = tf.reshape(images, (shape[0], -1)) * (LEVELS - 1)  # (n, pixels)
    below = tf.floor(levels)
    index = tf.cast(below, tf.int32)
    counts = tf.math.bincount(index, axis=-1, minlength=LEVELS, maxlength=LEVELS, dtype=tf.float32)
    darker = tf.cumsum(counts, axis=-1, exclusive=True)  # (n, LEVELS)
    rank = tf.gather(darker, index, batch_dims=1) + (levels - below) * tf.gather(counts, index, batch_dims=1)
    return tf.reshape(rank / tf.cast(tf.shape(levels)[1], tf.float32), shape)
