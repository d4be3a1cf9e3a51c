"""Storage Commitment SCU, Push Model (PS3.4 annex J): our requests, and the reports of the peers.

A report comes on the association of the request or on one that the peer opens to our SCP (PS3.4 J.3.3), so
`handle_event_report` serves both.
"""

import datetime
import logging
import threading
import time
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import peer, service
from daemon.config import DimseDestination
from daemon.outcomes import PeerRefused
from daemon.peer import Association
from storage import commitments

# PS3.4 J.3.2 and J.3.3: action and event types.
REQUEST_STORAGE_COMMITMENT = 1
EVENT_TYPES = (1, 2)
# PS3.7 annex C.
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
RESOURCE_LIMITATION = 0x0213
# PS3.3 C.14.1.1.
FAILURE_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
# How long the association stays open for a report that comes at once.
LINGER_SECONDS = 5.0
POLL_SECONDS = 0.1
ASK_AGAIN = datetime.timedelta(minutes=15)
_LOGGER = logging.getLogger("firstread.commitment")


class Asking:
    """Requests storage commitment from one destination."""

    def __init__(self, engine: Engine, ae_title: str, destination: DimseDestination, claimant: str) -> None:
        self._engine = engine
        self._ae_title = ae_title
        self._destination = destination
        self._name = destination.name
        self._claimant = claimant

    def ask(self, limit: int, is_hurried: Callable[[], bool]) -> bool:
        """Ask for commitment to up to `limit` results; whether the peer said anything.

        Parameters
        ----------
        limit : int
        is_hurried : callable
            Whether the association shall not stay open for a report, since there is other work.

        Raises
        ------
        PeerUnavailable
            If there is no association.
        """
        given_up = commitments.give_up_waiting(self._engine, self._name, self._claimant, service.now())
        if given_up.sent_again or given_up.failed:
            _LOGGER.warning(
                "%s: no storage commitment reported in time: %d results sent again, %d failed",
                self._name, given_up.sent_again, given_up.failed,
            )  # fmt: skip
        if not commitments.is_due(self._engine, self._name, service.now()):
            return False
        is_answering, is_answered = threading.Event(), threading.Event()

        def note_message(event: Event) -> None:
            if isinstance(event.message, N_EVENT_REPORT_RSP):
                is_answering.set()

        def note_pdu(_event: Event) -> None:
            # A release that overtook our answer would make the peer report again.
            if is_answering.is_set():
                is_answered.set()

        try:
            assoc = peer.associate(
                self._ae_title,
                self._destination,
                {StorageCommitmentPushModel},
                [
                    (evt.EVT_N_EVENT_REPORT, handle_event_report, [self._engine]),
                    (evt.EVT_DIMSE_SENT, note_message),
                    (evt.EVT_PDU_SENT, note_pdu),
                ],
            )
        except PeerRefused as refusal:
            self._refused(str(refusal))
            return True
        try:
            is_taken = self._request(assoc, limit)
            limit_at = time.monotonic() + LINGER_SECONDS
            while is_taken and assoc.is_established and not is_hurried() and time.monotonic() < limit_at:
                if is_answered.wait(POLL_SECONDS):
                    break
        finally:
            assoc.release()
        return True

    def _request(self, assoc: Association, limit: int) -> bool:
        """N-ACTION (PS3.4 J.3.2); whether the peer took it."""
        transaction_uid = generate_uid(prefix=None)
        now = service.now()
        due_at = now + datetime.timedelta(hours=self._destination.commitment_hours)
        instances = commitments.request(self._engine, self._name, transaction_uid, limit, now, due_at)
        if not instances:
            return False
        try:
            answer, _ = assoc.send_n_action(
                _action_information(transaction_uid, instances),
                REQUEST_STORAGE_COMMITMENT,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
        except RuntimeError:  # the association ended since it was opened
            answer = Dataset()
        status = answer.get("Status")
        if status == SUCCESS or (status is not None and status & 0xF000 == 0xB000):
            _LOGGER.info(
                "%s: asked for storage commitment to %d results, transaction %s",
                self._name, len(instances), transaction_uid,
            )  # fmt: skip
            return True
        if status is None or status in (PROCESSING_FAILURE, RESOURCE_LIMITATION):
            _LOGGER.warning("%s: storage commitment request not taken: %s", self._name, _hex(status))
            commitments.postpone(self._engine, transaction_uid, service.now() + ASK_AGAIN)
        else:
            self._refused(peer.status_in_words(answer), transaction_uid)
        return False

    def _refused(self, why: str, transaction_uid: str | None = None) -> None:
        reason = f"stored, storage commitment refused: {why}"
        failed = commitments.refuse(
            self._engine, self._name, self._claimant, service.now(), reason, transaction_uid
        )
        _LOGGER.warning("%s: storage commitment refused for %d results", self._name, failed)


def handle_event_report(event: Event, engine: Engine) -> tuple[int, None]:
    """Take a report of storage commitment; the status for the peer (PS3.4 J.3.3, PS3.7 10.1.1).

    ``0x0000`` only after what it reports is committed to the database; ``0x0110`` lets a peer report again.
    """
    if event.event_type not in EVENT_TYPES:
        return NO_SUCH_EVENT_TYPE, None
    peers = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
    who = f"report of {peers.ae_title!r}"
    try:
        transaction_uid, committed, failed = _event_information(event.event_information)
        done = commitments.report(engine, transaction_uid, committed, failed, who, service.now())
    except SQLAlchemyError as error:
        _LOGGER.error("%s of storage commitment not kept: %s", who, type(error).__name__)
        return PROCESSING_FAILURE, None
    except (AttributeError, ValueError, TypeError, LookupError) as error:
        _LOGGER.warning("%s of storage commitment not readable: %s", who, type(error).__name__)
        return INVALID_ARGUMENT_VALUE, None
    if done is None:
        _LOGGER.warning("%s of storage commitment for a transaction that is none of ours", who)
        return INVALID_ARGUMENT_VALUE, None
    _LOGGER.log(
        logging.WARNING if done.failed or done.sent_again else logging.INFO,
        "%s: storage commitment for transaction %s: %d results committed, %d sent again, %d failed",
        who, transaction_uid, done.committed, done.sent_again, done.failed,
    )  # fmt: skip
    return SUCCESS, None


def _action_information(transaction_uid: str, instances: list[commitments.Instance]) -> Dataset:
    """PS3.4 table J.3-1."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = []
    for one in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = one.sop_class_uid
        item.ReferencedSOPInstanceUID = one.sop_instance_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


def _event_information(ds: Dataset) -> tuple[str, set[str], dict[str, str]]:
    """Transaction UID, instances committed, and instances failed with their reason in words (table J.3-2)."""
    committed = {str(item.ReferencedSOPInstanceUID) for item in ds.get("ReferencedSOPSequence") or []}
    failed = {
        str(item.ReferencedSOPInstanceUID): _reason(item.get("FailureReason"))
        for item in ds.get("FailedSOPSequence") or []
    }
    return str(ds.TransactionUID), committed - set(failed), failed


def _reason(code: int | None) -> str:
    if code is None:
        return "no reason given"
    return f"{_hex(code)} {FAILURE_REASONS.get(code, 'a reason of the peer')}"


def _hex(status: int | None) -> str:
    return "no answer" if status is None else f"0x{status:04X}"
