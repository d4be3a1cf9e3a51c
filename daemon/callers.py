"""Who associates with us and who is turned away: told at once, and by the receiver's heartbeat."""

import datetime
import itertools
import json
import logging
import threading
from weakref import WeakKeyDictionary

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import Event

from daemon import service
from model.header import printable

_LOGGER = logging.getLogger("firstread.receive")
# Callers that are told; of more the ones heard of last.
MOST = 32


class Callers:
    """Counts of each calling AE title since the start, for the latest `MOST` of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started_at = service.now()
        self._numbers = itertools.count(1)
        self._begun: WeakKeyDictionary[Association, tuple[int, datetime.datetime]] = WeakKeyDictionary()
        self._rejected: dict[str, tuple[int, str, datetime.datetime]] = {}
        self._last: dict[str, datetime.datetime] = {}
        self.rejections = 0

    def number(self, assoc: Association) -> int:
        """The association's number in this process."""
        with self._lock:
            if assoc not in self._begun:
                self._begun[assoc] = next(self._numbers), service.now()
            return self._begun[assoc][0]

    def came(self, assoc: Association) -> None:
        """An association was established."""
        self.number(assoc)
        with self._lock:
            self._heard(self._last, assoc.requestor.ae_title, service.now())

    def was_rejected(self, calling_ae_title: str, why: str) -> None:
        """An association was rejected (PS3.8 9.3.4)."""
        with self._lock:
            self.rejections += 1
            count = self._rejected.get(calling_ae_title, (0, "", None))[0] + 1
            self._heard(self._rejected, calling_ae_title, (count, why, service.now()))

    @staticmethod
    def _heard(of: dict, calling_ae_title: str, what: object) -> None:
        of.pop(calling_ae_title, None)
        of[calling_ae_title] = what
        while len(of) > MOST:
            del of[next(iter(of))]

    def note(self, active: list[Association], most: int, trouble: str) -> str:
        """What the heartbeat says: a JSON object that `daemon.notes` reads; `trouble` keeps films out."""
        with self._lock:
            opened: dict[str, list[datetime.datetime]] = {}
            for assoc in active:
                if assoc in self._begun:
                    opened.setdefault(assoc.requestor.ae_title, []).append(self._begun[assoc][1])
            names = list(dict.fromkeys([*opened, *reversed(self._rejected), *reversed(self._last)]))[:MOST]
            callers = []
            for name in names:
                count, why, rejected_at = self._rejected.get(name, (0, "", None))
                heard = max(filter(None, (self._last.get(name), rejected_at)), default=None)
                callers.append(
                    {
                        "ae_title": name,
                        "open": len(opened.get(name, ())),
                        "since": min(opened[name]).isoformat() if name in opened else None,
                        "last": heard.isoformat() if heard else None,
                        "rejected": count,
                        "why": why,
                    }
                )
        return json.dumps(
            {
                "started_at": self._started_at.isoformat(),
                "open": len(active),
                "most": most,
                "rejected": self.rejections,
                "trouble": trouble,
                "callers": callers,
            }
        )


class Rejections:
    """Associations turned away: each told with its caller, and counted."""

    def __init__(self, ae: AE, callers: Callers) -> None:
        self._ae = ae
        self._callers = callers

    def tell(self, event: Event) -> None:
        """Handler of EVT_REJECTED."""
        requestor = event.assoc.requestor
        allowed = self._ae.require_calling_aet
        if allowed and requestor.ae_title not in allowed:
            why = "not on the list of callers"
        elif len(self._ae.active_associations) > self._ae.maximum_associations:
            why = "too many associations"
        else:
            why = "its share of associations, or another called AE title"
        self._callers.was_rejected(printable(requestor.ae_title), why)
        _LOGGER.warning(
            "association rejected: %r called %r from %s; %d associations open, at most %d; callers: %s",
            requestor.ae_title, requestor.primitive.called_ae_title, requestor.address,
            len(self._ae.active_associations) - 1, self._ae.maximum_associations,
            ", ".join(self._ae.require_calling_aet) or "all",
        )  # fmt: skip
