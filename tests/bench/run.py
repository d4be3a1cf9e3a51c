"""``make bench``: Firstread and its peers side by side on the same films; a table and a JSON file.

    PYTHONPATH=tests python -m bench.run [--parts NAME...] [--repetitions N] [--out FILE]

Nothing here passes or fails: only ratios of one run mean something, and they too only on a machine that does
nothing else.
"""

import argparse
import datetime
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import archive, bars, cold_start, growth, job_table, machine, receiving, report, whole_path
from rich.console import Console

RESULTS = Path(__file__).with_name("results")
_LOGGER = logging.getLogger("bench")
PARTS: dict[str, Callable[[int], dict]] = {
    "receiving": receiving.measure,
    "cold_start": cold_start.measure,
    "whole_path": whole_path.measure,
    "growth": growth.measure,
    "job_table": job_table.measure,
    "archive": archive.measure,
}
# The archive takes as long as much of the rest, and is asked for by name.
USUAL = [name for name in PARTS if name != "archive"]


def run(parts: list[str], repetitions: int) -> dict[str, object]:
    """Measure some parts and hold their figures against the bars; one that fails is told."""
    result: dict[str, object] = {
        "taken": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.describe(),
        "repetitions": repetitions,
        "seconds": {},
        "parts": {},
        "failed": {},
    }
    for name in parts:
        _LOGGER.info("%s", name)
        began = time.monotonic()
        try:
            result["parts"][name] = PARTS[name](repetitions)
        except (OSError, RuntimeError, ValueError) as error:
            _LOGGER.exception("%s failed", name)
            result["failed"][name] = f"{type(error).__name__}: {error}"
        result["seconds"][name] = round(time.monotonic() - began)
    result["load average at the end"] = [round(load, 2) for load in os.getloadavg()]
    result["bars"] = bars.judge(result["parts"])
    return result


def main() -> int:
    """Run, print and write; 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=USUAL)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, help="in place of a file in tests/bench/results")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    _LOGGER.setLevel(logging.INFO)
    console = Console()
    result = run(options.parts, options.repetitions)
    report.show(result, console)
    RESULTS.mkdir(exist_ok=True)
    out = options.out or RESULTS / f"{result['taken']}-{machine.slug(result['machine'])}.json"
    # Lists of figures in one line each.
    written = re.sub(
        r"\[\s+([^][{}]*?)\s+\]", lambda one: f"[{' '.join(one[1].split())}]", json.dumps(result, indent=1)
    )
    out.write_text(written + "\n", encoding="utf-8")
    console.print(f"written to {out}")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
