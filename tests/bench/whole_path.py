"""The whole path: from a modality's last byte to Secondary Capture and report accepted by the PACS.

Firstread with the network of the paper and with its default reader, the straightforward script, Orthanc with
its Python plug-in, and Orthanc that only receives: one after the other, each started anew, in every
repetition. All get films of the same kinds from the same sender, and the same PACS takes their results.
"""

import contextlib
import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import figures, machine, modality, nodes, processes
from bench.films import SYNTAXES, Film, Kind
from bench.modality import Sent
from bench.nodes import Pacs, Running

PAPER, DEFAULT = "gao-2020", "firstread-1"
FIRSTREAD, FIRSTREAD_DEFAULT = f"firstread {PAPER}", f"firstread {DEFAULT}"
SCRIPT, PLUGIN, RECEIVING = f"straightforward {PAPER}", f"orthanc plug-in {PAPER}", "orthanc, receiving alone"
STARTS: dict[str, tuple[nodes.Start, str]] = {
    FIRSTREAD: (nodes.firstread, PAPER),
    FIRSTREAD_DEFAULT: (nodes.firstread, DEFAULT),
    SCRIPT: (nodes.straightforward, PAPER),
    PLUGIN: (nodes.orthanc_plugin, PAPER),
    RECEIVING: (nodes.orthanc_alone, PAPER),
}
PACE, CPU, MEMORY = "films a second", "CPU seconds a film", "peak memory MiB"
ASSOCIATIONS = 4
# As many rooms as there are films a second at most.
ROOMS = 10
MAIN = ("big", "uncompressed")
IDLE_FILMS_A_SECOND = 1.0
_WARM_UP_FILMS = 4
_WAIT_SECONDS = 240.0
_LOGGER = logging.getLogger("bench")


@dataclasses.dataclass(frozen=True)
class Work:
    """What each node is given in one repetition.

    Parameters
    ----------
    films : dict of size to int
        Films of a run at full speed.
    films_of_a_syntax : int
        Big films of each compressed transfer syntax.
    films_a_second : tuple of float
        What is offered while latency is measured, to Firstread with the network of the paper; the others get
        `IDLE_FILMS_A_SECOND` alone.
    seconds : float
        How long that is offered.
    """

    films: dict[str, int]
    films_of_a_syntax: int
    films_a_second: tuple[float, ...]
    seconds: float


# Runs at full speed last many times as long as a film is on its way.
FULL = Work({"big": 96, "small": 96}, 12, (IDLE_FILMS_A_SECOND, 5.0, 10.0), 8.0)


def measure(
    repetitions: int, work: Work = FULL, names: Sequence[str] = tuple(STARTS), main: tuple[str, str] = MAIN
) -> dict[str, object]:
    """Figures of each node and ratios between them.

    Returns
    -------
    dict
        ``nodes``, by name and run; ``ratios``; ``not run``, with the reason.
    """
    not_run = {PLUGIN: why} if PLUGIN in names and (why := nodes.why_no_plugin()) else {}
    names = [name for name in names if name not in not_run]
    kinds = _Kinds()
    taken: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in names}
    for repetition in range(repetitions):
        # Nobody is always the first or the last.
        for name in [*names[repetition % len(names) :], *names[: repetition % len(names)]]:
            _LOGGER.info("repetition %d of %d: %s", repetition + 1, repetitions, name)
            taken[name].append(_repetition(name, work, kinds, main))
    measured = {name: _figures(runs) for name, runs in taken.items()}
    return {"nodes": measured, "ratios": _ratios(measured, main), "not run": not_run}


class _Kinds(dict):
    """Kinds of films, made when they are first asked for."""

    def __missing__(self, key: tuple[str, str]) -> Kind:
        self[key] = Kind(*key)
        return self[key]


def run_name(size: str, syntax: str) -> str:
    """How a run at full speed is called."""
    return f"{size} films, {syntax}"


def latency_name(films_a_second: float | str) -> str:
    """How a run at a given pace is called."""
    pace = films_a_second if isinstance(films_a_second, str) else f"{films_a_second:g}"
    return f"latency at {pace} films a second"


HALF = latency_name("half as many")


def _repetition(name: str, work: Work, kinds: _Kinds, main: tuple[str, str]) -> dict[str, dict[str, float]]:
    """All runs of one node, by name of the run and of the measure."""
    start, version = STARTS[name]
    # Not TemporaryDirectory: it complains of what a node that is ending takes away itself.
    folder = Path(tempfile.mkdtemp(prefix="fr-bench-"))
    for part in ("pacs", "node"):
        (folder / part).mkdir()
    pacs = Pacs(folder / "pacs")
    try:
        with start(folder / "node", pacs.port, version) as running:
            if name == RECEIVING:
                return _receiving(running, work, kinds)
            return _runs(_Node(running, pacs), name == FIRSTREAD, work, kinds, main)
    finally:
        pacs.close()
        shutil.rmtree(folder, ignore_errors=True)


def _receiving(running: Running, work: Work, kinds: _Kinds) -> dict[str, dict[str, float]]:
    runs = {}
    for size, number in work.films.items():
        kind = kinds[size, "uncompressed"]
        modality.send(running.port, running.ae_title, kind.films(1), 1)
        machine.touch_memory()
        with _costs(running, number) as costs:
            sent = modality.send(running.port, running.ae_title, kind.films(number), ASSOCIATIONS)
        seconds = max(one.answered for one in sent) - min(one.began for one in sent)
        runs[run_name(size, "uncompressed")] = {PACE: number / seconds} | costs
    return runs


def _runs(
    node: "_Node", is_measured_fully: bool, work: Work, kinds: _Kinds, main: tuple[str, str]
) -> dict[str, dict[str, float]]:
    node.sustained(kinds[main].films(_WARM_UP_FILMS))
    runs = {
        run_name(size, "uncompressed"): node.sustained(kinds[size, "uncompressed"].films(number))
        for size, number in work.films.items()
    }
    if is_measured_fully and work.films_of_a_syntax:
        for syntax in [one for one in SYNTAXES if one != "uncompressed"]:
            films = kinds["big", syntax].films(work.films_of_a_syntax)
            runs[run_name("big", syntax)] = node.sustained(films)
    paces = {latency_name(one): one for one in work.films_a_second}
    if is_measured_fully:
        paces[HALF] = runs[run_name(*main)][PACE] / 2
    else:
        paces = {latency_name(IDLE_FILMS_A_SECOND): IDLE_FILMS_A_SECOND}
    for called, pace in paces.items():
        films = kinds[main].films(max(4, round(pace * work.seconds)))
        runs[called] = node.latencies(films, pace)
    return runs


class _Node:
    """A node that works, and the PACS that takes what it makes."""

    def __init__(self, running: Running, pacs: Pacs) -> None:
        self._running = running
        self._pacs = pacs

    def sustained(self, films: Sequence[Film]) -> dict[str, float]:
        """All films as fast as they are taken, until all results are accepted."""
        machine.touch_memory()
        with _costs(self._running, len(films)) as costs:
            sent = modality.send(self._running.port, self._running.ae_title, films, ASSOCIATIONS)
            accepted = self._pacs.accepted(films, _WAIT_SECONDS)
        seconds = max(accepted.values()) - min(one.began for one in sent)
        return {PACE: len(films) / seconds} | costs

    def latencies(self, films: Sequence[Film], films_a_second: float) -> dict[str, float]:
        """Seconds from a film's last byte to the later of its results, films coming at fixed times.

        A film that waited for a free association counts from when its last byte would have been there.
        """
        due = [(place / films_a_second, film) for place, film in enumerate(films)]
        sent = modality.send_at(self._running.port, self._running.ae_title, due, min(ROOMS, len(films)))
        accepted = self._pacs.accepted(films, _WAIT_SECONDS)
        seconds = [_latency(one, accepted) for one in sent]
        return {f"p{percent} seconds": figures.share(seconds, percent) for percent in (50, 95, 99)} | {
            "films": len(films),
            "offered films a second": films_a_second,
        }


def _latency(sent: Sent, accepted: dict[str, float]) -> float:
    return max(0.0, accepted[sent.film.study_instance_uid] - sent.last_byte)


@contextlib.contextmanager
def _costs(running: Running, films: int):
    """What a node's processes cost meanwhile; the dict is filled at the end."""
    costs: dict[str, float] = {}
    before = processes.cpu_seconds(running.pid)
    with processes.watching(running.pid) as most:
        yield costs
    costs[CPU] = (processes.cpu_seconds(running.pid) - before) / films
    costs[MEMORY] = most()


def _figures(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, figures.Figure]]:
    return {
        run: {
            measure: figures.figure([one[run][measure] for one in runs], measure) for measure in runs[0][run]
        }
        for run in runs[0]
    }


def _ratios(
    measured: dict[str, dict[str, dict[str, figures.Figure]]], main: tuple[str, str]
) -> dict[str, figures.Figure]:
    """Firstread's pace to the others', their CPU seconds to ours, and our latency half busy to idle."""
    ratios = {}
    for ours in (FIRSTREAD, FIRSTREAD_DEFAULT):
        for theirs in (SCRIPT, PLUGIN, RECEIVING):
            if ours in measured and theirs in measured:
                for run, found in measured[theirs].items():
                    if PACE in found:
                        ratios[f"{ours} / {theirs}: {run}"] = figures.ratio(
                            measured[ours][run][PACE], found[PACE]
                        )
                        ratios[f"{theirs} / {ours}: {CPU}, {run}"] = figures.ratio(
                            found[CPU], measured[ours][run][CPU]
                        )
    half, idle = measured[FIRSTREAD][HALF], measured[FIRSTREAD][latency_name(IDLE_FILMS_A_SECOND)]
    ratios["p95 half busy / p50 idle"] = figures.ratio(half["p95 seconds"], idle["p50 seconds"])
    return ratios
