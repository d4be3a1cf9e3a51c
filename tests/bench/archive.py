"""What a second processor gives `firstread score-archive`: the same archive on one and on two, in turn."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import figures, processes
from bench.films import Kind

SYNTAXES = ("uncompressed", "JPEG-LS lossless")
FILMS = 200
FILMS_A_PART = 20
# A part is kept when later films are in hand already, up to 72 with two workers: so what is measured begins
# with the first part, until which the networks load, and ends with one that more films than these follow.
MEASURED_PARTS = 5
PROCESSORS = (1, 2)


PACE, CPU, NETWORK, SHARE = (
    "films a second",
    "CPU seconds a film",
    "of these where the network runs",
    "processors had",
)
UNITS = {PACE: PACE, CPU: "seconds", NETWORK: "seconds", SHARE: "of those allowed"}


def measure(repetitions: int) -> dict[str, object]:
    """What big films cost on one and on two processors, in each repetition in turn.

    It is counted in the middle of a run. There are as many workers as processors, and one network, whose
    process bounds what more workers can give. Where others want the processors too, the pace says as much of
    them as of us, which `SHARE` tells; what a film costs then still says whether workers are in each other's
    way.
    """
    told: dict[str, object] = {}
    for syntax in SYNTAXES:
        with tempfile.TemporaryDirectory(prefix="fr-bench-") as name:
            folder = Path(name)
            _write_films(folder / "films", Kind("big", syntax))
            told[syntax] = _compare(folder, repetitions)
    return told


def _compare(folder: Path, repetitions: int) -> dict[str, object]:
    runs: dict[int, list[dict[str, float]]] = {processors: [] for processors in PROCESSORS}
    for repetition in range(repetitions):
        for processors in PROCESSORS:
            run = _score(folder / "films", folder / f"{processors}-{repetition}", processors)
            runs[processors].append(run)
    one, two = (
        {name: figures.figure([run[name] for run in runs[processors]], unit) for name, unit in UNITS.items()}
        for processors in PROCESSORS
    )
    ratios = {name: figures.ratio(two[name], one[name]) for name in (PACE, CPU)}
    return {"1 processor": one, "2 processors": two, "2 processors / 1 processor": ratios}


def _write_films(folder: Path, kind: Kind) -> None:
    """One film under many names: it comes from memory, and no disk is measured."""
    folder.mkdir()
    (folder / "0.dcm").write_bytes(kind.part10)
    for number in range(1, FILMS):
        (folder / f"{number}.dcm").hardlink_to(folder / "0.dcm")


def _score(source: Path, out: Path, processors: int) -> dict[str, float]:
    ours = ",".join(map(str, sorted(os.sched_getaffinity(0))[:processors]))
    process = subprocess.Popen(
        ["taskset", "--cpu-list", ours, sys.executable, "-m", "daemon.cli", "score-archive", source,
         "--out", out, "--films-a-part", str(FILMS_A_PART)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    first, last = (out / "scores" / f"{part:08}.parquet" for part in (0, MEASURED_PARTS))
    try:
        begin = _spent_at(first, process)
        end = _spent_at(last, process)
    finally:
        # What is left is not measured.
        process.terminate()
        process.wait()
    films = MEASURED_PARTS * FILMS_A_PART
    seconds = last.stat().st_mtime - first.stat().st_mtime
    spent, of_network = (after - before for after, before in zip(end, begin, strict=True))
    return {
        PACE: films / seconds,
        CPU: spent / films,
        NETWORK: of_network / films,
        SHARE: spent / seconds / processors,
    }


def _spent_at(scores: Path, process: subprocess.Popen) -> tuple[float, float]:
    """CPU seconds of a run, and of its first process, when it has kept a part."""
    while not scores.exists():
        if process.poll() is not None:
            raise RuntimeError(f"score-archive ended with {process.returncode} before {scores.name}")
        time.sleep(0.01)
    return processes.cpu_seconds(process.pid), processes.own_cpu_seconds(process.pid)
