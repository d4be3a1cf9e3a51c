"""What TensorFlow may take of the machine."""

import functools
import os

import tensorflow as tf

from model.gpus import Share


@functools.cache
def take(share: Share) -> str:
    """Work on the GPU of a share alone, or on the processors where there is none.

    Call before TensorFlow's first operation; a process keeps what it took.

    Returns
    -------
    str
        Name of the device.

    Raises
    ------
    model.gpus.GpuMissing
    """
    there = tf.config.list_physical_devices("GPU")
    chosen = share.chosen(len(there))
    if chosen is None:
        return f"{len(os.sched_getaffinity(0))} processors, no GPU"
    gpu = there[chosen]
    tf.config.set_visible_devices(gpu, "GPU")
    if share.memory_mib:
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=share.memory_mib)
        tf.config.set_logical_device_configuration(gpu, [limit])
    name = tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
    return f"{name}, GPU {chosen}"


def prepare() -> None:
    """Have a GPU's memory taken as it is needed, where no share bounds it, and its products exact.

    Call before the first network is built; does nothing where TensorFlow sees no GPU.
    """
    for gpu in tf.config.get_visible_devices("GPU"):
        if not tf.config.get_logical_device_configuration(gpu):
            tf.config.experimental.set_memory_growth(gpu, True)
    # Factors of 19 bits (TF32) would give scores that differ from those of processors in the third digit.
    tf.config.experimental.enable_tensor_float_32_execution(False)
