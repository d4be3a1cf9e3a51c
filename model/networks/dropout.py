"""Dropout whose draws do not depend on how many devices share a batch."""

import tensorflow as tf
from tensorflow import keras


@keras.utils.register_keras_serializable("firstread")
class Dropout(keras.layers.Dropout):
    """Draws for the whole batch of all replicas, of which each takes its own rows."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """As in Keras; in one replica alone the same draws as there."""
        replica = tf.distribute.get_replica_context()
        if not training or replica is None or replica.num_replicas_in_sync == 1:
            return super().call(inputs, training=training)
        films = replica.all_gather(tf.shape(inputs)[:1], axis=0)  # of each replica: the last batch may be odd
        every = tf.concat([tf.reduce_sum(films, keepdims=True), tf.shape(inputs)[1:]], axis=0)
        kept = super().call(tf.ones(every, inputs.dtype), training=True)
        first = tf.reduce_sum(films[: replica.replica_id_in_sync_group])
        return inputs * tf.reshape(kept[first : first + tf.shape(inputs)[0]], tf.shape(inputs))
