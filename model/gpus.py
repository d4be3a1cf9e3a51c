"""Which GPU a reader works on, and how much of it may be its own."""

from dataclasses import dataclass


class GpuMissing(ValueError):
    """A GPU that is named is not there; the message names those that are."""


@dataclass(frozen=True)
class Share:
    """A reader's part of the GPUs of its machine.

    Parameters
    ----------
    reader : int
        Its number among the readers of the machine, from 1: they take the GPUs in turn.
    numbers : tuple of int
        GPUs to choose from, from 0; empty for all that there are.
    memory_mib : int
        Most memory of it; 0 for as much as is needed.
    """

    reader: int = 1
    numbers: tuple[int, ...] = ()
    memory_mib: int = 0

    def chosen(self, there: int) -> int | None:
        """Number of the GPU of so many that are there; None where there are none and none is named.

        Raises
        ------
        GpuMissing
        """
        missing = sorted(set(self.numbers) - set(range(there)))
        if missing:
            found = f"GPUs 0 to {there - 1}" if there else "no GPU"
            raise GpuMissing(f"found {found}, expected GPU {', '.join(map(str, missing))} of [model] gpus")
        choice = self.numbers or tuple(range(there))
        return choice[(self.reader - 1) % len(choice)] if choice else None
