"""Jobs as lines: of the page's table, and of a file for a spreadsheet."""

import csv as csv_file
import dataclasses
import datetime
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from daemon.console import signs
from daemon.console.signs import Sign
from storage.states import DeliveryState, FilmState

LEGEND = (
    Sign("committed", DeliveryState.COMMITTED, "", "peer confirmed safekeeping"),
    Sign("ok", DeliveryState.SENT, "", "peer said success"),
    Sign("retry", DeliveryState.PENDING, "", "will be tried again"),
    Sign("pause", DeliveryState.PENDING, "", "destination paused"),
    Sign("bang", DeliveryState.FAILED, "", "needs a person"),
    Sign("slash", FilmState.SKIPPED, "", "not our kind of film, reason given"),
)
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HEAD = (
    "job", "received_at", "accession_number", "modality", "view_position", "sender", "state", "said", "tries",
    "deliveries", "sop_instance_uid", "study_instance_uid",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the table."""

    job: int
    received: str
    accession_number: str
    modality: str
    view_position: str
    sender: str
    state: Sign
    said: Sign
    deliveries: list[Sign]
    tries: int
    seconds: str
    can_requeue: bool


def line(film: Any, sent: Sequence[Any], down: Collection[str], now: datetime.datetime) -> Line:
    """A job as it stands now."""
    has_failed = any(row.state == DeliveryState.FAILED for row in sent)
    is_at_end = film.state in (FilmState.FAILED, FilmState.SKIPPED) and film.files_removed_at is None
    return Line(
        film.id,
        signs.clock(film.received_at, now),
        film.accession_number,
        film.modality,
        film.view_position or "no view",
        film.calling_ae_title,
        signs.film_sign(film),
        signs.outcome(film),
        signs.delivery_signs(film, sent, down, now),
        film.attempts,
        _seconds(film, sent),
        has_failed or is_at_end,
    )


def _seconds(film: Any, sent: Sequence[Any]) -> str:
    """From the film's last byte to the end of its reading; empty before, and where that is not known."""
    read_at = min((row.created_at for row in sent), default=None)
    if read_at is None and film.state in (FilmState.READ, FilmState.SKIPPED):
        read_at = film.changed_at
    seconds = (read_at - film.received_at).total_seconds() if read_at else -1.0
    return f"{seconds:.2f}" if 0 <= seconds < 1000 else ""


def csv(loaded: Iterable[tuple[Any, Sequence[Any]]]) -> Iterator[str]:
    """Lines of a CSV file (RFC 4180); before what a spreadsheet would take for a formula stands ``'``."""
    buffer = io.StringIO()
    writer = csv_file.writer(buffer)
    writer.writerow(_HEAD)
    for film, sent in loaded:
        row = (
            film.id, film.received_at.astimezone().isoformat(timespec="seconds"), film.accession_number,
            film.modality, film.view_position, film.calling_ae_title, film.state, signs.outcome(film).words,
            film.attempts, "; ".join(_delivery(one) for one in sent), film.sop_instance_uid,
            film.study_instance_uid,
        )  # fmt: skip
        writer.writerow([_harmless(cell) for cell in row])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _delivery(row: Any) -> str:
    return f"{row.kind} {row.destination} {row.state} {signs.status_text(row.peer_status)}".rstrip()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
