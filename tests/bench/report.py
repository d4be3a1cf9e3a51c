"""Figures for people: tables in a terminal, and the README's in Markdown.

PYTHONPATH=tests python -m bench.report RESULT.json      # the README's table
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.whole_path import (
    CPU,
    FIRSTREAD,
    FIRSTREAD_DEFAULT,
    MAIN,
    MEMORY,
    PACE,
    PLUGIN,
    RECEIVING,
    SCRIPT,
    run_name,
)
from rich.console import Console
from rich.table import Table

Result = dict


def show(result: Result, console: Console) -> None:
    """Every figure, then the bars."""
    for part, found in result["parts"].items():
        table = Table("run", "figures: median (least to most)", title=part, title_justify="left")
        for name, row in _rows(found):
            table.add_row(name, row)
        console.print(table)
    for part, why in result["failed"].items():
        console.print(f"{part} failed: {why}")
    table = Table("bar", "wanted", "figure", "met", title="bars", title_justify="left")
    for bar in result["bars"]:
        table.add_row(bar["bar"], bar["wanted"], _text(bar["figure"]), _yes(bar["met"]))
    console.print(table)


def markdown(result: Result) -> str:
    """Where and when, the table of bars and that of the whole path's paces."""
    machine = result["machine"]
    lines = [
        f"*{result['taken']}: {machine['cores']} cores ({machine['processor']}), load average "
        f"{machine['load average at the start'][0]} at the start; medians of {result['repetitions']}.*",
        "",
    ]
    lines += ["| bar | wanted | found | met |", "|---|---|---|---|"]
    lines += [
        f"| {bar['bar']} | {bar['wanted']} | {_text(bar['figure'])} | {_yes(bar['met'])} |"
        for bar in result["bars"]
    ]
    if "whole_path" in result["parts"]:
        lines += ["", *_paces(result["parts"]["whole_path"])]
    return "\n".join(lines) + "\n"


def _paces(part: dict) -> Iterator[str]:
    yield "| 10 MB films, uncompressed | films a second | CPU seconds a film | peak MiB |"
    yield "|---|---|---|---|"
    for name in (FIRSTREAD, FIRSTREAD_DEFAULT, SCRIPT, PLUGIN, RECEIVING):
        if name in part["nodes"]:
            run = part["nodes"][name][run_name(*MAIN)]
            yield (
                f"| {name} | {_spread(run[PACE], PACE)} "
                f"| {run[CPU]['median']:.2g} | {run[MEMORY]['median']:.0f} |"
            )


def _rows(found: dict, name: str = "") -> Iterator[tuple[str, str]]:
    """Each group of figures in one row, by the names of what it lies in."""
    alone = {key: value for key, value in found.items() if not isinstance(value, dict) or "values" in value}
    if alone:
        yield name, "\n".join(f"{key}: {_spread(value, key)}" for key, value in alone.items())
    for key, value in found.items():
        if key not in alone:
            yield from _rows(value, f"{name}, {key}" if name else key)


def _spread(value: dict | str, name: str) -> str:
    """A figure with its unit, if neither its name tells it nor it has none."""
    if isinstance(value, str):
        return value
    unit = "" if value["unit"] in (name, "ratio") else f" {value['unit']}"
    return f"{_text(value['median'])}{unit} ({_text(value['least'])} to {_text(value['most'])})"


def _text(value: object) -> str:
    return "" if value is None else f"{float(f'{value:.3g}'):g}" if isinstance(value, float) else str(value)


def _yes(met: bool | None) -> str:
    return {True: "yes", False: "no", None: "not run"}[met]


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
