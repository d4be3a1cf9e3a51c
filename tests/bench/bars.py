"""What is asked of the figures: ratios of one run, and whether they are met."""

import dataclasses
import statistics
from collections.abc import Callable

from bench import growth, job_table, receiving, whole_path
from bench.whole_path import FIRSTREAD, PLUGIN, RECEIVING, SCRIPT, run_name

Parts = dict[str, dict]


@dataclasses.dataclass(frozen=True)
class Bar:
    """One demand.

    Parameters
    ----------
    least : float or None
        A figure below it does not meet the bar.
    most : float or None
        Nor one above this.
    figure : callable
        From the figures of all parts.
    """

    what: str
    figure: Callable[[Parts], float]
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    def judge(self, parts: Parts) -> dict[str, object]:
        """The bar, its figure and whether it is met; no figure where its part was not run."""
        wanted = f">= {self.least:g}" if self.most is None else f"<= {self.most:g}"
        try:
            found = float(f"{self.figure(parts):.3g}")
        except KeyError:
            return {"bar": self.what, "wanted": f"{wanted} {self.unit}", "figure": None, "met": None}
        met = (self.least is None or found >= self.least) and (self.most is None or found <= self.most)
        return {"bar": self.what, "wanted": f"{wanted} {self.unit}", "figure": found, "met": met}


def _receiving(case: str, other: str, ours: str = receiving.OURS[0]) -> Callable[[Parts], float]:
    return lambda parts: parts["receiving"][case][f"{ours} / {other}"]["median"]


def _memory(parts: Parts) -> float:
    big, small = (
        parts["receiving"][f"{size}/8"]["firstread"]["peak memory MiB"] for size in ("big", "small")
    )
    return max(big["values"]) / max(small["values"])


def _ratio(name: str) -> Callable[[Parts], float]:
    return lambda parts: parts["whole_path"]["ratios"][name]["median"]


def _against(other: str) -> Callable[[Parts], float]:
    return _ratio(f"{FIRSTREAD} / {other}: {run_name(*whole_path.MAIN)}")


def _waiting(parts: Parts) -> float:
    most, fewest = max(growth.WAITING), min(growth.WAITING)
    return parts["growth"][f"pace at {most} / at {fewest}"]["median"]


def _jobs(measure: str) -> Callable[[Parts], float]:
    most, fewest = max(job_table.ROWS), min(job_table.ROWS)
    return lambda parts: max(
        parts["job_table"][f"{kind}, {most} jobs / {fewest}"][measure]["median"] for kind in job_table.KINDS
    )


def _start(of: str) -> Callable[[Parts], float]:
    return lambda parts: statistics.median(parts["cold_start"][of]["values"])


BARS = (
    Bar("receiving, durable, 1 association: Firstread / storescp", _receiving("big/1", "storescp"), 0.6),
    Bar("receiving, durable, 4 associations: Firstread / storescp", _receiving("big/4", "storescp"), 0.6),
    Bar("receiving, durable, 4 associations: Firstread / Orthanc", _receiving("big/4", "orthanc"), 2.0),
    Bar("receiving, durable, 4 associations, 2 receivers: Firstread / storescp",
        _receiving("big/4", "storescp", receiving.OURS[1]), 0.6),
    Bar("receiving, durable, 4 associations, 2 receivers: Firstread / Orthanc",
        _receiving("big/4", "orthanc", receiving.OURS[1]), 2.0),
    Bar("receiver's peak memory, 8 associations: 10 MB films / 0.5 MB films", _memory, most=1.25),
    Bar("whole path: Firstread / straightforward script", _against(SCRIPT), 4.0),
    Bar("whole path: Firstread / Orthanc with its Python plug-in", _against(PLUGIN), 1.0),
    Bar("Firstread's whole path / Orthanc receiving alone", _against(RECEIVING), 0.5),
    Bar("latency: p95 at half the sustained rate / p50 of an idle node",
        _ratio("p95 half busy / p50 idle"), most=3.0),
    Bar("reading with 10,000 films waiting / with 100", _waiting, 0.8),
    Bar("insert at a million jobs / at a thousand", _jobs("insert"), most=2.0),
    Bar("claim at a million jobs / at a thousand", _jobs(f"claim of {job_table.BATCH}"), most=2.0),
    Bar("newest events at a million jobs / at a thousand",
        _jobs(f"newest {job_table.TAIL_LINES} events"), most=2.0),
    Bar("cold start of firstread read", _start("firstread read, to READY"), most=8.0, unit="s"),
    Bar("firstread tail", _start("firstread tail"), most=0.5, unit="s"),
)  # fmt: skip


def judge(parts: Parts) -> list[dict[str, object]]:
    """All bars, each with its figure and whether it is met."""
    return [bar.judge(parts) for bar in BARS]
