"""Where the result of one film is: one sentence first, then what it rests on, and words for the phone."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daemon.console import signs
from daemon.console.signs import Sign
from daemon.results import kinds
from storage.states import DeliveryState, FilmState

KIND_WORDS = {
    kinds.SECONDARY_CAPTURE: "picture",
    kinds.OVERLAY: "overlay picture",
    kinds.REFUSED_CAPTURE: "picture of the refusal",
    kinds.STRUCTURED_REPORT: "report",
    kinds.NOT_ANALYSED: "report of the refusal",
    kinds.PRESENTATION_STATE: "presentation state",
    kinds.SEGMENTATION: "segmentation",
    kinds.PDF: "PDF",
    kinds.KEY_OBJECT: "key object",
    kinds.OBSERVATION_MESSAGE: "HL7 message",
    kinds.NOTIFICATION: "notification",
}
DELIVERY_SIGNS = {
    DeliveryState.PENDING: Sign("clock", DeliveryState.PENDING),
    DeliveryState.SENDING: Sign("play", DeliveryState.SENDING),
    DeliveryState.SENT: Sign("ok", DeliveryState.SENT),
    DeliveryState.COMMITTED: Sign("committed", DeliveryState.COMMITTED),
    DeliveryState.FAILED: Sign("bang", DeliveryState.FAILED, "urgent"),
}
_THERE = (DeliveryState.SENT, DeliveryState.COMMITTED)


@dataclasses.dataclass(frozen=True)
class Place:
    """Results of one state at one destination."""

    destination: str
    sign: Sign
    words: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is said of one film.

    Parameters
    ----------
    sentence : str
    troubles : list of Sign
        What is not as it should be, each in a sentence.
    places : list of Place
    objects : list of (str, str)
        Kind in words and *SOP Instance UID* of each result.
    can_requeue : str
        What a requeue would send or read again; empty for nothing.
    """

    sentence: str
    troubles: list[Sign]
    places: list[Place]
    objects: list[tuple[str, str]]
    can_requeue: str

    def text(self, film: Any, now: datetime.datetime) -> str:
        """For the phone and for a mail; no patient identity."""
        lines = [
            f"Accession {film.accession_number or 'none'}, Firstread job {film.id}",
            self.sentence,
            *(trouble.words for trouble in self.troubles),
            *(f"{place.destination}: {place.sign.words}, {place.words}" for place in self.places),
            f"Film received {signs.clock(film.received_at, now)} from {film.calling_ae_title}",
            f"Study {film.study_instance_uid}",
            *(f"{kind} {uid}" for kind, uid in self.objects),
        ]
        return "\n".join(lines)


def answer(
    film: Any,
    deliveries: Sequence[Any],
    events: Iterable[Any],
    down: Mapping[str, str],
    now: datetime.datetime,
) -> Answer:
    """Say where the results of a film are.

    Parameters
    ----------
    film, deliveries, events
        Rows of its job.
    down : mapping of str to str
        Of each destination that takes nothing, what is said of it.
    """
    places = signs.by_destination(deliveries)
    reached = {(row.delivery_id, row.to_state): row.at for row in events if row.delivery_id}
    troubles = [trouble for rows in places.values() for trouble in _troubles(rows, down, now)]
    return Answer(
        _sentence(film, places, reached, now),
        troubles,
        [place for rows in places.values() for place in _places(rows)],
        list(dict.fromkeys((_kind(row), row.sop_instance_uid) for rows in places.values() for row in rows)),
        _can_requeue(film, deliveries),
    )


def _sentence(
    film: Any,
    places: Mapping[str, Sequence[Any]],
    reached: Mapping[tuple[int, str], datetime.datetime],
    now: datetime.datetime,
) -> str:
    changed = signs.clock(film.changed_at, now)
    if film.withdrawn_at is not None:
        return f"The results were withdrawn {signs.clock(film.withdrawn_at, now)}."
    if places and film.state in (FilmState.READ, FilmState.SKIPPED):
        return _whereabouts(film, places, reached, now)
    return {
        FilmState.QUEUED: f"The film waits to be read since {changed}.",
        FilmState.READING: f"The film is being read since {changed}.",
        FilmState.READ: f"The film was read {changed}; no destination is to get its results.",
        FilmState.SKIPPED: f"The film was not analysed, and no result was sent: {film.reason}.",
        FilmState.FAILED: f"The film could not be read, and no result was sent: {film.reason}.",
    }[film.state]


def _whereabouts(
    film: Any,
    places: Mapping[str, Sequence[Any]],
    reached: Mapping[tuple[int, str], datetime.datetime],
    now: datetime.datetime,
) -> str:
    """Where results are, and since when."""
    thing = "result" if film.state == FilmState.READ else "reason why the film was not analysed"
    there = [name for name, rows in places.items() if all(row.state in _THERE for row in rows)]
    subject = f"The {thing} is"
    if not there:
        there = [name for name, rows in places.items() if any(row.state in _THERE for row in rows)]
        subject = f"Part of the {thing} is"
    if not there:
        return f"The {thing} is in no destination yet."
    rows = [row for name in there for row in places[name] if row.state in _THERE]
    since = max(reached.get((row.id, DeliveryState.SENT), row.changed_at) for row in rows)
    sentence = f"{subject} in {' and '.join(there)} since {signs.clock(since, now)}"
    if all(row.state == DeliveryState.COMMITTED for row in rows):
        sentence += f", confirmed {signs.clock(max(row.changed_at for row in rows), now)}"
    return f"{sentence}."


def _troubles(rows: Sequence[Any], down: Mapping[str, str], now: datetime.datetime) -> Iterable[Sign]:
    name = rows[0].destination
    for row in rows:
        if row.state == DeliveryState.FAILED:
            yield Sign("bang", f"The {_kind(row)} did not reach {name}: {row.reason}.", "urgent")
    waiting = [row for row in rows if row.state == DeliveryState.PENDING]
    if waiting and name in down:
        yield Sign("pause", f"{name} {down[name]}. {_listed(waiting)} waits for it.", "caution")
    else:
        for row in waiting:
            if row.attempts:
                again = signs.clock(row.next_attempt_at, now)
                words = f"{name} did not take the {_kind(row)} yet: {row.reason}. Next try {again}."
                yield Sign("retry", words, "caution")


def _places(rows: Sequence[Any]) -> Iterable[Place]:
    """What is at one destination, the results of one state and status together."""
    together: dict[tuple[str, int | None], list[Any]] = {}
    for row in rows:
        together.setdefault((row.state, row.peer_status), []).append(row)
    for (state, status), some in together.items():
        words = _listed(some)
        if status is not None:
            words += f", status 0x{status:04X}"
        if state == DeliveryState.FAILED:
            tries = max(row.attempts for row in some)
            words += f", {tries} tr{'y' if tries == 1 else 'ies'}, not tried again"
        yield Place(rows[0].destination, DELIVERY_SIGNS[state], words)


def _can_requeue(film: Any, deliveries: Iterable[Any]) -> str:
    failed = [row for row in deliveries if row.state == DeliveryState.FAILED]
    if failed:
        return f"{_listed(failed)} to {', '.join(dict.fromkeys(row.destination for row in failed))}"
    if film.state in (FilmState.FAILED, FilmState.SKIPPED) and film.files_removed_at is None:
        return "the film"
    return ""


def _listed(rows: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(_kind(row) for row in rows))


def _kind(row: Any) -> str:
    return KIND_WORDS.get(row.kind, row.kind)
