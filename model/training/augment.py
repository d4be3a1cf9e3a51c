"""Small changes of a film that leave its class alone."""

import math
from collections.abc import Mapping

import tensorflow as tf


def augment(images: tf.Tensor, seed: tf.Tensor, amounts: Mapping[str, float]) -> tf.Tensor:
    """Scale, shift, rotate, mirror and salt-and-pepper a batch, each film by its own draw.

    Parameters
    ----------
    images : (n, size, size, channels) float32
        0 to 1.
    seed : (2,) int64
        The same seed gives the same pictures.
    amounts : mapping
        The table ``[augmentation]`` of ``model.toml``.

    Returns
    -------
    (n, size, size, channels) float32
        0 to 1; black where the film was moved away.
    """
    n, size = tf.shape(images)[0], tf.shape(images)[1]
    draws = tf.random.stateless_uniform((n, 5), seed, -1.0, 1.0)
    angle = draws[:, 0] * (amounts["rotate_degrees"] * math.pi / 180)
    scale = 1.0 + draws[:, 1] * amounts["scale"]
    shift = draws[:, 2:4] * amounts["shift"] * tf.cast(size, tf.float32)  # (n, 2) pixels: x, y
    mirror = tf.where(amounts["flip"] & (draws[:, 4] < 0), -1.0, 1.0)
    # The operation asks where in the film each new pixel lies: x' = a x + b y + c, y' = d x + e y + f.
    centre = (tf.cast(size, tf.float32) - 1) / 2
    a, b = mirror * tf.cos(angle) / scale, -mirror * tf.sin(angle) / scale
    d, e = tf.sin(angle) / scale, tf.cos(angle) / scale
    c = centre - centre * (a + b) + shift[:, 0]
    f = centre - centre * (d + e) + shift[:, 1]
    zero = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    noise = tf.random.stateless_uniform((n, size, size, 1), seed + 1)
    half = amounts["salt_and_pepper"] / 2
    moved = tf.where(noise < half, 0.0, moved)
    return tf.where(noise > 1 - half, 1.0, moved)
