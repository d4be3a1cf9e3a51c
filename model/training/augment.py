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
    scale = 1.0 + draws[:, 1] * amounts["scale"]
    moved = move(
        images,
        size,
        angle=draws[:, 0] * (amounts["rotate_degrees"] * math.pi / 180),
        scale=tf.stack([scale, scale], axis=1),
        shift=draws[:, 2:4] * amounts["shift"],
        mirror=amounts["flip"] & (draws[:, 4] < 0),
        fill="CONSTANT",
    )
    noise = tf.random.stateless_uniform((n, size, size, 1), seed + 1)
    half = amounts["salt_and_pepper"] / 2
    moved = tf.where(noise < half, 0.0, moved)
    return tf.where(noise > 1 - half, 1.0, moved)


def move(
    images: tf.Tensor,
    size: int | tf.Tensor,
    *,
    angle: tf.Tensor,
    scale: tf.Tensor,
    shift: tf.Tensor,
    mirror: tf.Tensor,
    fill: str,
    interpolation: str = "BILINEAR",
) -> tf.Tensor:
    """Turn, stretch, shift and mirror each film about its middle, and bring it to another size.

    Parameters
    ----------
    images : (n, given, given, channels) float32
    size : int
        Rows and columns of the answer.
    angle : (n,) float32
        Radians.
    scale, shift : (n, 2) float32
        Of columns and rows; shift as a share of the size.
    mirror : (n,) bool
        Left and right.
    fill : str
        CONSTANT for black outside the film, REFLECT for its own margin.
    interpolation : str
        BILINEAR, or NEAREST for planes of labels.

    Returns
    -------
    (n, size, size, channels) float32
    """
    given, wanted = (tf.cast(side, tf.float32) for side in (tf.shape(images)[1], size))
    # The operation asks where in the film each new pixel lies: x' = a x + b y + c, y' = d x + e y + f.
    ratio = given / wanted
    side = tf.where(mirror, -ratio, ratio)
    a, b = side * tf.cos(angle) / scale[:, 0], -side * tf.sin(angle) / scale[:, 0]
    d, e = ratio * tf.sin(angle) / scale[:, 1], ratio * tf.cos(angle) / scale[:, 1]
    middle, new_middle = (given - 1) / 2, (wanted - 1) / 2
    c = middle - new_middle * (a + b) + shift[:, 0] * given
    f = middle - new_middle * (d + e) + shift[:, 1] * given
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=tf.stack([size, size]),
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode=fill,
    )
