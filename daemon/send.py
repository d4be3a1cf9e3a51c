"""The send loop: results to their destinations, each object's status kept."""

import dataclasses
import datetime
import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import channels, commitment_scu, logs, metrics, routing, service
from daemon.channels import Channel
from daemon.config import Destination, commits
from daemon.ledger import Ledger
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from storage import commitments, deliveries, destinations
from storage.deliveries import Delivery, Finished
from storage.spool import Spool, SpoolUnavailable
from storage.states import DeliveryState
from storage.wakeup import Wakeup

POLL_SECONDS = 0.25
# Longer than a probe lasts at its worst: connection, negotiation, one object and its answer.
LEASE = datetime.timedelta(minutes=5)
RENEW_SECONDS = 30.0
# How often it is noted that a destination that is UP takes results.
NOTE_SECONDS = 1.0
BATCH = 64
_LOGGER = logging.getLogger("firstread.send")


@dataclasses.dataclass(frozen=True)
class Fault:
    """An object was not sent for a reason on our side; later."""

    reason: str
    status: None = None

    def __str__(self) -> str:
        return self.reason


Outcome = Accepted | NotTaken | PeerRefused | Fault


class SendLoop:
    """Delivers to one destination, so that a slow one never holds up another."""

    def __init__(self, ae_title: str, destination: Destination, engine: Engine, spool: Spool) -> None:
        self._ae_title = ae_title
        self._destination = destination
        self._name = destination.name
        self._engine = engine
        self._spool = spool
        self._claimant = service.claimant(f"send-{destination.name[:16]}")
        self._is_unsure = False
        self._noted = -NOTE_SECONDS
        self._kept = channels.Kept(ae_title, destination)
        self._ledger = Ledger(engine, self._claimant, self._tell)
        self._wakeup = Wakeup(engine, DeliveryState.PENDING)
        self._shall_reconnect = threading.Event()

    def reconnect(self) -> None:
        """Use no channel any longer that is open now: certificates or secrets may be others."""
        self._shall_reconnect.set()

    def run(self, stop: threading.Event, once: bool, beat: Callable[[], None]) -> None:
        """Deliver until `stop`, or with `once` until nothing is due or the destination is down."""
        try:
            while not stop.is_set():
                try:
                    with logs.about(destination=self._name):
                        is_done = self._pass(stop)
                except SQLAlchemyError as error:
                    _LOGGER.error("%s: database: %s", self._name, service.first_line(error))
                    self._is_unsure = True
                    is_done = False
                beat()
                if not is_done:
                    if once:
                        return
                    self._kept.tend()
                    self._wakeup.wait(stop, POLL_SECONDS)
        finally:
            self._kept.close()
            self._ledger.close()
            self._wakeup.close()

    def _pass(self, stop: threading.Event) -> bool:
        """Deliver one batch and ask for commitment to what was sent; whether there was anything to do."""
        now = service.now()
        if self._shall_reconnect.is_set():
            self._shall_reconnect.clear()
            self._kept.close()
        if self._is_unsure:
            # What was claimed when the database went away is in nobody's hands; it need not wait to lapse.
            deliveries.release_claims(self._engine, lambda name: name == self._claimant, now)
            destinations.release_probe(self._engine, self._name, self._claimant)
            self._is_unsure = False
        classes = deliveries.due_classes(self._engine, self._name, now)
        is_asking = commits(self._destination) and commitments.is_due(self._engine, self._name, now)
        if not classes and not is_asking:
            return False
        limit = destinations.admit(
            self._engine, self._name, self._claimant, BATCH, service.is_gone, now, now + LEASE
        )
        if not limit:
            return False
        try:
            if classes:
                self._deliver(classes, limit, stop)
            if is_asking and (limit > 1 or not classes):
                self._ask(limit, stop)
        except PeerUnavailable as error:
            self._went_down(str(error))
        finally:
            # A probe that told something of the peer has ended already.
            if limit == 1:
                destinations.release_probe(self._engine, self._name, self._claimant)
        return True

    def _deliver(self, classes: set[str], limit: int, stop: threading.Event) -> None:
        """Send up to `limit` results on one channel, open before any of them is claimed.

        Raises
        ------
        PeerUnavailable
            If there is no channel, or it ended or ran out of resources before its last object.
        """
        took, judged, trouble = False, False, None
        with self._kept.open(classes) as channel:
            now, renewed = service.now(), time.monotonic()
            left = deliveries.claim(
                self._engine, self._name, self._claimant, limit, now, now + LEASE, classes
            )
            try:
                while left and not stop.is_set() and trouble is None:
                    if time.monotonic() - renewed > RENEW_SECONDS:
                        renewed, ids = time.monotonic(), [one.id for one in left]
                        deliveries.renew(self._engine, ids, self._claimant, service.now() + LEASE)
                    one, *left = left
                    with logs.about(job=one.film_id, sop_instance_uid=one.sop_instance_uid):
                        outcome = self._send(channel, one)
                    self._ledger.enter(self._judged(one, outcome))
                    took = took or isinstance(outcome, Accepted)
                    judged = judged or isinstance(outcome, Accepted | PeerRefused)
                    trouble = outcome if isinstance(outcome, NotTaken) else None
            finally:
                self._ledger.settle()
            if left:
                why = f"its turn did not come: {trouble or 'the sender was stopped'}"
                deliveries.put_back(self._engine, left, self._claimant, service.now(), why)
            if judged:
                self._answered(took, is_probe=limit == 1)
            if trouble is not None:
                raise PeerUnavailable(str(trouble))

    def _send(self, channel: Channel, one: Delivery) -> Outcome:
        """Outcome of one object; the one broad except of the send loop."""
        if not routing.takes(self._destination, one.kind, one.sop_class_uid):
            return PeerRefused(
                f"not sent: a destination of kind {self._destination.kind} takes no {one.kind}"
            )
        began = time.monotonic()
        try:
            with self._spool.local(one.spool_name) as path:
                accepted = channel.send(one, path)
        except (NotTaken, PeerRefused) as error:
            return error
        except SpoolUnavailable as error:
            return Fault(f"not sent: {error}")
        except Exception as error:
            _LOGGER.exception("job %d: %s: a fault of ours", one.film_id, one.kind)
            return Fault(f"not sent, a fault of ours: {logs.place(error)}")
        metrics.took("delivery", time.monotonic() - began, self._name)
        return accepted

    def _judged(self, one: Delivery, outcome: Outcome) -> Finished:
        now, commitment_due_at = service.now(), None
        match outcome:
            case Accepted():
                state, reason = DeliveryState.SENT, outcome.warning
                commitment_due_at = now if commits(self._destination) else None
            case PeerRefused():
                state, reason = DeliveryState.FAILED, str(outcome)
            case _:
                state, reason = DeliveryState.PENDING, str(outcome)
                if one.created_at < self._given_up_before(now):
                    state, reason = DeliveryState.FAILED, self._given_up(reason)
        return Finished(one, state, now, outcome.status, reason, commitment_due_at)

    def _tell(self, end: Finished, is_committed: bool) -> None:
        one, status = end.delivery, end.peer_status
        with logs.about(destination=self._name, job=one.film_id, sop_instance_uid=one.sop_instance_uid):
            if not is_committed:
                _LOGGER.warning("job %d: %s: no longer SENDING by %s", one.film_id, one.kind, self._claimant)
                return
            metrics.delivery_moved(self._name, end.state)
            _LOGGER.log(
                logging.INFO if end.state == DeliveryState.SENT else logging.WARNING,
                "job %d: %s %s to %s: %s %s", one.film_id, one.kind, one.sop_instance_uid,
                self._name, end.state, "" if status is None else f"0x{status:04X}",
            )  # fmt: skip

    def _ask(self, limit: int, stop: threading.Event) -> None:
        """Ask for storage commitment; results that are due end the wait for its report.

        Raises
        ------
        PeerUnavailable
            If there is no association.
        """
        # A peer may take one association of us at a time.
        self._kept.close()
        loop = commitment_scu.Asking(self._engine, self._ae_title, self._destination, self._claimant)
        if loop.ask(
            limit,
            lambda: stop.is_set() or bool(deliveries.due_classes(self._engine, self._name, service.now())),
        ):
            self._answered(False, is_probe=limit == 1)

    def _answered(self, took: bool, is_probe: bool) -> None:
        if not is_probe and time.monotonic() - self._noted < NOTE_SECONDS:
            return
        self._noted, now = time.monotonic(), service.now()
        if destinations.answered(self._engine, self._name, now, took):
            woken = destinations.wake(self._engine, self._name, now)
            _LOGGER.info("%s: is back; %d results that waited for it are due", self._name, woken)

    def _went_down(self, error: str) -> None:
        now = service.now()
        destinations.went_down(self._engine, self._name, self._claimant, now, error)
        given_up = deliveries.give_up(
            self._engine, self._name, self._given_up_before(now), self._claimant, now, self._given_up(error)
        )
        _LOGGER.warning("%s: takes nothing now; %d results given up", self._name, given_up)

    def _given_up_before(self, now: datetime.datetime) -> datetime.datetime:
        return now - datetime.timedelta(hours=self._destination.give_up_hours)

    def _given_up(self, reason: str) -> str:
        return f"given up after {self._destination.give_up_hours:g} hours: {reason}"
