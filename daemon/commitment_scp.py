"""Storage Commitment SCP: films we hold are reported as held to the modality that asks (PS3.4 annex J)."""

import dataclasses
import logging
import threading
import time

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import peer, service
from daemon.config import Modality
from daemon.connection import Connection
from daemon.outcomes import PeerRefused, PeerUnavailable
from storage import commitment_requests, retry
from storage.commitment_requests import CommitmentRequest, CommitmentRequests, Reference
from storage.spool import Spool, SpoolUnavailable

# PS3.4 tables J.3-1 and J.3-3.
REQUEST_COMMITMENT = 1
COMPLETE, FAILURES_EXIST = 1, 2
# PS3.7 annex C.
SUCCESS = 0x0000
NO_SUCH_SOP_INSTANCE = 0x0112
INVALID_ARGUMENT_VALUE = 0x0115
NO_SUCH_ACTION = 0x0123
RESOURCE_LIMITATION = 0x0213
MOST_PENDING = 1000
GIVE_UP_HOURS = 24
_MOST_AT_ONCE = 8
# The answer to the request goes first; and who is in the middle of sending films is not interrupted.
_QUIET_SECONDS = 0.5
_LOGGER = logging.getLogger("firstread.receive")


class NotReported(ConnectionError):
    """The peer did not take the report now."""


@dataclasses.dataclass
class _Due:
    request: CommitmentRequest
    assoc: Association | None
    at: float
    attempts: int = 0
    is_running: bool = False


class CommitmentScp:
    """Takes requests and reports on them, each once the peer can be told.

    Parameters
    ----------
    ae_title : str
        Ours.
    modalities : tuple of Modality
        Where reports go whose association is gone.
    engine : sqlalchemy.Engine
    spool : Spool
    """

    def __init__(self, ae_title: str, modalities: tuple[Modality, ...], engine: Engine, spool: Spool) -> None:
        self.take(ae_title, modalities)
        self._engine = engine
        self._spool = spool
        self._kept = CommitmentRequests(spool.root / "commitments")
        self._due = {one.name: _Due(one, None, 0.0) for one in self._kept.pending()}
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="commitment", daemon=True).start()

    def take(self, ae_title: str, modalities: tuple[Modality, ...]) -> None:
        """Report from now on under this title, and to these."""
        self._ae_title, self._modalities = ae_title, {one.ae_title: one for one in modalities}

    def handle_action(self, event: Event) -> tuple[int, None]:
        """Accept a request: 0x0000 once it is on disk, so that the end of this process does not lose it."""
        status = self._accept(event)
        if status != SUCCESS:
            _LOGGER.warning(
                "refused a request for commitment from %r with 0x%04X", event.assoc.requestor.ae_title, status
            )
        return status, None

    def _accept(self, event: Event) -> int:
        if event.action_type != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return NO_SUCH_SOP_INSTANCE
        request = _read_request(event)
        if request is None:
            return INVALID_ARGUMENT_VALUE
        with self._changed:
            if len(self._due) >= MOST_PENDING and request.name not in self._due:
                return RESOURCE_LIMITATION
            try:
                self._kept.keep(request)
            except OSError:
                return RESOURCE_LIMITATION
            self._due[request.name] = _Due(request, event.assoc, time.monotonic() + _QUIET_SECONDS)
            self._changed.notify()
        return SUCCESS

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                running = [one.request.ae_title for one in self._due.values() if one.is_running]
                for due in self._due.values():
                    # One report at a time to a peer, so that one that is slow to answer holds up no other.
                    if due.is_running or due.at > now or due.request.ae_title in running:
                        continue
                    if len(running) == _MOST_AT_ONCE:
                        break
                    running.append(due.request.ae_title)
                    due.is_running = True
                    threading.Thread(target=self._report, args=(due,), name="report", daemon=True).start()
                self._changed.wait(_QUIET_SECONDS / 2)

    def _report(self, due: _Due) -> None:
        request = due.request
        is_done, wait = True, _QUIET_SECONDS
        try:
            is_done = self._tell(due)
        except (NotReported, SpoolUnavailable, SQLAlchemyError) as error:
            age = service.now() - request.requested_at
            is_known = request.ae_title in self._modalities
            reason = "database away" if isinstance(error, SQLAlchemyError) else str(error)
            is_done = isinstance(error, NotReported) and (
                not is_known or age.total_seconds() > GIVE_UP_HOURS * 3600
            )
            due.attempts += 1
            wait = retry.wait_seconds(due.attempts, int(request.name[:8], 16))
            _LOGGER.warning(
                "commitment %s of %r not reported, %s: %s", request.transaction_uid, request.ae_title,
                "given up; it may ask again" if is_done else f"again in {wait:.0f} s", reason,
            )  # fmt: skip
        with self._changed:
            due.is_running, due.at = False, time.monotonic() + wait
            # The peer may have asked again meanwhile, which is then another request.
            if is_done and self._due.get(request.name) is due:
                self._kept.discard(request)
                del self._due[request.name]
            self._changed.notify()

    def _tell(self, due: _Due) -> bool:
        """Report; False while the association that asked is busy with something else."""
        modality = self._modalities.get(due.request.ae_title)
        if due.assoc is not None and due.assoc.is_established:
            connection = due.assoc.dul.socket
            if isinstance(connection, Connection) and connection.quiet_seconds < _QUIET_SECONDS:
                return False
            assoc, due.assoc = due.assoc, None
            try:
                self._send(assoc, due.request)
                return True
            except NotReported:
                if modality is None:
                    raise
        if modality is None:
            raise NotReported("its association is gone and no [[modality]] says where to call it")
        # We are the SCP though we open the association (PS3.4 J.3.3, PS3.7 D.3.3.4).
        as_scp = build_role(StorageCommitmentPushModel, scp_role=True)
        try:
            assoc = peer.associate(self._ae_title, modality, {StorageCommitmentPushModel}, roles=[as_scp])
        except (PeerUnavailable, PeerRefused) as error:
            raise NotReported(str(error)) from error
        try:
            self._send(assoc, due.request)
        finally:
            if assoc.is_established:
                assoc.release()
        return True

    def _send(self, assoc: Association, request: CommitmentRequest) -> None:
        """One N-EVENT-REPORT (PS3.4 J.3.3), true at the moment it is sent."""
        failed = commitment_requests.failures(self._engine, self._spool, request.references)
        report = Dataset()
        report.TransactionUID = request.transaction_uid
        # A sequence is there if it has an item (PS3.4 table J.3-2).
        if held := [_reference(one) for one in request.references if one not in failed]:
            report.ReferencedSOPSequence = held
        if failed:
            report.FailedSOPSequence = [_reference(one, reason) for one, reason in failed.items()]
        try:
            answer, _ = assoc.send_n_event_report(
                report,
                FAILURES_EXIST if failed else COMPLETE,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
        except (RuntimeError, ValueError) as error:
            raise NotReported(f"association: {error}") from error
        if answer.get("Status") != SUCCESS:
            status = answer.get("Status")
            raise NotReported("no answer" if status is None else f"answered 0x{status:04X}")
        _LOGGER.info(
            "commitment %s of %r reported: %d held, %d not",
            request.transaction_uid, request.ae_title, len(request.references) - len(failed), len(failed),
        )  # fmt: skip


def _read_request(event: Event) -> CommitmentRequest | None:
    """What is asked (PS3.4 table J.3-1); None if it is not readable or incomplete."""
    try:
        asked = event.action_information
        references = tuple(
            dict.fromkeys(
                Reference(_uid(one.ReferencedSOPClassUID), _uid(one.ReferencedSOPInstanceUID))
                for one in asked.ReferencedSOPSequence
            )
        )
        transaction_uid = _uid(asked.TransactionUID)
    # What pydicom raises at bytes that are no data set has many types; all are the peer's fault.
    except (ValueError, LookupError, TypeError, AttributeError, OSError, NotImplementedError, RecursionError):
        return None
    if not references:
        return None
    return CommitmentRequest(transaction_uid, event.assoc.requestor.ae_title, references, service.now())


def _reference(one: Reference, failure_reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.sop_class_uid
    item.ReferencedSOPInstanceUID = one.sop_instance_uid
    if failure_reason is not None:
        item.FailureReason = failure_reason
    return item


def _uid(value: object) -> str:
    if not UID(str(value)).is_valid:
        raise ValueError("not a UID")
    return str(value)
