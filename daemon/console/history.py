"""History and deliveries of a film in words."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from daemon.console.answer import DELIVERY_SIGNS, KIND_WORDS
from daemon.console.signs import FILM_SIGNS
from storage.deliveries import NOTE
from storage.states import DeliveryState, FilmState

# Statuses of C-STORE (PS3.4 table B.2-1, PS3.7 annex C); a mask where the last digits are the peer's own.
STATUSES = (
    (0x0000, 0xFFFF, "Success"),
    (0x0110, 0xFFFF, "Processing failure"),
    (0x0111, 0xFFFF, "Duplicate SOP instance"),
    (0x0112, 0xFFFF, "No such SOP instance"),
    (0x0117, 0xFFFF, "Invalid SOP instance"),
    (0x0118, 0xFFFF, "No such SOP class"),
    (0x0119, 0xFFFF, "Class and instance conflict"),
    (0x0122, 0xFFFF, "SOP class not supported"),
    (0x0124, 0xFFFF, "Not authorized"),
    (0x0131, 0xFFFF, "Failed: class not supported by commitment"),
    (0x0210, 0xFFFF, "Duplicate invocation"),
    (0x0211, 0xFFFF, "Unrecognized operation"),
    (0x0212, 0xFFFF, "Mistyped argument"),
    (0xA700, 0xFF00, "Refused: out of resources"),
    (0xA800, 0xFF00, "SOP class not supported"),
    (0xA900, 0xFF00, "Data set does not match SOP class"),
    (0xB000, 0xFFFF, "Warning: coercion of elements"),
    (0xB006, 0xFFFF, "Warning: elements discarded"),
    (0xB007, 0xFFFF, "Warning: data set does not match SOP class"),
    (0xB000, 0xF000, "Warning"),
    (0xC000, 0xF000, "Cannot understand"),
)
_SIGNS = {**FILM_SIGNS, **DELIVERY_SIGNS}


@dataclasses.dataclass
class Move:
    """A line of the history."""

    at: Any
    glyph: str
    state: str
    tone: str
    text: str


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A line of the table."""

    destination: str
    thing: str
    state: str
    glyph: str
    tone: str
    code: str
    meaning: str
    attempts: int
    at: Any


def _thing(kind: str) -> str:
    """A kind of result with its word."""
    return "rejection note" if kind == NOTE else f"{kind} {KIND_WORDS[kind]}"


def meaning(status: int) -> str:
    """What a peer's status says, in the standard's words."""
    return next((text for code, mask, text in STATUSES if status & mask == code), "Unknown status")


def delivery(row: Any) -> Delivery:
    """A result on its way to one destination."""
    said = row.reason
    if row.peer_status is not None:
        # What the row says after the status that has a column of its own: the peer's comment.
        comment = re.sub(r"^(warning, )?status 0x[0-9A-F]{4}(: )?", "", row.reason)
        said = f"{meaning(row.peer_status)}. {comment}" if comment else meaning(row.peer_status)
    return Delivery(
        row.destination,
        _thing(row.kind),
        row.state,
        _SIGNS[row.state].icon,
        "urgent" if row.state == DeliveryState.FAILED else "",
        "" if row.peer_status is None else f"0x{row.peer_status:04X}",
        said,
        row.attempts,
        row.changed_at.astimezone(),
    )


def moves(film: Any, rows: Iterable[Any]) -> list[Move]:
    """The history, oldest first; what several results of a film did alike, one after the other, is one line.

    That a delivery was made and that it was tried is left out: its end, or that it waits again, tells both.
    """
    lines: list[Move] = []
    before = None
    for row in rows:
        if row.delivery_id is None:
            before = None
            lines.append(_of_film(film, row))
        elif row.from_state is not None and row.to_state != DeliveryState.SENDING:
            thing, alike = _thing(row.kind), (row.to_state, row.destination, row.message)
            if alike == before:
                lines[-1].text += f", {thing}"
            else:
                lines.append(_of_delivery(row, thing))
            before = alike
    return lines


def _of_delivery(row: Any, thing: str) -> Move:
    tone = {DeliveryState.FAILED: "urgent", DeliveryState.PENDING: "caution"}.get(row.to_state, "")
    said = f"{row.message}; " if row.message else ""
    return Move(
        row.at.astimezone(), _SIGNS[row.to_state].icon, row.to_state, tone,
        f"{row.destination}: {said}{thing}",
    )  # fmt: skip


def _of_film(film: Any, row: Any) -> Move:
    state, who = row.to_state, row.who.partition(":")[0]
    is_doubtful = row.message.startswith("indeterminate")
    if row.from_state is None:
        told = [f"From {film.calling_ae_title}, {film.size_bytes / 1e6:.1f} MB", row.message]
    elif state == FilmState.READING:
        told = [f"Claimed by {who}"]
    else:
        told = [row.message, f"by {who}" if state == FilmState.QUEUED else ""]
    tone = "urgent" if state == FilmState.FAILED else "caution" if is_doubtful else ""
    glyph = (
        "question"
        if is_doubtful
        else _SIGNS[state].icon
        if state not in (FilmState.QUEUED, FilmState.READING)
        else "ok"
    )
    return Move(row.at.astimezone(), glyph, state, tone, ", ".join(filter(None, told)))
