"""One training on several devices or machines: each replica learns from its part of every batch."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from model.networks import devices

STRATEGIES = {
    "mirrored": tf.distribute.MirroredStrategy,
    "multi-worker": tf.distribute.MultiWorkerMirroredStrategy,
}


def scope(distribute: Mapping | None, batch_size: int) -> contextlib.AbstractContextManager:
    """Where a network is built and trained.

    Enter it before TensorFlow's first operation: the machines of a training meet here.

    Parameters
    ----------
    distribute : mapping or None
        The table ``[distribute]`` of ``model.toml``; without one there is one replica. Its ``strategy`` is
        ``mirrored``, a replica on each GPU of this machine, or ``multi-worker``, on those of all machines
        that the environment variable TF_CONFIG names.
    batch_size : int
        Of the recipe: films of all replicas together.

    Raises
    ------
    ValueError
        If the strategy is not known, or the batch cannot be parted equally.

    References
    ----------
    TensorFlow guide, "Distributed training" and "Multi-worker training".
    """
    if distribute is None:
        return contextlib.nullcontext()
    name = distribute.get("strategy")
    if name not in STRATEGIES:
        raise ValueError(f"[distribute] strategy: found {name!r}, expected one of {', '.join(STRATEGIES)}")
    devices.prepare()
    strategy = STRATEGIES[name]()
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"[training] batch_size: found {batch_size}, expected a multiple of the {replicas} replicas"
        )
    return strategy.scope()


def are_many() -> bool:
    """Whether a batch is parted."""
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def is_chief() -> bool:
    """Whether this process is the one of all machines that writes."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    return resolver is None or not resolver.task_id


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """The folder on the machine that writes; a passing one on the others, which have to save alike."""
    if is_chief():
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)


def wait() -> None:
    """Go on once all machines have come here."""
    strategy = tf.distribute.get_strategy()
    strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.ones(())), axis=None)


def summed(number: tf.Tensor) -> tf.Tensor:
    """The sum of a number, which is no function of the weights, over the replicas' parts of a batch."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return number
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, number)


class Passes:
    """Passes of a network over films, each batch parted among the replicas.

    A last batch of fewer films than there are replicas is left out. Keras' own ``fit`` cannot part batches
    among machines, and weighs the films of a smaller part more.

    Parameters
    ----------
    network : keras.Model
        Compiled in `scope`. Its normalisation is over the films of all replicas from now on.
    example : tuple of tf.Tensor
        A batch, to make the metrics' variables by.
    """

    def __init__(self, network: keras.Model, example: tuple) -> None:
        self._network = network
        self._strategy = tf.distribute.get_strategy()
        self._loss = keras.metrics.Mean()
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
        self._strategy.run(self._judge_part, args=(example,))
        network.optimizer.build(network.trainable_variables)
        self._learn = self._over_replicas(self._learn_from_part)
        self._judge = self._over_replicas(self._judge_part)

    def learn(self, batches: tf.data.Dataset, after_batch: Callable[[], None]) -> dict[str, float]:
        """Train with every batch; losses and metrics of the pass."""
        return self._pass(self._learn, batches, after_batch)

    def judge(self, batches: tf.data.Dataset) -> dict[str, float]:
        """Losses and metrics of a pass that changes nothing."""
        return self._pass(self._judge, batches, lambda: None)

    def _over_replicas(self, step: Callable[[tuple], dict]) -> Callable[[tuple], None]:
        @tf.function
        def run(batch: tuple) -> None:
            self._strategy.run(step, args=(batch,))

        return run

    def _pass(
        self, run: Callable[[tuple], None], batches: tf.data.Dataset, after_batch: Callable[[], None]
    ) -> dict[str, float]:
        # Every machine prepares the whole batch, with the draws of one machine alone, and takes its part.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        least = self._strategy.num_replicas_in_sync
        batches = batches.filter(lambda films, *_: tf.shape(films)[0] >= least).with_options(options)
        self._network.reset_metrics()
        self._loss.reset_state()
        for batch in self._strategy.experimental_distribute_dataset(batches):
            run(batch)
            after_batch()
        found = self._network.get_metrics_result() | {"loss": self._loss.result()}
        return {name: float(value) for name, value in found.items()}

    def _learn_from_part(self, part: tuple) -> None:
        """One replica's share of a step; each film of the whole batch weighs alike."""
        with tf.GradientTape() as tape:
            loss, films = self._loss_of(part, training=True)
            loss *= films / summed(films)
        weights = self._network.trainable_variables
        self._network.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    def _judge_part(self, part: tuple) -> None:
        self._loss_of(part, training=False)

    def _loss_of(self, part: tuple, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean loss of the films of a part, and their number."""
        films, targets, weights = keras.utils.unpack_x_y_sample_weight(part)
        said = self._network(films, training=training)
        # Keras divides it by the number of replicas, as if all parts were equal.
        loss = self._network.compute_loss(films, targets, said, weights, training=training)
        loss *= self._strategy.num_replicas_in_sync
        count = tf.cast(tf.shape(films)[0], tf.float32)
        self._loss.update_state(loss, count)
        self._network.compute_metrics(films, targets, said, weights)
        return loss, count
