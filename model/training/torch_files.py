"""Read a PyTorch weight file without PyTorch, and without running what a pickle may ask for."""

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the format before PyTorch 1.6
KINDS = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass
class _Tensor:
    """Where a tensor lies in its storage."""

    storage: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Knows the few names a state dict needs and refuses every other."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *rest: _Tensor(*storage, offset, shape, strides)
        if module == "torch" and name in KINDS:
            return name
        raise pickle.UnpicklingError(f"found {module}.{name}, expected nothing but tensors")

    def persistent_load(self, pid: tuple) -> tuple[str, str]:
        _, kind, key, *_ = pid
        return key, kind


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict that ``torch.save`` wrote in its format before 1.6.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Arrays by the names PyTorch gives them; a convolution's kernel is (out, in, rows, columns).

    Raises
    ------
    ValueError
        If the file is not of this format.
    pickle.UnpicklingError
        If it asks for anything but tensors.
    """
    with path.open("rb") as file:
        found = tuple(_Unpickler(file).load() for _ in range(2))
        if found != (MAGIC, PROTOCOL):
            raise ValueError(f"{path}: found {found}, expected magic and protocol {(MAGIC, PROTOCOL)}")
        _Unpickler(file).load()  # of the machine that wrote it
        tensors = _Unpickler(file).load()
        kinds = {tensor.storage: KINDS[tensor.kind] for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            length = int.from_bytes(file.read(8), "little")
            storages[key] = np.frombuffer(file.read(length * kinds[key].itemsize), kinds[key])
    # The order in memory need not be that of the axes: strides, in elements, tell it.
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[t.storage][t.offset :], t.shape, [s * KINDS[t.kind].itemsize for s in t.strides]
        ).copy()
        for name, t in tensors.items()
    }
