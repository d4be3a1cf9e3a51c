"""What became of an object that was sent to a destination, and how long that may last, in any protocol."""

import dataclasses

CONNECTION_TIMEOUT_SECONDS = 10.0
RESPONSE_TIMEOUT_SECONDS = 60.0


class PeerUnavailable(ConnectionError):
    """The peer cannot be reached; later."""


class NotTaken(ConnectionError):
    """The peer was reached and could not take this object now; later, with the same UID."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PeerRefused(RuntimeError):
    """The peer will never take what it was sent as it is; a person has to look."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The peer holds the object, perhaps with a warning.

    Parameters
    ----------
    status : int or None
        DICOM status (PS3.7 annex C); None in a protocol that has none.
    warning : str
        Empty if there was none.
    """

    status: int | None
    warning: str
