"""Verification and Storage SCP: a film is on disk and its job committed before a peer hears success."""

import logging
import socket
import threading
import time
from pathlib import Path

from pydicom import uid
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.events import Event
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    Verification,
    register_uid,
    uid_to_service_class,
)
from sqlalchemy import Engine

from daemon import commitment_scu, door, tls
from daemon.callers import Callers, Rejections
from daemon.commitment_scp import CommitmentScp
from daemon.config import Config, Node
from daemon.incoming import IncomingFiles
from daemon.storing import SUCCESS, handle_store
from storage import space
from storage.spool import Spool

MAXIMUM_PDU_BYTES = 131072
TRANSFER_SYNTAXES = [
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
]

_LOGGER = logging.getLogger("firstread.receive")
# Below STOP_SECONDS of the supervisor and TimeoutStopSec of the unit.
STOP_SECONDS = 30.0
_ANSWER_SECONDS = 0.1
# How long there is room once there was: a film asks a dozen times, and each time lets others run before it.
_ROOM_SECONDS = 0.05


class Receiver:
    """The node's ports, open.

    Parameters
    ----------
    config : Config
    engine : sqlalchemy.Engine
        A migrated job database.
    spool : Spool
    listeners : list of socket.socket
        From `listen`.
    """

    def __init__(self, config: Config, engine: Engine, spool: Spool, listeners: list[socket.socket]) -> None:
        node = config.node
        self._storage = config.storage
        self._volumes = space.folders(spool.root, engine)
        self._room_seen = -_ROOM_SECONDS
        self._incoming = IncomingFiles(spool.incoming, self._require_space)
        _prepare_pynetdicom(self._incoming)
        self._ae = AE(ae_title=node.ae_title)
        _configure(self._ae, node)
        self._callers = Callers()
        rejected = Rejections(self._ae, self._callers)
        self._commitment = CommitmentScp(node.ae_title, config.modality, engine, spool)
        handlers = [
            (evt.EVT_REQUESTED, _limit_host, [self._ae, rejected]),
            (evt.EVT_REJECTED, rejected.tell),
            (evt.EVT_ESTABLISHED, lambda event: self._callers.came(event.assoc)),
            (evt.EVT_C_ECHO, _handle_echo),
            (
                evt.EVT_C_STORE,
                handle_store,
                [engine, spool, self._require_space, self._callers, self._ae],
            ),
            (evt.EVT_N_EVENT_REPORT, commitment_scu.handle_event_report, [engine]),
            (evt.EVT_N_ACTION, self._commitment.handle_action),
        ]
        contexts = [None, tls.server_context(config.tls)] if config.tls.certificate_file else [None]
        self._doors = [
            door.make(self._ae, listener, _limits(node), handlers, self._incoming.end, context)
            for listener, context in zip(listeners, contexts, strict=True)
        ]
        for one in self._doors:
            one.open()

    def take(self, config: Config) -> None:
        """Serve associations from now on by another config; those that are open go on as they began.

        Host, ports, spool and database are not looked at. Certificates are read again.

        Raises
        ------
        tls.TlsUnusable
            If a certificate cannot be used; nothing has changed then.
        """
        context = tls.server_context(config.tls) if config.tls.certificate_file else None
        self._storage = config.storage
        _configure(self._ae, config.node)
        self._commitment.take(config.node.ae_title, config.modality)
        for one in self._doors:
            one.take(_limits(config.node), context)

    def describe(self) -> str:
        """Associations open and turned away, by caller, and whether there is room; the heartbeat's note."""
        active = [assoc for one in self._doors for assoc in one.active_associations]
        try:
            self._require_space()
            trouble = ""
        except OSError as error:
            trouble = str(error)
        return self._callers.note(active, self._ae.maximum_associations, trouble)

    def shutdown(self) -> None:
        """Take no more associations, answer for the films on their way now, and end all associations.

        Whoever sends one film after the other is cut off after the film in hand: what was not acknowledged is
        the sender's to send again.
        """
        for one in self._doors:
            one.shutdown()
        waited = {assoc: self._incoming.of(assoc) for one in self._doors for assoc in one.active_associations}
        limit = time.monotonic() + STOP_SECONDS
        while waited:
            is_late = time.monotonic() > limit
            over = [
                assoc for assoc, files in waited.items() if is_late or not files & self._incoming.of(assoc)
            ]
            # A film is off our hands a moment before its sender is told.
            time.sleep(_ANSWER_SECONDS)
            for assoc in over:
                del waited[assoc]
                assoc.abort(block=False)

    def _require_space(self) -> None:
        """Raise OutOfSpace where there is no room, or was none; asks the disk now and then."""
        now = time.monotonic()
        if now - self._room_seen > _ROOM_SECONDS:
            space.require(self._volumes, self._storage.floor_mib << 20, self._storage.watermark_percent)
            self._room_seen = now


def listen(config: Config) -> list[socket.socket]:
    """The node's port and, where there is a certificate, that for TLS; nobody is let in yet.

    Raises
    ------
    OSError
        If a port cannot be listened on; the message names it.
    """
    ports = [("[node]", config.node.port)]
    if config.tls.certificate_file:
        ports.append(("[tls]", config.tls.port))
    listeners = []
    for table, port in ports:
        try:
            listeners.append(door.bind(config.node.host, port))
        except OSError as error:
            raise OSError(
                f"{table} port {port} on {config.node.host}: {error.strerror}; "
                "expected a free port, end the program that listens there or choose another"
            ) from error
    return listeners


def _configure(ae: AE, node: Node) -> None:
    """What an association that begins finds in the AE."""
    ae.ae_title = node.ae_title
    ae.maximum_pdu_size = MAXIMUM_PDU_BYTES
    ae.maximum_associations = node.most_associations
    ae.acse_timeout = node.acse_timeout_seconds
    ae.dimse_timeout = node.dimse_timeout_seconds
    ae.network_timeout = node.idle_timeout_seconds
    ae.require_calling_aet = list(node.calling_ae_titles)
    ae.require_called_aet = node.require_called_ae_title
    ae.supported_contexts = []
    ae.add_supported_context(Verification)
    # Peers that we ask for commitment report as SCP on associations of theirs (PS3.7 D.3.3.4).
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    for sop_class_uid in node.accept:
        _serve_as_storage(sop_class_uid)
        ae.add_supported_context(sop_class_uid, TRANSFER_SYNTAXES)


def _limits(node: Node) -> door.Limits:
    return door.Limits(
        pdu_bytes=node.most_pdu_kib << 10,
        film_bytes=node.most_film_mib << 20,
        waiting=node.most_unassociated,
        associations_a_host=node.most_associations_a_host,
        associate_seconds=node.acse_timeout_seconds,
        message_seconds=node.dimse_timeout_seconds,
        slowest_bytes_a_second=node.slowest_kib_a_second * 1024,
    )


def _prepare_pynetdicom(incoming: IncomingFiles) -> None:
    """What pynetdicom has no parameters for."""
    # Data sets go to disk as they arrive, so an association holds a PDU in memory and not a film.
    _config.STORE_RECV_CHUNKED_DATASET = True
    # It writes down every message for a log that nobody keeps.
    _config.LOG_HANDLER_LEVEL = "none"
    dimse_messages.NamedTemporaryFile = incoming.make
    # A UID of a C-STORE that is none is answered by us; pynetdicom would end the association.
    _config.VALIDATORS["UI"] = lambda _value: (True, "")
    # A command that it cannot decode ends its thread, and with it the association, by an exception.
    threading.excepthook = _log_end_of_thread


def _serve_as_storage(sop_class_uid: str) -> None:
    """Give a configured SOP class that pynetdicom does not know the Storage service.

    Accepted without a service, it would make pynetdicom abort the whole association on the first object.
    """
    if uid_to_service_class(sop_class_uid) is not StorageServiceClass:
        keyword = f"ConfiguredStorage{sop_class_uid.replace('.', '_')}"
        register_uid(sop_class_uid, keyword, StorageServiceClass)


def _handle_echo(_event: Event) -> int:
    return SUCCESS


def _limit_host(event: Event, ae: AE, rejected: Rejections) -> None:
    """Reject an association of a host that has its share of them (PS3.8 9.3.4)."""
    address = event.assoc.requestor.address
    others = [one for one in ae.active_associations if one.requestor.address == address]
    if len(others) > event.assoc.dul.socket.limits.associations_a_host:
        event.assoc.requestor.ae_title = event.assoc.requestor.primitive.calling_ae_title
        # Transient, by the service provider's presentation function: local limit exceeded.
        event.assoc.acse.send_reject(0x02, 0x03, 0x02)
        rejected.tell(event)
        event.assoc.kill()


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Tell what ended a thread, without the values that an exception's text may quote."""
    trace = ended.exc_traceback
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "nowhere"
    _LOGGER.error("an association ended by %s at %s", ended.exc_type.__name__, place)
