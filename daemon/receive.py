"""Verification and Storage SCP: a film is on disk and its job committed before a peer hears success."""

import io
import logging
import tempfile
import zlib
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.events import Event
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification, register_uid, uid_to_service_class
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from daemon.config import Config
from daemon.part10 import DataSetBytes, data_set_bytes
from storage import films
from storage.films import ReceivedFilm
from storage.spool import Spool, SpoolUnavailable

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
# PS3.4 table B.2-1 and PS3.7 annex C.
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000

_LOGGER = logging.getLogger("firstread.receive")
# A header ends where the pixels begin; of a deflated data set no more than this is inflated for it.
_MOST_HEADER_BYTES = 8 << 20
_HEADER = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "Modality",
    "SpecificCharacterSet",
]  # fmt: skip
# Everything of _HEADER is in groups 0008 and 0020.
_FIRST_TAG_NOT_NEEDED = 0x00210000


class Refused(ValueError):
    """A data set that is not taken, with the status of PS3.4 B.2.3 for the peer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def start(config: Config, engine: Engine, spool: Spool) -> ThreadedAssociationServer:
    """Listen for associations; each is served in a thread of its own.

    Parameters
    ----------
    config : Config
    engine : sqlalchemy.Engine
        A migrated job database.
    spool : Spool

    Returns
    -------
    ThreadedAssociationServer
        `shutdown` ends it.

    Raises
    ------
    OSError
        If the port cannot be listened on; the message names it.
    """
    node = config.node
    # Data sets go to disk as they arrive, so an association holds a PDU in memory and not a film.
    # pynetdicom has no parameter for the folder: it asks tempfile.
    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(spool.incoming)
    ae = AE(ae_title=node.ae_title)
    ae.maximum_pdu_size = MAXIMUM_PDU_BYTES
    ae.maximum_associations = node.most_associations
    ae.acse_timeout = node.acse_timeout_seconds
    ae.dimse_timeout = node.dimse_timeout_seconds
    ae.network_timeout = node.idle_timeout_seconds
    ae.require_calling_aet = list(node.calling_ae_titles)
    ae.require_called_aet = node.require_called_ae_title
    ae.add_supported_context(Verification)
    for number, sop_class_uid in enumerate(node.accept):
        _serve_as_storage(sop_class_uid, number)
        ae.add_supported_context(sop_class_uid, TRANSFER_SYNTAXES)
    most_bytes = node.most_film_mib << 20
    try:
        return ae.start_server(
            (node.host, node.port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, service.disable_nagle),
                (evt.EVT_CONN_CLOSE, _drop_unfinished),
                (evt.EVT_PDU_RECV, _limit_message, [most_bytes]),
                (evt.EVT_REJECTED, _log_rejection, [ae]),
                (evt.EVT_C_ECHO, _handle_echo),
                (evt.EVT_C_STORE, handle_store, [engine, spool]),
            ],
        )
    except OSError as error:
        raise OSError(
            f"[node] port {node.port} on {node.host}: {error.strerror}; "
            "expected a free port, end the program that listens there or choose another"
        ) from error


def handle_store(event: Event, engine: Engine, spool: Spool) -> Dataset:
    """Keep one received film and queue it; the answer to the peer (PS3.4 B.2.3).

    ``0x0000`` only after the bytes and the job row are on disk. Anything else leaves nothing behind.
    """
    assoc = event.assoc
    try:
        spool.require_space()
        received = _describe(event)
        name = spool.keep_film(event.dataset_path)
        try:
            queued = films.enqueue(engine, ReceivedFilm(**received, spool_name=name), service.now())
        except BaseException:
            spool.discard(name)
            raise
        if not queued.is_new:
            spool.discard(name)
    except Refused as error:
        return _answer(error.status, str(error), assoc.requestor.ae_title)
    except (OSError, SQLAlchemyError) as error:
        kept = str(error) if isinstance(error, SpoolUnavailable) else type(error).__name__
        return _answer(OUT_OF_RESOURCES, f"cannot keep the film now: {kept}", assoc.requestor.ae_title)
    if queued.conflict_with is not None:
        _LOGGER.warning(
            "job %d: SOP Instance UID %s of job %d came again with other bytes; kept apart",
            queued.job, received["sop_instance_uid"], queued.conflict_with,
        )  # fmt: skip
    else:
        _LOGGER.info(
            "job %d: %s %s from %r", queued.job, received["sop_instance_uid"],
            "queued" if queued.is_new else "came again, same bytes", received["calling_ae_title"],
        )  # fmt: skip
    return _answer(SUCCESS)


def _describe(event: Event) -> dict[str, object]:
    """What the job row says of the film, from the command, the association and a few header elements."""
    request, assoc = event.request, event.assoc
    path: Path = event.dataset_path
    sop_instance_uid, sop_class_uid = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
    if not UID(sop_instance_uid).is_valid:
        raise Refused(CANNOT_UNDERSTAND, "SOP Instance UID: expected digits and dots, at most 64")
    encoded = data_set_bytes(path)
    header = _read_header(path, encoded)
    for keyword, commanded in (("SOPInstanceUID", sop_instance_uid), ("SOPClassUID", sop_class_uid)):
        if keyword not in header:
            raise Refused(CANNOT_UNDERSTAND, f"data set without {keyword}")
        if _text(header, keyword, 64) != commanded:
            raise Refused(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, f"{keyword} of data set and command differ")
    study_instance_uid = _text(header, "StudyInstanceUID", 65)
    return {
        "sop_instance_uid": sop_instance_uid,
        "sop_class_uid": sop_class_uid,
        "study_instance_uid": study_instance_uid if UID(study_instance_uid).is_valid else "",
        "accession_number": _text(header, "AccessionNumber", 64),
        "modality": _text(header, "Modality", 16),
        "transfer_syntax_uid": str(event.context.transfer_syntax),
        "digest": encoded.digest,
        "size_bytes": encoded.size_bytes,
        "calling_ae_title": _printable(assoc.requestor.ae_title),
        "called_ae_title": _printable(assoc.requestor.primitive.called_ae_title),
        "peer_address": str(assoc.requestor.address),
    }


def _read_header(path: Path, encoded: DataSetBytes) -> Dataset:
    """The elements of `_HEADER` in a file that pynetdicom wrote; reads no pixels."""
    syntax = encoded.transfer_syntax_uid
    with path.open("rb") as file:
        file.seek(encoded.offset)
        body: io.BufferedIOBase = file
        try:
            if syntax == DeflatedExplicitVRLittleEndian:
                inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                body = io.BytesIO(inflate.decompress(file.read(_MOST_HEADER_BYTES), _MOST_HEADER_BYTES))
            header = read_dataset(
                body,
                syntax.is_implicit_VR,
                syntax.is_little_endian,
                stop_when=lambda tag, _vr, _length: tag >= _FIRST_TAG_NOT_NEEDED,
                specific_tags=[Tag(keyword) for keyword in _HEADER],
            )
            # Values are parsed when they are asked for; a fault in these is the peer's, and is told here.
            for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality"):
                header.get(keyword)
        except Exception as error:
            raise Refused(CANNOT_UNDERSTAND, f"data set not readable: {type(error).__name__}") from error
    return header


def _text(header: Dataset, keyword: str, most: int) -> str:
    try:
        return _printable(str(header.get(keyword, "") or ""))[:most]
    except (ValueError, LookupError, TypeError):
        return ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text).strip()


def _answer(status: int, comment: str = "", peer: str = "") -> Dataset:
    answer = Dataset()
    answer.Status = status
    if status != SUCCESS:
        _LOGGER.warning("refused a data set from %r with 0x%04X: %s", peer, status, comment)
        answer.ErrorComment = comment[:64]
    return answer


def _serve_as_storage(sop_class_uid: str, number: int) -> None:
    """Give a configured SOP class that pynetdicom does not know the Storage service.

    Accepted without a service, it would make pynetdicom abort the whole association on the first object.
    """
    if uid_to_service_class(sop_class_uid) is not StorageServiceClass:
        register_uid(sop_class_uid, f"ConfiguredStorage{number}", StorageServiceClass)


def _handle_echo(_event: Event) -> int:
    return SUCCESS


def _limit_message(event: Event, most_bytes: int) -> None:
    """Abort the association whose message grows beyond the limit, on disk or in memory."""
    message = event.assoc.dimse.message
    if message is None:
        return
    file = message._data_set_file
    in_memory = message.encoded_command_set.tell() + message.data_set.tell()
    # A command set has a dozen short elements; only a data set of C-STORE goes to disk.
    if in_memory > (1 << 20) or (file is not None and file.tell() > most_bytes):
        _LOGGER.warning(
            "association of %r aborted: message over %d MiB", event.assoc.requestor.ae_title, most_bytes >> 20
        )
        event.assoc.abort()


def _drop_unfinished(event: Event) -> None:
    """Remove the file of a C-STORE that the connection's end cut short."""
    message = event.assoc.dimse.message
    if message is not None and message._data_set_path is not None:
        message._data_set_path.unlink(missing_ok=True)


def _log_rejection(event: Event, ae: AE) -> None:
    _LOGGER.warning(
        "association rejected: %r called %r from %s; %d associations open, at most %d; allowed callers: %s",
        event.assoc.requestor.ae_title,
        event.assoc.requestor.primitive.called_ae_title,
        event.assoc.requestor.address,
        len(ae.active_associations) - 1,
        ae.maximum_associations,
        ", ".join(ae.require_calling_aet) or "all",
    )
