"""How long the console takes with a million jobs.

PYTHONPATH=tests python -m bench.console [FILMS]
"""

import datetime
import statistics
import sys
import tempfile
import time
from pathlib import Path

import million
import requests
from node import Node

PATHS = (
    "/",
    "/triage/list",
    "/api/triage",
    "/jobs",
    "/jobs?day=any",
    "/jobs?q=4711",
    "/jobs?q=00004711",
    "/jobs?q=1.2.3.4711",
    "/jobs?day=any&state=READ",
    "/jobs?day=any&state=SKIPPED",
    "/jobs?day=any&state=FAILED",
    "/jobs?day=any&sender=RARE",
    "/jobs?day=any&sender=RARE&state=READ",
    "/jobs?day=any&destination=rare",
    "/jobs?day=any&destination=main",
    "/jobs?only=delivery-failed",
    "/jobs?day=any&older_than=500000",
    "/jobs?day=2026-01-15&sender=XR-3",
    "/api/jobs?day=any&older_than=1000",
    "/api/jobs/4711",
    "/node",
    "/node/now",
    "/api/node",
    "/api/monitoring",
    "/metrics",
)


def main() -> None:
    """Print the median and the slowest of 20 answers for each page, in milliseconds."""
    films = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), {"main": 1, "rare": 2})
        node.migrate()
        million.fill(node.engine, films, datetime.datetime.now(datetime.UTC), films)
        medians = []
        with node.running("console"), requests.Session() as session:
            for path in PATHS:
                times = [_milliseconds(session, node.console_port, path) for _ in range(21)][1:]
                medians.append(statistics.median(times))
                print(f"{medians[-1]:8.1f} {max(times):8.1f}  {path}", flush=True)
        node.engine.dispose()
    print(f"{statistics.median(medians):8.1f} median of the medians, {films} films")


def _milliseconds(session: requests.Session, port: int, path: str) -> float:
    begun = time.perf_counter()
    answer = session.get(f"http://127.0.0.1:{port}{path}", timeout=60)
    answer.raise_for_status()
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
