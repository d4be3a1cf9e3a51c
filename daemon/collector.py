"""Python's search for garbage, of which loading makes hardly any."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Load modules or networks without it: it would walk through all that is there, again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
