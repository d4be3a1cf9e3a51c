"""The life cycles of a film's job and of a delivery, users' roles. Every other list is made from these."""

from collections.abc import Collection, Mapping
from enum import IntEnum, StrEnum


class FilmState(StrEnum):
    """Where a received film is on its way through the node."""

    QUEUED = "QUEUED"
    READING = "READING"
    READ = "READ"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


class DeliveryState(StrEnum):
    """Where one result is on its way to one destination."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"


class DestinationState(StrEnum):
    """Whether a destination takes results: a circuit breaker's closed and open."""

    UP = "UP"
    DOWN = "DOWN"


class Opinion(StrEnum):
    """What a reader says of the leading possibility."""

    AGREE = "AGREE"
    DISAGREE = "DISAGREE"
    UNSURE = "UNSURE"


class Role(IntEnum):
    """What a user of the console may do; each may do what those before it may."""

    VIEWER = 1
    READER = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


class RetrievalState(StrEnum):
    """Where an instance that a backfill found in the archive is on its way here."""

    FOUND = "FOUND"
    ASKED = "ASKED"
    ARRIVED = "ARRIVED"
    KNOWN = "KNOWN"
    FAILED = "FAILED"


FILM_MOVES: dict[FilmState, frozenset[FilmState]] = {
    FilmState.QUEUED: frozenset({FilmState.READING, FilmState.FAILED}),
    FilmState.READING: frozenset({FilmState.READ, FilmState.SKIPPED, FilmState.FAILED, FilmState.QUEUED}),
    FilmState.READ: frozenset({FilmState.QUEUED}),
    FilmState.SKIPPED: frozenset({FilmState.QUEUED}),
    FilmState.FAILED: frozenset({FilmState.QUEUED}),
}

DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset({DeliveryState.SENDING, DeliveryState.FAILED}),
    DeliveryState.SENDING: frozenset({DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.PENDING}),
    DeliveryState.SENT: frozenset({DeliveryState.COMMITTED, DeliveryState.PENDING, DeliveryState.FAILED}),
    DeliveryState.COMMITTED: frozenset(),
    DeliveryState.FAILED: frozenset({DeliveryState.PENDING}),
}


class IllegalMove(ValueError):
    """A move that the life cycle does not have."""


class LostClaim(RuntimeError):
    """Someone else moved the row: the state or the claimant is no longer what the mover believed."""


def require_move(moves: Mapping[str, Collection[str]], from_state: str, to_state: str) -> None:
    """Raise IllegalMove unless `moves` lets `from_state` become `to_state`."""
    if to_state not in moves[from_state]:
        allowed = ", ".join(sorted(moves[from_state])) or "nothing, it is an end"
        raise IllegalMove(f"{from_state} to {to_state}, expected from {from_state}: {allowed}")
