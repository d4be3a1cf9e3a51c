"""Receiving alone: what `receive` takes in a second, beside DCMTK's storescp and Orthanc on the same machine.

All three are sent the same films by the same sender, DCMTK's storescu, one process an association; each film
has a SOP Instance UID of its own. Ours and Orthanc's films are durable when they are acknowledged, with an
entry in a database; storescp writes files and syncs nothing.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import foreign
import numpy as np
import servers
from bench import figures, machine, processes
from conftest import make_film
from node import Node

# Rows and columns of 12 bits in 16: 10 MB and 0.5 MB.
FILMS = {"big": (2500, 2000), "small": (512, 512)}
ASSOCIATIONS = (1, 4, 8)
# Films of one run, whatever number of associations shares them.
FILMS_A_RUN = {"big": 64, "small": 256}
PDU_BYTES = 131072
# DCMTK sends small segments at once; else it waits 40 ms a film for an acknowledgement of TCP.
AT_ONCE = os.environ | {"TCP_NODELAY": "1"}
_POLL_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Running:
    """A server that listens: its port and its first process."""

    port: int
    pid: int


@dataclasses.dataclass(frozen=True)
class Run:
    """What one server took in one run.

    Parameters
    ----------
    films_a_second : float
        From the start of the senders to the last one's end.
    cpu_seconds_a_film : float
        Of all the server's processes, user and system.
    peak_mib : float
        Largest resident sizes of the processes that ran at once, added up.
    """

    films_a_second: float
    cpu_seconds_a_film: float
    peak_mib: float


@contextlib.contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Running]:
    """DCMTK's, with a process for each association and the longest PDU; it parses what it writes."""
    program = foreign.require("storescp", "dcmtk")
    port = servers.free_port()
    command = [program, "--fork", "--max-pdu", str(PDU_BYTES), *options]
    command += ["--output-directory", str(folder), str(port)]
    server = subprocess.Popen(command, env=AT_ONCE, stderr=subprocess.DEVNULL)
    try:
        servers.wait_until(lambda: servers.accepts(port), what="storescp's port")
        yield Running(port, server.pid)
    finally:
        servers.end(server)


def storescp_bit_preserving(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """The same, but it writes a data set as it comes, as ours does."""
    return storescp(folder, "--bit-preserving")


@contextlib.contextmanager
def orthanc(_folder: Path) -> Iterator[Running]:
    """Orthanc as Debian's package configures it, with a port and folders of its own."""
    with servers.orthanc(MaximumPduLength=PDU_BYTES) as server:
        yield Running(server.dicom_port, server.pid)


@contextlib.contextmanager
def firstread(folder: Path, receivers: int = 1) -> Iterator[Running]:
    """``firstread receive`` with its defaults: SQLite, file and folder and row on disk before the answer."""
    node = Node(folder, tables={"node": {"receivers": receivers}})
    try:
        with node.running("receive") as [process]:
            servers.wait_until(lambda: node.log_text().count("receive ready") == receivers, 60, "all ready")
            yield Running(node.port, process.pid)
    finally:
        node.engine.dispose()


def two_receivers(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """The same with ``[node] receivers = 2``."""
    return firstread(folder, 2)


OURS = ("firstread", "firstread, 2 receivers")
SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Running]]] = {
    "storescp": storescp,
    "storescp --bit-preserving": storescp_bit_preserving,
    "orthanc": orthanc,
    **dict(zip(OURS, (firstread, two_receivers), strict=True)),
}


def measure(repetitions: int) -> dict[str, object]:
    """Figures of every kind of film and number of associations, servers taking turns in each repetition.

    Returns
    -------
    dict
        By film and associations, as ``big/4``: the figures of each server, and our pace to the others'.
    """
    cases = {}
    with tempfile.TemporaryDirectory(prefix="fr-bench-") as name:
        films = _write_films(Path(name))
        for kind, associations in [(kind, number) for kind in FILMS for number in ASSOCIATIONS]:
            runs: dict[str, list[Run]] = {server: [] for server in SERVERS}
            for _ in range(repetitions):
                for server, taken in runs.items():
                    taken.append(_run(server, films[kind], associations, FILMS_A_RUN[kind]))
            cases[f"{kind}/{associations}"] = _figures(runs)
    return cases


def _figures(runs: dict[str, list[Run]]) -> dict[str, object]:
    told: dict[str, dict[str, figures.Figure]] = {
        server: {
            "films a second": figures.figure([run.films_a_second for run in taken], "films a second"),
            "CPU seconds a film": figures.figure([run.cpu_seconds_a_film for run in taken], "CPU seconds"),
            "peak memory MiB": figures.figure([run.peak_mib for run in taken], "MiB"),
        }
        for server, taken in runs.items()
    }
    ratios = {
        f"{ours} / {other}": figures.ratio(told[ours]["films a second"], told[other]["films a second"])
        for ours in OURS
        for other in told
        if other not in OURS
    }
    return told | ratios


def _write_films(folder: Path) -> dict[str, Path]:
    """A film of each size with noise in it, which no file system packs."""
    paths = {}
    for kind, shape in FILMS.items():
        pixels = np.random.default_rng(1).integers(0, 1 << 12, shape, np.uint16)
        paths[kind] = folder / f"{kind}.dcm"
        make_film(pixels=pixels).save_as(paths[kind], enforce_file_format=True)
    return paths


def _run(server: str, film: Path, associations: int, films: int) -> Run:
    """One server, new and empty, taking `films` on so many associations at once."""
    # Beside the film, and so on the same volume; gone with all that was received when the run is over.
    with tempfile.TemporaryDirectory(dir=film.parent) as name, SERVERS[server](Path(name)) as running:
        _send(running.port, film, 1, 2)
        machine.touch_memory()
        cpu = processes.cpu_seconds(running.pid)
        with _watching(running.pid) as peak_mib:
            began = time.monotonic()
            _send(running.port, film, associations, films // associations)
            seconds = time.monotonic() - began
        taken = films // associations * associations
        return Run(taken / seconds, (processes.cpu_seconds(running.pid) - cpu) / taken, peak_mib())


def _send(port: int, film: Path, associations: int, films_each: int) -> None:
    """Send one film again and again, under new UIDs, and fail if one of them is not taken."""
    program = foreign.require("storescu", "dcmtk")
    command = [program, "-q", "-xe", "--required", "--invent-instance", "--repeat", str(films_each),
               "127.0.0.1", str(port), str(film)]  # fmt: skip
    senders = [subprocess.Popen(command, env=AT_ONCE) for _ in range(associations)]
    if ended := [sender.wait() for sender in senders if sender.wait()]:
        raise RuntimeError(f"storescu ended with {ended}, expected every film to be taken")


@contextlib.contextmanager
def _watching(pid: int) -> Iterator[Callable[[], float]]:
    """Look at the memory of a process and its children; the function tells the most seen, in MiB."""
    seen, is_over = [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(_POLL_SECONDS):
            seen.append(sum(_peak_mib(one) for one in processes.family(pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(seen)
    finally:
        is_over.set()
        watcher.join()
        seen.append(sum(_peak_mib(one) for one in processes.family(pid)))


def _peak_mib(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3), indent=2))
