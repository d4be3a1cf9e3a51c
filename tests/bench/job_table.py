"""What insert, claim and tail cost in a job table with a thousand jobs and in one with a million."""

import contextlib
import datetime
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import million
import servers
from bench import figures
from node import Node
from sqlalchemy import Engine, text

from storage import claims, database, events, films
from storage.films import ReceivedFilm
from storage.states import FilmState

KINDS = ("sqlite", "postgresql")
ROWS = (1_000, 1_000_000)
BATCH = 16
BATCHES = 8
TAIL_LINES = 20
CLAIMANT = "read bench"
_EVENTS = """
INSERT INTO event (at, film_id, to_state, who, message)
SELECT changed_at, id, state, 'read', '' FROM film ORDER BY id
"""


def measure(repetitions: int, rows: Sequence[int] = ROWS, kinds: Sequence[str] = KINDS) -> dict[str, object]:
    """Milliseconds of each, by database and number of jobs, and their growth from the fewest to the most.

    PostgreSQL runs without fsync here: its commits cost less than on a site.
    """
    taken: dict[str, dict[int, list[dict[str, float]]]] = {}
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            nodes = {number: stack.enter_context(_filled(kind, number)) for number in rows}
            taken[kind] = {number: [] for number in rows}
            for _ in range(repetitions):
                for number, node in nodes.items():
                    taken[kind][number].append(_milliseconds(node))
    told: dict[str, object] = {}
    for kind, of_kind in taken.items():
        measures = {
            number: {name: figures.figure([run[name] for run in runs], "ms") for name in runs[0]}
            for number, runs in of_kind.items()
        }
        told |= {f"{kind}, {number} jobs": one for number, one in measures.items()}
        most, fewest = measures[max(rows)], measures[min(rows)]
        told[f"{kind}, {max(rows)} jobs / {min(rows)}"] = {
            name: figures.ratio(most[name], fewest[name]) for name in most
        }
    return told


@contextlib.contextmanager
def _filled(kind: str, number: int) -> Iterator[Node]:
    """A node whose database has so many jobs, each with a delivery and an event; none is queued."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fr-bench-")))
        url = None if kind == "sqlite" else servers.fresh_database(stack.enter_context(servers.postgresql()))
        node = Node(folder, {"main": 1, "rare": 2}, url)
        stack.callback(node.engine.dispose)
        node.migrate()
        million.fill(node.engine, number, _now(), min(number, 20_000))
        with node.engine.begin() as connection:
            connection.execute(text(_EVENTS))
            if kind == "postgresql":
                next_job = "SELECT setval(pg_get_serial_sequence('film', 'id'), (SELECT max(id) FROM film))"
                connection.execute(text(next_job))
        if kind == "postgresql":
            with node.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("ANALYZE event"))
        yield node


def _milliseconds(node: Node) -> dict[str, float]:
    """Median of each, the table as it was afterwards but for some jobs more."""
    engine = node.engine
    inserted = [_timed(lambda: _enqueue(engine)) for _ in range(BATCH * BATCHES)]
    claimed = [_timed(lambda: _claim(engine)) for _ in range(BATCHES)]
    for jobs, _ in claimed:
        if len(jobs) != BATCH:
            raise ValueError(f"{len(jobs)} films claimed, expected {BATCH}")
        for job in jobs:
            films.finish(engine, job.id, CLAIMANT, FilmState.SKIPPED, _now(), "NOT_CHEST: bench")
    with database.reading(engine) as connection:
        tails = [_timed(lambda: events.newest(connection, 0, TAIL_LINES)) for _ in range(BATCHES)]
    command = node.command("tail")
    tail = [_timed(lambda: subprocess.run(command, check=True, capture_output=True))[1] for _ in range(3)]
    return {
        "insert": statistics.median(seconds for _, seconds in inserted),
        f"claim of {BATCH}": statistics.median(seconds for _, seconds in claimed),
        f"newest {TAIL_LINES} events": statistics.median(seconds for _, seconds in tails),
        "firstread tail": statistics.median(tail),
    }


def _timed(work: Callable[[], object]) -> tuple[object, float]:
    """What it gave, and its milliseconds."""
    began = time.perf_counter()
    return work(), 1000 * (time.perf_counter() - began)


def _enqueue(engine: Engine) -> None:
    one = uuid.uuid4()
    received = ReceivedFilm(
        sop_instance_uid=f"2.25.{one.int}", sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        study_instance_uid=f"2.25.{one.int}", accession_number=one.hex[:8], modality="CR",
        transfer_syntax_uid="1.2.840.10008.1.2.1", digest=one.hex * 2, size_bytes=1 << 20,
        spool_name=f"films/{one.hex[:2]}/{one.hex}.dcm", calling_ae_title="MODALITY",
        called_ae_title="FIRSTREAD", peer_address="127.0.0.1",
    )  # fmt: skip
    films.enqueue(engine, received, _now())


def _claim(engine: Engine) -> list[claims.Job]:
    now = _now()
    return claims.claim(engine, CLAIMANT, BATCH, now, now + datetime.timedelta(minutes=5))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
