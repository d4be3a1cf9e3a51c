"""What Prometheus is told: how long each step of a film took, and what became of films and results.

Every process of this host counts into files of its own in one folder, which the console's ``/metrics`` adds
up. A file is named by role and not by process number: who starts next goes on counting in it, so that no
figure falls and no file of a dead process is left.
"""

import fcntl
import functools
import itertools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily

    Add = Callable[["CollectorRegistry"], object]

FOLDER = "metrics"
KINDS = ("counter", "histogram")
# Room for every series in advance: to write to a page that a full disk has no room for ends a process.
FILE_BYTES = 1 << 20
STEPS = {
    "receive": "From the first byte of a film's data set to the answer to its sender.",
    "wait": "From reception to the claim by a reader.",
    "decode": "Decoding a film and judging its header.",
    "inference": "The networks on a batch of films.",
    "delivery": "One object to a destination, until its answer.",
}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_LOGGER = logging.getLogger("firstread")
_held: list["BinaryIO"] = []


def folder(spool: Path) -> Path:
    """Where the processes of a host count, in the spool's folder."""
    return spool / FOLDER


def start(where: Path, role: str) -> None:
    """Count in `where` from now on; several processes of a role have a file each.

    Without room for the files this process counts for itself, and takes films all the same.
    """
    try:
        where.mkdir(mode=0o750, exist_ok=True)
        name = _free_name(where, role)
        for kind in KINDS:
            _make_room(where / f"{kind}_{name}.db")
    except OSError as error:
        _LOGGER.warning("no metrics of this process: %s: %s", where, error.strerror)
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(where)
    from prometheus_client import values  # noqa: PLC0415 - only after its folder is named

    values.ValueClass = values.MultiProcessValue(lambda: name)


def _free_name(where: Path, role: str) -> str:
    for number in itertools.count():
        lock = (where / f"{role}-{number}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            _held.append(lock)
            return f"{role}-{number}"
    raise AssertionError


def _make_room(path: Path) -> None:
    """A file that is whole, or a new one: what a crash of the machine broke is not counted on."""
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    if path.exists():
        try:
            list(MmapedDict.read_all_values_from_file(path))
        except Exception:  # noqa: BLE001 - whatever its bytes lead to
            path.unlink()
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


@functools.cache
def _steps() -> "dict[str, Histogram]":
    from prometheus_client import Histogram  # noqa: PLC0415

    made = {}
    for name, text in STEPS.items():
        labels = ["destination"] if name == "delivery" else []
        made[name] = Histogram(f"firstread_{name}_seconds", text, labels, buckets=SECONDS, registry=None)
    return made


@functools.cache
def _films() -> "Counter":
    from prometheus_client import Counter  # noqa: PLC0415

    text = "Moves of films into a state, by the code of the reason."
    return Counter("firstread_films", text, ["state", "reason"], registry=None)


@functools.cache
def _deliveries() -> "Counter":
    from prometheus_client import Counter  # noqa: PLC0415

    text = "Moves of results into a state, by destination."
    return Counter("firstread_deliveries", text, ["destination", "state"], registry=None)


@functools.cache
def _refused() -> "Counter":
    from prometheus_client import Counter  # noqa: PLC0415

    text = "Data sets answered with a status other than success."
    return Counter("firstread_refused_data_sets", text, ["status"], registry=None)


def took(step: str, seconds: float, destination: str = "") -> None:
    """A step of `STEPS` took so long."""
    histogram = _steps()[step]
    (histogram.labels(destination) if destination else histogram).observe(max(0.0, seconds))


def film_moved(state: str, reason: str = "") -> None:
    """A film came to a state, for a reason by its code."""
    _films().labels(str(state), reason).inc()


def delivery_moved(destination: str, state: str) -> None:
    """A result for a destination came to a state."""
    _deliveries().labels(destination, str(state)).inc()


def refused(status: int) -> None:
    """A data set was not taken."""
    _refused().labels(f"0x{status:04X}").inc()


def gauge(
    name: str, told: str, labels: "Sequence[str]", values: "Mapping[str | tuple[str, ...], float | None]"
) -> "GaugeMetricFamily":
    """Values of this moment by their label or labels, or one value without a label; None is left out."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(name, told, labels=labels)
    for label, value in values.items():
        if value is not None:
            of_labels = [label] if isinstance(label, str) else label
            family.add_metric(of_labels if labels else [], float(value))
    return family


def text(where: Path, add: "Add") -> tuple[bytes, str]:
    """All that Prometheus is told, and its media type.

    Parameters
    ----------
    where : Path
        Folder of the processes' files; need not be there yet.
    add : callable
        Registers what is looked up at this moment.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    if where.is_dir():
        MultiProcessCollector(registry, str(where))
    add(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
