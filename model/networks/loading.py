"""How the code of a network is loaded, and TensorFlow with it."""

import os
import sys
from importlib import import_module
from types import ModuleType

# What Keras loads if it is there, for wrappers that nobody here uses: a third of TensorFlow's time to load.
_UNUSED = ("sklearn", "matplotlib", "pandas")


def load(name: str) -> ModuleType:
    """The module of a network, by the name that ``model.toml`` gives it.

    TensorFlow's kernels of oneDNN, which it turns on by itself only on processors with instructions for
    networks, serve others as well: a tenth to a third less processor time a film.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    hidden = [library for library in _UNUSED if library not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None: as if not installed
    try:
        return import_module(f"model.networks.{name}")
    finally:
        for library in hidden:
            del sys.modules[library]
