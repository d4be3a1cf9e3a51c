"""Storage SCU: results to their destinations, each object's status kept."""

import dataclasses
import datetime
import logging
import threading
from collections.abc import Callable

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from daemon.config import Destination
from storage import deliveries
from storage.deliveries import Delivery
from storage.spool import Spool
from storage.states import DeliveryState, LostClaim

POLL_SECONDS = 0.25
LEASE = datetime.timedelta(minutes=5)
BATCH = 64
CONNECTION_TIMEOUT_SECONDS = 10.0
RESPONSE_TIMEOUT_SECONDS = 60.0
# PS3.4 table B.2-1; archives use the second for refusals of their own, told in the Error Comment.
OUT_OF_RESOURCES = 0xA700
SITE_REFUSAL = 0xA777
_LOGGER = logging.getLogger("firstread.send")


class PeerUnavailable(ConnectionError):
    """The peer cannot take the object now; later, with the same UID."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PeerRefused(RuntimeError):
    """The peer will never take the object as it is; a person has to look."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The peer holds the object, perhaps with a warning."""

    status: int
    warning: str


class SendLoop:
    """Delivers to one destination, so that a slow one never holds up another."""

    def __init__(self, ae_title: str, destination: Destination, engine: Engine, spool: Spool) -> None:
        self._ae_title = ae_title
        self._destination = destination
        self._engine = engine
        self._spool = spool
        self._claimant = service.claimant(f"send-{destination.name[:16]}")

    def run(self, stop: threading.Event, once: bool, beat: Callable[[], None]) -> None:
        """Deliver until `stop`, or with `once` until nothing is due."""
        while not stop.is_set():
            try:
                sent = self._deliver_batch(stop)
            except SQLAlchemyError as error:
                _LOGGER.error("%s: database: %s", self._destination.name, error)
                sent = 0
            beat()
            if not sent:
                if once:
                    return
                stop.wait(POLL_SECONDS)

    def _deliver_batch(self, stop: threading.Event) -> int:
        now = service.now()
        batch = deliveries.claim(
            self._engine, self._destination.name, self._claimant, BATCH, now, now + LEASE
        )
        if not batch:
            return 0
        try:
            assoc = associate(self._ae_title, self._destination, {one.sop_class_uid for one in batch})
        except PeerUnavailable as error:
            for one in batch:
                self._finish(one, error)
            return len(batch)
        try:
            for index, one in enumerate(batch):
                if stop.is_set():
                    self._finish(one, PeerUnavailable("the sender was stopped before its turn"))
                    continue
                remaining = [other.id for other in batch[index:]]
                deliveries.renew(self._engine, remaining, self._claimant, service.now() + LEASE)
                self._finish(one, self._store(assoc, one))
        finally:
            if assoc.is_established:
                assoc.release()
        return len(batch)

    def _store(self, assoc: Association, one: Delivery) -> Accepted | PeerUnavailable | PeerRefused:
        """Outcome of one C-STORE; the one broad except of the send loop."""
        try:
            return store(assoc, pydicom.dcmread(self._spool.path(one.spool_name)))
        except (PeerUnavailable, PeerRefused) as error:
            return error
        except Exception as error:
            _LOGGER.exception("job %d: %s: a fault of ours", one.film_id, one.kind)
            return PeerUnavailable(f"not sent, a fault of ours: {type(error).__name__}: {error}")

    def _finish(self, one: Delivery, outcome: Accepted | PeerUnavailable | PeerRefused) -> None:
        match outcome:
            case Accepted():
                state, reason = DeliveryState.SENT, outcome.warning
            case PeerRefused():
                state, reason = DeliveryState.FAILED, str(outcome)
            case PeerUnavailable():
                state, reason = DeliveryState.PENDING, str(outcome)
                limit = datetime.timedelta(hours=self._destination.give_up_hours)
                if service.now() - one.created_at > limit:
                    state = DeliveryState.FAILED
                    reason = f"given up after {self._destination.give_up_hours:g} hours: {reason}"
        try:
            deliveries.finish(self._engine, one, self._claimant, state, service.now(), outcome.status, reason)
        except LostClaim as error:
            _LOGGER.warning("%s", error)
            return
        _LOGGER.log(
            logging.INFO if state == DeliveryState.SENT else logging.WARNING,
            "job %d: %s %s to %s: %s %s", one.film_id, one.kind, one.sop_instance_uid,
            self._destination.name, state, "" if outcome.status is None else f"0x{outcome.status:04X}",
        )  # fmt: skip


def associate(ae_title: str, destination: Destination, sop_class_uids: set[str]) -> Association:
    """An established association that proposes each class in Explicit and Implicit VR Little Endian.

    Raises
    ------
    PeerUnavailable
        If the peer cannot be reached, does not answer, or rejects the association (PS3.8 9.3.4): also
        a permanent rejection, such as of an AE title not yet entered there, ends when its admin acts.
    """
    ae = AE(ae_title=ae_title)
    ae.connection_timeout = CONNECTION_TIMEOUT_SECONDS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = RESPONSE_TIMEOUT_SECONDS
    for uid in sorted(sop_class_uids):
        ae.add_requested_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    assoc = ae.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, service.disable_nagle)],
    )
    if assoc.is_established:
        return assoc
    place = f"{destination.ae_title} at {destination.host}:{destination.port}"
    if assoc.is_rejected:
        raise PeerUnavailable(f"{place} rejected the association: {assoc.acceptor.primitive.reason_str}")
    raise PeerUnavailable(f"no association with {place}")


def store(assoc: Association, ds: pydicom.FileDataset) -> Accepted:
    """Send one object and judge the peer's status (PS3.4 B.2.3).

    The object goes in the transfer syntax the peer accepted, whichever of the two uncompressed ones.

    Raises
    ------
    PeerRefused
        If no context was accepted for the class, or for any status not named here.
    PeerUnavailable
        If the status is A7xx (not A777), or the association ended without one.
    """
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    if ds.SOPClassUID not in accepted and assoc.is_established:
        raise PeerRefused(f"the peer accepted no presentation context for {ds.SOPClassUID.name}")
    if not assoc.is_established:
        raise PeerUnavailable("the association ended before this object")
    [context] = [one for one in assoc.accepted_contexts if one.abstract_syntax == ds.SOPClassUID]
    if context.transfer_syntax[0] == ImplicitVRLittleEndian:
        _encode_as_implicit(ds)
    answer = assoc.send_c_store(ds)
    if "Status" not in answer:
        raise PeerUnavailable("the association ended without a status for this object")
    status = answer.Status
    comment = str(answer.get("ErrorComment", "") or "")
    said = f"status 0x{status:04X}" + (f": {comment}" if comment else "")
    if status == 0x0000:
        return Accepted(status, "")
    if status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116):
        return Accepted(status, f"warning, {said}")
    if status & 0xFF00 == OUT_OF_RESOURCES and status != SITE_REFUSAL:
        raise PeerUnavailable(said, status)
    raise PeerRefused(said, status)


def _encode_as_implicit(ds: Dataset) -> None:
    """Let pydicom write a data set in Implicit VR with its values' bytes as they are.

    It would decode and encode every text otherwise, and names whose bytes do not fit their declared
    character set would not survive that. From Explicit VR Little Endian only the element headers differ.
    """
    for tag in list(ds.keys()):
        if ds.get_item(tag).VR == "SQ":
            for item in ds[tag].value:
                _encode_as_implicit(item)
    ds.set_original_encoding(True, True, ds.original_character_set)


def echo(ae_title: str, destination: Destination) -> None:
    """C-ECHO to a destination (PS3.7 9.1.5).

    Raises
    ------
    PeerUnavailable
        If it does not answer with success.
    """
    assoc = associate(ae_title, destination, {Verification})
    try:
        answer = assoc.send_c_echo()
        if "Status" not in answer or answer.Status != 0x0000:
            raise PeerUnavailable(f"{destination.ae_title} did not answer C-ECHO with success")
    finally:
        assoc.release()
