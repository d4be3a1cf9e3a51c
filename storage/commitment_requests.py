"""Requests to commit to stored films, and what can be said of them (PS3.4 annex J).

A request is a file beside the films, not a row: it lives for seconds, one process has to do with it, and
all that it needs to outlive is that process.
"""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, select

from storage import database, durable
from storage.spool import Spool
from storage.tables import film

# PS3.3 C.14.1.1 Failure Reason.
NO_SUCH_OBJECT_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
_UIDS_A_QUERY = 500


@dataclasses.dataclass(frozen=True)
class Reference:
    """A film by SOP class and instance."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclasses.dataclass(frozen=True)
class CommitmentRequest:
    """What a peer asks us to commit to; no patient identity among it.

    Parameters
    ----------
    transaction_uid : str
        The peer's.
    ae_title : str
        Who asks.
    references : tuple of Reference
    requested_at : datetime.datetime
    """

    transaction_uid: str
    ae_title: str
    references: tuple[Reference, ...]
    requested_at: datetime.datetime

    @property
    def name(self) -> str:
        """The same for the same transaction of the same peer."""
        return hashlib.sha256(f"{self.ae_title}\\{self.transaction_uid}".encode()).hexdigest()


class CommitmentRequests:
    """Requests that have been accepted and not yet been reported on.

    Parameters
    ----------
    folder : Path
        Made if absent; on the file system of the spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, request: CommitmentRequest) -> None:
        """Make a request durable."""
        temporary = self._folder / f"{request.name}.part"
        content = json.dumps(dataclasses.asdict(request), default=str).encode()
        durable.write(self._folder / f"{request.name}.json", content, temporary)

    def pending(self) -> list[CommitmentRequest]:
        """All requests, oldest first."""
        found = []
        for path in self._folder.glob("*.json"):
            kept = json.loads(path.read_text(encoding="utf-8"))
            kept["references"] = tuple(Reference(**one) for one in kept["references"])
            kept["requested_at"] = datetime.datetime.fromisoformat(kept["requested_at"])
            found.append(CommitmentRequest(**kept))
        return sorted(found, key=lambda request: request.requested_at)

    def discard(self, request: CommitmentRequest) -> None:
        """Forget a request that has been reported on, or never can be."""
        (self._folder / f"{request.name}.json").unlink(missing_ok=True)


def failures(engine: Engine, spool: Spool, references: Sequence[Reference]) -> dict[Reference, int]:
    """References that we do not hold, each with its Failure Reason.

    Held is what has a job row of this class and its bytes in the spool, at this moment.

    Raises
    ------
    storage.spool.SpoolUnavailable
        If that cannot be known now.
    """
    classes: dict[str, set[str]] = {}
    uids = sorted({one.sop_instance_uid for one in references})
    with database.reading(engine) as connection:
        for at in range(0, len(uids), _UIDS_A_QUERY):
            rows = connection.execute(
                select(film.c.sop_instance_uid, film.c.sop_class_uid, film.c.spool_name).where(
                    film.c.sop_instance_uid.in_(uids[at : at + _UIDS_A_QUERY])
                )
            ).all()
            for row in rows:
                if spool.has(row.spool_name):
                    classes.setdefault(row.sop_instance_uid, set()).add(row.sop_class_uid)
    found = {}
    for one in references:
        held = classes.get(one.sop_instance_uid)
        if held is None:
            found[one] = NO_SUCH_OBJECT_INSTANCE
        elif one.sop_class_uid not in held:
            found[one] = CLASS_INSTANCE_CONFLICT
    return found
