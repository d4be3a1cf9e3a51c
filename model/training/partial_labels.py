"""Labels that leave open which of several classes a film is."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow import keras

from model.training.films import LabelledFilm


@keras.utils.register_keras_serializable("firstread")
class OneOf(keras.losses.Loss):
    """Cross entropy where a film may be any of several classes, or of all, which says nothing.

    Parameters
    ----------
    smoothing : float
        Share of the target spread over all classes, 0 to 1.
    """

    def __init__(self, smoothing: float, **keywords: object) -> None:
        super().__init__(**keywords)
        self.smoothing = smoothing

    def call(self, allowed: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Loss of each film, (n,), from what it may be, (n, classes) 0 or 1."""
        logarithms = tf.nn.log_softmax(logits)
        any_of = tf.reduce_logsumexp(logarithms + tf.math.log(tf.maximum(allowed, 1e-9)), axis=-1)
        says = tf.cast(tf.reduce_any(allowed < 0.5, axis=-1), tf.float32)
        smooth = tf.reduce_mean(logarithms, axis=-1)
        return -says * ((1 - self.smoothing) * any_of + self.smoothing * smooth)

    def get_config(self) -> dict:
        """What `__init__` is called with when a checkpoint is opened."""
        return super().get_config() | {"smoothing": self.smoothing}


@keras.utils.register_keras_serializable("firstread")
def right(allowed: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Whether the leading class is one the film may be, (n,)."""
    return tf.gather(allowed, tf.argmax(logits, axis=-1), batch_dims=1)


def may_be(films: Sequence[LabelledFilm], labels: dict[str, list[str]]) -> np.ndarray:
    """What a step may say of each film, (n, classes) float32 0 or 1; all 1 where no label is its own."""
    allowed = np.array([[film.label in own for own in labels.values()] for film in films], np.float32)
    return np.where(allowed.any(axis=1, keepdims=True), allowed, 1.0).astype(np.float32)
