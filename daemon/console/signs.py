"""What lists say of a film and its results: a glyph, words and how loud, never a colour alone."""

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from daemon.results.kept import Kept, ThresholdsUnknown, kept
from daemon.results.wording import headline, headline_with_score
from model.scope import REFUSALS
from storage.deliveries import NOTE
from storage.states import DeliveryState, FilmState

# Refusals of the picture itself: someone expected an answer. What a rule skips, nobody waits for.
OF_THE_PICTURE = ("BLANK", "NOT_PLAUSIBLE", "ROTATED", "POLARITY_INVERTED", "LUNGS_MISSING")


@dataclasses.dataclass(frozen=True)
class Sign:
    """A state as it is shown.

    Parameters
    ----------
    icon : str
        Glyph of ``static/icons.svg``; empty for none.
    words : str
    level : str
        ``urgent``: a person must act or look first; ``caution``: look, wait or doubt; ``dim``; or empty.
    more : str
        Further words on a line of their own.
    """

    icon: str
    words: str
    level: str = ""
    more: str = ""


FILM_SIGNS = {
    FilmState.QUEUED: Sign("clock", FilmState.QUEUED),
    FilmState.READING: Sign("play", FilmState.READING),
    FilmState.READ: Sign("ok", FilmState.READ),
    FilmState.SKIPPED: Sign("slash", FilmState.SKIPPED),
    FilmState.FAILED: Sign("bang", FilmState.FAILED, "urgent"),
}


def clock(at: datetime.datetime, now: datetime.datetime) -> str:
    """A time of this machine's zone: of today the time alone, of this year without the year."""
    local, today = at.astimezone(), now.astimezone()
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%-d %b %H:%M" if local.year == today.year else "%-d %b %Y %H:%M")


def duration(waited: datetime.timedelta) -> str:
    """Minutes, or hours and minutes."""
    minutes = max(0, int(waited.total_seconds() // 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02}"


def is_skipped_by_rule(film: Any) -> bool:
    """Whether a film ended as one that nobody expects an answer to: a lateral, a hand, a result of ours."""
    code = film.reason.partition(":")[0]
    return film.state == FilmState.SKIPPED and code in REFUSALS and code not in OF_THE_PICTURE


def film_sign(film: Any) -> Sign:
    """State of a film's job."""
    sign = FILM_SIGNS[film.state]
    if film.state == FilmState.SKIPPED and not is_skipped_by_rule(film):
        return dataclasses.replace(sign, level="caution")
    return sign


def reading_of(film: Any) -> Kept | None:
    """The reading of a film that is READ; None if its model is no longer installed."""
    try:
        return kept(film.reading)
    except ThresholdsUnknown:
        return None


def outcome(film: Any) -> Sign:
    """Reading or reason, in the results' words."""
    if film.state == FilmState.READ:
        reading = reading_of(film)
        if reading is None:
            return Sign("", f"{film.decision}, read by {film.reading['model']} {film.reading['version']}")
        if reading.decision.indeterminate:
            return Sign("question", headline(reading), "caution")
        return Sign("", headline_with_score(reading).removeprefix("Highest model score: "))
    if film.state == FilmState.SKIPPED:
        code, _, found = film.reason.partition(": ")
        said = REFUSALS.get(code)
        return Sign("", f"Not analysed: {said}; {found}" if said else film.reason)
    return Sign("", film.reason)


def status_text(peer_status: int | None) -> str:
    """A peer's status as the standard writes it; empty for none and for success."""
    return f"0x{peer_status:04X}" if peer_status else ""


def at_destination(name: str, rows: Sequence[Any], is_down: bool, now: datetime.datetime) -> Sign:
    """Where a film's results for one destination are: the one that is worst off tells."""
    worst = min(rows, key=lambda row: _WORST.index(row.state))
    status = status_text(worst.peer_status)
    match worst.state:
        case DeliveryState.FAILED:
            return Sign("bang", f"{name} {status or 'FAILED'}", "urgent")
        case DeliveryState.PENDING if is_down:
            return Sign("pause", f"{name} paused", "caution")
        case DeliveryState.PENDING if worst.attempts:
            again = clock(worst.next_attempt_at, now)
            return Sign(
                "retry", f"{name} {status} {again}".replace("  ", " "), "caution", f"try {worst.attempts + 1}"
            )
        case DeliveryState.COMMITTED:
            return Sign("committed", name)
        case DeliveryState.SENT:
            return Sign("ok", name)
    return Sign("clock", name, "dim")


_WORST = [
    DeliveryState.FAILED,
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.SENT,
    DeliveryState.COMMITTED,
]


def by_destination(deliveries: Iterable[Any]) -> dict[str, list[Any]]:
    """The results on their way to each destination, without notes that reject them."""
    found: dict[str, list[Any]] = {}
    for row in deliveries:
        if row.kind != NOTE:
            found.setdefault(row.destination, []).append(row)
    return found


def delivery_signs(
    film: Any, deliveries: Iterable[Any], down: Collection[str], now: datetime.datetime
) -> list[Sign]:
    """One sign for each destination of a film's results."""
    if film.withdrawn_at is not None:
        return [Sign("undo", f"withdrawn {clock(film.withdrawn_at, now)}", "caution")]
    if film.state in (FilmState.QUEUED, FilmState.READING):
        return [Sign("clock", "after reading", "dim")]
    rows = by_destination(deliveries)
    if not rows:
        return [Sign("", "nothing to send", "dim")]
    return [at_destination(name, of, name in down, now) for name, of in rows.items()]


def results_sign(film: Any, deliveries: Iterable[Any], down: Collection[str], now: datetime.datetime) -> Sign:
    """All results of a film in one sign, for the triage list."""
    rows = by_destination(deliveries)
    signs = delivery_signs(film, deliveries, down, now)
    if film.withdrawn_at is not None or not rows:
        return dataclasses.replace(signs[0], words=_capitalised(signs[0].words))
    worst = min(signs, key=lambda sign: _LOUDEST.index(sign.icon))
    several = len(signs) > 1
    if worst.icon == "bang":
        failed = sum(sign.icon == "bang" for sign in signs)
        return Sign(
            "bang", f"{failed} of {len(signs)} failed" if several else "Failed", "urgent", worst.words
        )
    if worst.icon == "retry":
        return Sign("retry", f"Retry: {worst.words}", "caution", worst.more)
    if worst.icon == "pause":
        return Sign("pause", worst.words, "caution")
    names = ", ".join(rows)
    if worst.icon == "clock":
        return Sign("clock", f"Waiting for {worst.words}", "dim")
    return Sign(worst.icon, f"In {names}" if film.state == FilmState.READ else f"Reason in {names}")


_LOUDEST = ["bang", "pause", "retry", "clock", "ok", "committed"]


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]
