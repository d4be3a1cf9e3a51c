"""What a C-STORE is answered with: success once a film is on disk and its job committed (PS3.4 B.2.3)."""

import logging
import time
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.events import Event
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import identities, logs, metrics
from daemon.callers import Callers
from daemon.header import HeaderUnreadable, read_header
from daemon.incoming import Incoming
from daemon.keep import keep
from model.header import printable
from storage.films import Queued
from storage.space import OutOfSpace
from storage.spool import Spool, SpoolUnavailable
from storage.states import FilmState

# PS3.4 table B.2-1 and PS3.7 annex C.
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000

_LOGGER = logging.getLogger("firstread.receive")
_HEADER = {
    keyword: int(Tag(keyword))
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "AccessionNumber",
        "Modality",
        "Manufacturer",
        "ViewPosition",
        *identities.KEYWORDS,
    )
}
# Everything of _HEADER is in groups 0008 to 0020.
_FIRST_TAG_NOT_NEEDED = 0x00210000


class Refused(ValueError):
    """A data set that is not taken, with the status of PS3.4 B.2.3 for the peer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def handle_store(
    event: Event,
    engine: Engine,
    spool: Spool,
    require_space: Callable[[], None],
    callers: Callers,
    ae: AE,
) -> Dataset:
    """Keep one received film and queue it; the answer to the peer (PS3.4 B.2.3).

    ``0x0000`` only after the bytes and the job row are on disk. Anything else leaves nothing behind.
    """
    caller, number = printable(event.assoc.requestor.ae_title), callers.number(event.assoc)
    with logs.about(association=number, calling_ae_title=caller):
        answer = _store(event, engine, spool, require_space, ae.ae_title)
    if answer.Status == SUCCESS:
        metrics.took("receive", time.monotonic() - event.request._dataset_file.began)
    else:
        metrics.refused(answer.Status)
    return answer


def _store(
    event: Event, engine: Engine, spool: Spool, require_space: Callable[[], None], ae_title: str
) -> Dataset:
    assoc = event.assoc
    try:
        require_space()
        received = _describe(event)
        # Nobody else moves films in our name (PS3.7 9.3.1.1); an archive that names no originator sends what
        # a backfill waits for, as the job database knows.
        received["retrospective"] = event.request.MoveOriginatorApplicationEntityTitle == ae_title
        queued = keep(event.dataset_path, received, engine, spool)
    except Refused as error:
        return _answer(error.status, str(error), assoc.requestor.ae_title)
    except (OSError, SQLAlchemyError) as error:
        kept = str(error) if isinstance(error, (OutOfSpace, SpoolUnavailable)) else type(error).__name__
        return _answer(OUT_OF_RESOURCES, f"cannot keep the film now: {kept}", assoc.requestor.ae_title)
    with logs.about(job=queued.job, sop_instance_uid=str(received["sop_instance_uid"])):
        _tell(queued, received)
    if queued.is_new:
        metrics.film_moved(FilmState.QUEUED)
    return _answer(SUCCESS)


def _tell(queued: Queued, received: dict[str, object]) -> None:
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


def _describe(event: Event) -> dict[str, object]:
    """What the job row says of the film, from the command, the association and a few header elements."""
    request, assoc = event.request, event.assoc
    file: Incoming = request._dataset_file
    sop_instance_uid, sop_class_uid = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
    if not UID(sop_instance_uid).is_valid:
        raise Refused(CANNOT_UNDERSTAND, "SOP Instance UID: expected digits and dots, at most 64")
    header = _read_header(file, UID(event.context.transfer_syntax))
    for keyword, commanded in (("SOPInstanceUID", sop_instance_uid), ("SOPClassUID", sop_class_uid)):
        if keyword not in header:
            raise Refused(CANNOT_UNDERSTAND, f"data set without {keyword}")
        if header[keyword] != commanded:
            raise Refused(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, f"{keyword} of data set and command differ")
    study_instance_uid = header.get("StudyInstanceUID", "")
    patient = identities.words(header.get(keyword, "") for keyword in identities.KEYWORDS)

    def told(keyword: str, most: int) -> str:
        return identities.without(printable(header.get(keyword, "")), patient)[:most]

    return {
        "sop_instance_uid": sop_instance_uid,
        "sop_class_uid": sop_class_uid,
        "study_instance_uid": study_instance_uid if UID(study_instance_uid).is_valid else "",
        "accession_number": printable(header.get("AccessionNumber", ""))[:64],
        "modality": told("Modality", 16),
        "transfer_syntax_uid": str(event.context.transfer_syntax),
        "digest": file.digest(),
        "size_bytes": file.size_bytes,
        "calling_ae_title": printable(assoc.requestor.ae_title),
        "called_ae_title": printable(assoc.requestor.primitive.called_ae_title),
        "peer_address": str(assoc.requestor.address),
        "manufacturer": told("Manufacturer", 64),
        "view_position": told("ViewPosition", 16),
    }


def _read_header(received: Incoming, transfer_syntax: UID) -> dict[str, str]:
    """The elements of `_HEADER` in a file that came, by keyword; reads no pixels."""
    with received.reading() as file:
        try:
            found = read_header(file, transfer_syntax, _HEADER.values(), _FIRST_TAG_NOT_NEEDED)
        except HeaderUnreadable as error:
            raise Refused(CANNOT_UNDERSTAND, f"data set not readable: {error}") from error
    return {keyword: found[tag] for keyword, tag in _HEADER.items() if tag in found}


def _answer(status: int, comment: str = "", peer: str = "") -> Dataset:
    answer = Dataset()
    answer.Status = status
    if status != SUCCESS:
        _LOGGER.warning("refused a data set from %r with 0x%04X: %s", peer, status, comment)
        answer.ErrorComment = comment[:64]
    return answer
