"""Charts as shapes for the templates that draw them in SVG: coordinates, ticks and words, no library."""

import dataclasses
import datetime
import math
from collections.abc import Sequence

LEFT, RIGHT, TOP, BOTTOM = 34.0, 376.0, 8.0, 122.0
SPARK_WIDTH, SPARK_HEIGHT = 110.0, 24.0


@dataclasses.dataclass(frozen=True)
class Axes:
    """Both axes of a chart of the last 24 hours.

    Parameters
    ----------
    top : float
        Value at the upper end.
    rows : list of (y, str)
        Grid lines and their words.
    columns : list of (x, str, str)
        Place, words and anchor of the times below.
    """

    top: float
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str, str]]

    def y(self, value: float) -> float:
        """Height of a value."""
        return round(BOTTOM - (BOTTOM - TOP) * min(value / self.top, 1.0), 1)


def round_top(most: float, parts: int) -> float:
    """The smallest round number not under `most` that `parts` divide into round numbers."""
    if most <= 0:
        return float(parts)
    step = most / parts
    unit = 10.0 ** math.floor(math.log10(step))
    return next(f * unit for f in (1, 2, 2.5, 5, 10) if f * unit >= step * (1 - 1e-9)) * parts


def day_axes(
    most: float,
    begin: datetime.datetime,
    now: datetime.datetime,
    parts: int = 2,
    unit: str = "",
    whole: bool = True,
) -> Axes:
    """Axes from 0 to at least `most`, and from `begin` to `now` in this machine's zone."""
    top = round_top(max(most, parts) if whole else most, parts)
    if whole:
        top = float(math.ceil(top / parts) * parts)
    rows = []
    for number in range(parts + 1):
        value = top * number / parts
        words = f"{value:g}" + (unit if number == 0 else "")
        rows.append((round(BOTTOM - (BOTTOM - TOP) * number / parts, 1), words))
    columns = []
    first = begin.astimezone().replace(minute=0, second=0, microsecond=0) + datetime.timedelta(hours=1)
    hour = first
    while hour < now - datetime.timedelta(hours=2):
        if hour.hour % 6 == 0:
            columns.append((_x(hour, begin, now), f"{hour:%H:%M}", "middle"))
        hour += datetime.timedelta(hours=1)
    columns.append((RIGHT, "now", "end"))
    return Axes(top, rows, columns)


def _x(at: datetime.datetime, begin: datetime.datetime, now: datetime.datetime) -> float:
    return round(LEFT + (RIGHT - LEFT) * ((at - begin) / (now - begin)), 1)


@dataclasses.dataclass(frozen=True)
class Bar:
    """A part of a stacked column."""

    x: float
    y: float
    width: float
    height: float
    kind: str


def columns(stacks: Sequence[dict[str, int]], axes: Axes) -> list[Bar]:
    """Stacked columns side by side over the whole width, parts in the order of each dictionary."""
    pitch = (RIGHT - LEFT) / len(stacks)
    bars = []
    for number, stack in enumerate(stacks):
        below = 0
        for kind, value in stack.items():
            if value:
                top, bottom = axes.y(below + value), axes.y(below)
                x = round(LEFT + number * pitch + 1.5, 1)
                bars.append(Bar(x, top, round(pitch - 3, 1), max(round(bottom - top - 0.8, 1), 0.8), kind))
                below += value
    return bars


def line(values: Sequence[tuple[datetime.datetime, float]], axes: Axes, begin: datetime.datetime,
         now: datetime.datetime) -> str:  # fmt: skip
    """Points of a polyline."""
    return " ".join(f"{_x(at, begin, now)},{axes.y(value)}" for at, value in values)


def spark(values: Sequence[float | None], top: float) -> list[str]:
    """Points of a small line, one string for each stretch without a gap; a lone value is a short dash."""
    stretches: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            stretches.append([])
            continue
        x = SPARK_WIDTH * number / max(1, len(values) - 1)
        y = spark_y(value, top)
        stretches[-1].append(f"{x:.1f},{y:.1f}")
    return [
        " ".join(points if len(points) > 1 else [points[0], _right_of(points[0])])
        for points in stretches
        if points
    ]


def _right_of(point: str) -> str:
    x, y = point.split(",")
    return f"{float(x) + 2:.1f},{y}"


def spark_y(value: float, top: float) -> float:
    """Height of a value in a small line."""
    return SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * min(value / top, 1.0)


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Scores as columns, and those of the reference as a line of steps."""

    top: float
    rows: list[tuple[float, str]]
    bars: list[tuple[float, float, float, float]]
    steps: str


HISTOGRAM_LEFT, HISTOGRAM_RIGHT, HISTOGRAM_TOP, HISTOGRAM_BOTTOM = 36.0, 392.0, 16.0, 142.0


def histogram(found: Sequence[int], reference: Sequence[int] | None) -> Histogram:
    """Shares of the films in each cell of the score."""
    shares = [100 * cell / max(1, sum(found)) for cell in found]
    before = [100 * cell / max(1, sum(reference)) for cell in reference] if reference else []
    top = round_top(max([10.0, *shares, *before]), 3)
    height = (HISTOGRAM_BOTTOM - HISTOGRAM_TOP) / top
    pitch = (HISTOGRAM_RIGHT - HISTOGRAM_LEFT) / len(found)
    rows = []
    for number in range(4):
        value = top * number / 3
        words = f"{value:.0f}" + (" %" if number in (0, 3) else "")
        rows.append((round(HISTOGRAM_BOTTOM - value * height, 1), words))
    bars = [
        (
            round(HISTOGRAM_LEFT + number * pitch + 1.5, 1),
            round(HISTOGRAM_BOTTOM - share * height, 1),
            round(pitch - 3, 1),
            round(share * height, 1),
        )
        for number, share in enumerate(shares)
    ]
    corners = [f"M{HISTOGRAM_LEFT:g},{HISTOGRAM_BOTTOM:g}"] if before else []
    for number, share in enumerate(before):
        y = HISTOGRAM_BOTTOM - share * height
        left, right = (HISTOGRAM_LEFT + (number + end) * pitch for end in (0, 1))
        corners.append(f"L{left:.1f},{y:.1f} L{right:.1f},{y:.1f}")
    return Histogram(top, rows, bars, " ".join(corners))


@dataclasses.dataclass(frozen=True)
class Scatter:
    """Pairs of scores as dots in a square.

    Parameters
    ----------
    across, up : list of (float, str)
        Place and words of each grid line.
    dots : str
        One path of strokes without length, for round caps.
    """

    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    dots: str


SCATTER_LEFT, SCATTER_TOP, SCATTER_SIDE = 60.0, 8.0, 220.0


def scatter(points: Sequence[tuple[float, float]]) -> Scatter:
    """Dots of scores from 0 to 1, the first across, the second up."""
    shares = [number / 4 for number in range(5)]
    places = [
        f"M{SCATTER_LEFT + SCATTER_SIDE * x:.1f},{SCATTER_TOP + SCATTER_SIDE * (1 - y):.1f}h0"
        for x, y in points
    ]
    return Scatter(
        [(SCATTER_LEFT + SCATTER_SIDE * share, f"{share:g}") for share in shares],
        [(SCATTER_TOP + SCATTER_SIDE * (1 - share), f"{share:g}") for share in shares],
        "".join(places),
    )
