"""Python's search for garbage, of which loading makes hardly any, and what was loaded never is."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Load modules or networks without it: it would walk through all that is there, again and again.

    It never does so later either: the first films would pay for it, or the end of a short command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
