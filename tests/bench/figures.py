"""Figures of several repetitions, and their ratios."""

import statistics
from collections.abc import Sequence

Figure = dict[str, object]


def figure(values: Sequence[float], unit: str) -> Figure:
    """One measure of each repetition, with median and spread.

    Returns
    -------
    dict
        ``unit``, ``median``, ``least``, ``most``, and ``values`` in the order of the repetitions.
    """
    return {
        "unit": unit,
        "median": _short(statistics.median(values)),
        "least": _short(min(values)),
        "most": _short(max(values)),
        "values": [_short(value) for value in values],
    }


def ratio(ours: Figure, theirs: Figure) -> Figure:
    """Ours to theirs within each repetition, so that what slowed both down at that time drops out."""
    pairs = zip(ours["values"], theirs["values"], strict=True)
    return figure([one / other for one, other in pairs], "ratio")


def share(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, -int(-len(values) * percent // 100) - 1)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
