"""What becomes of the reader's pace when very many films wait."""

import datetime
import os
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import servers
from bench import figures
from bench.films import Kind
from node import Node
from sqlalchemy import delete, func, insert, select

from storage import database
from storage.spool import Spool
from storage.states import FilmState
from storage.tables import film

VERSION = "gao-2020"
WAITING = (100, 1_000, 10_000)
# The first batches are taken before the pace is even.
FIRST, FILMS = 20, 60
_WAIT_SECONDS = 240.0


def measure(
    repetitions: int, waiting: Sequence[int] = WAITING, first: int = FIRST, films: int = FILMS
) -> dict[str, object]:
    """Films that ``firstread read`` reads in a second while so many wait, and the last pace to the first."""
    rates: dict[int, list[float]] = {number: [] for number in waiting}
    kind = Kind("small", "uncompressed")
    for repetition in range(repetitions):
        with tempfile.TemporaryDirectory(prefix="fr-bench-") as name:
            node = Node(Path(name), {"pacs": servers.free_port()}, tables={"model": {"version": VERSION}})
            try:
                with node.running("read"):
                    for number in waiting[:: -1 if repetition % 2 else 1]:
                        rates[number].append(_rate(node, kind.part10, number, first, films))
            finally:
                node.engine.dispose()
    told = {number: figures.figure(taken, "films a second") for number, taken in rates.items()}
    return {
        **{f"{number} films waiting": one for number, one in told.items()},
        f"pace at {max(waiting)} / at {min(waiting)}": figures.ratio(told[max(waiting)], told[min(waiting)]),
    }


def _rate(node: Node, part10: bytes, number: int, first: int, films: int) -> float:
    """Let so many films wait, look how `films` of them are read after `first`, and take the rest away."""
    with node.engine.begin() as connection:
        before = connection.scalar(select(func.coalesce(func.max(film.c.id), 0)))
        connection.execute(insert(film), _rows(node, part10, number))
    ends = servers.wait_until(lambda: _ends(node, before, first + films), _WAIT_SECONDS, "films read")
    with node.engine.begin() as connection:
        left = (film.c.state == FilmState.QUEUED) & (film.c.attempts == 0)
        names = connection.scalars(select(film.c.spool_name).where(left)).all()
        connection.execute(delete(film).where(left))
    for one in names:
        (node.folder / "spool" / one).unlink()
    servers.wait_until(lambda: not _count(node, FilmState.READING), _WAIT_SECONDS, "films in hand read")
    return films / (ends[first + films - 1] - ends[first - 1]).total_seconds()


def _rows(node: Node, part10: bytes, number: int) -> list[dict[str, object]]:
    """Rows as a receiver writes them, each with a file of its own: hard links of one, to save the disk."""
    spool = Spool(node.folder / "spool")
    original = node.folder / "film.dcm"
    original.write_bytes(part10)
    now = datetime.datetime.now(datetime.UTC)
    rows = []
    for _ in range(number):
        stem = uuid.uuid4()
        name = f"films/{stem.hex[:2]}/{stem.hex}.dcm"
        os.link(original, spool.path(name))
        rows.append({
            "sop_instance_uid": f"2.25.{stem.int}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
            "study_instance_uid": f"2.25.{stem.int}", "accession_number": "", "modality": "CR",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1", "digest": stem.hex * 2, "size_bytes": len(part10),
            "spool_name": name, "calling_ae_title": "MODALITY", "called_ae_title": "FIRSTREAD",
            "peer_address": "127.0.0.1", "state": FilmState.QUEUED, "received_at": now, "changed_at": now,
        })  # fmt: skip
    original.unlink()
    return rows


def _ends(node: Node, before: int, wanted: int) -> list[datetime.datetime] | None:
    """When films numbered above `before` were read, in order; None while there are fewer than `wanted`."""
    query = select(film.c.changed_at).where(film.c.id > before, film.c.state == FilmState.READ)
    with database.reading(node.engine) as connection:
        ends = sorted(connection.scalars(query))
    return ends if len(ends) >= wanted else None


def _count(node: Node, state: FilmState) -> int:
    with database.reading(node.engine) as connection:
        return connection.scalar(select(func.count()).select_from(film).where(film.c.state == state))
