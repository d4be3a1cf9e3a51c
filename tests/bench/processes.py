"""What processes cost: CPU seconds and memory of one and all that descend from it, from proc(5)."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

# Looking goes through all their pages, some hundredths of a second each time: not while a short run lasts.
_POLL_SECONDS = 5.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a family, of those that have ended and were waited for too."""
    ticks = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            ticks += sum(_ticks(one))
    return ticks / _TICKS_A_SECOND


def own_cpu_seconds(pid: int) -> float:
    """User and system time of one process alone."""
    return sum(_ticks(pid)[:2]) / _TICKS_A_SECOND


def _ticks(pid: int) -> list[int]:
    """Fields 14 to 17: utime, stime, cutime and cstime."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return [int(field) for field in stat.rpartition(")")[2].split()[11:15]]


def memory_mib(pid: int) -> float:
    """Memory of a family now, in MiB: what several of them share is counted once (Pss)."""
    kib = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib / 1024


@contextlib.contextmanager
def watching(pid: int) -> Iterator[Callable[[], float]]:
    """Look at the memory of a family meanwhile; the function tells the most that was seen, in MiB."""
    seen, is_over = [memory_mib(pid)], threading.Event()

    def watch() -> None:
        while not is_over.wait(_POLL_SECONDS):
            seen.append(memory_mib(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max([*seen, memory_mib(pid)])
    finally:
        is_over.set()
        watcher.join()
