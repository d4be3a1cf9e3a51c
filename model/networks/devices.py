"""What TensorFlow may take of the machine."""

import tensorflow as tf


def share_gpu_memory() -> None:
    """Let TensorFlow take GPU memory as it needs it, not all of it at the start.

    Call before the first network is built; does nothing where TensorFlow sees no GPU.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
