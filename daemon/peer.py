"""Associations that we open to a peer, what we send on them, and what the peer's statuses mean."""

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.sop_class import Verification

from daemon import identities, service, tls
from daemon.config import Backfill, DimseDestination, Modality
from daemon.outcomes import (
    CONNECTION_TIMEOUT_SECONDS,
    RESPONSE_TIMEOUT_SECONDS,
    Accepted,
    NotTaken,
    PeerRefused,
    PeerUnavailable,
)
from daemon.store_scu import AssociationEnded, StoreAssociation
from model.header import printable
from storage.deliveries import Delivery

# PS3.4 table B.2-1; archives use the second for refusals of their own, told in the Error Comment.
OUT_OF_RESOURCES = 0xA700
SITE_REFUSAL = 0xA777


def associate(
    ae_title: str,
    to: DimseDestination | Modality | Backfill,
    sop_class_uids: Collection[str],
    handlers: Sequence[tuple[Any, ...]] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Association:
    """An established association that proposes each class in Explicit and Implicit VR Little Endian.

    Parameters
    ----------
    ae_title : str
        Ours.
    to : DimseDestination, Modality or Backfill
    sop_class_uids : collection of str
    handlers : sequence of tuple
        Of pynetdicom, for events of the association.
    roles : sequence of SCP_SCU_RoleSelectionNegotiation
        For classes of which we are not the SCU (PS3.7 D.3.3.4).

    Returns
    -------
    Association
        Accepted for one of the classes at least.

    Raises
    ------
    PeerUnavailable
        If the peer cannot be reached, does not answer, or rejects the association (PS3.8 9.3.4): also
        a permanent rejection, such as of an AE title not yet entered there, ends when its admin acts.
    PeerRefused
        If the peer accepts the association and none of the classes (PS3.8 9.3.3.2).
    """
    try:
        tls_args = None if isinstance(to, Modality) else tls.client_arguments(to)
    except tls.TlsUnusable as error:
        raise PeerUnavailable(str(error)) from error
    ae = AE(ae_title=ae_title)
    ae.connection_timeout = CONNECTION_TIMEOUT_SECONDS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = RESPONSE_TIMEOUT_SECONDS
    for uid in sorted(sop_class_uids):
        ae.add_requested_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    if SecondaryCaptureImageStorage in sop_class_uids:
        ae.add_requested_context(SecondaryCaptureImageStorage, JPEGBaseline8Bit)
    opened = []

    def on_open(event: evt.Event) -> None:
        service.disable_nagle(event)
        connection = event.assoc.dul.socket.socket
        # pynetdicom would wait without an end for the rest of a PDU, or for a peer that does not read.
        connection.settimeout(RESPONSE_TIMEOUT_SECONDS)
        opened.append(connection)

    def on_close(_event: evt.Event) -> None:
        # pynetdicom lets go of a socket that the peer has reset without closing it.
        for connection in opened:
            connection.close()

    assoc = ae.associate(
        to.host,
        to.port,
        ae_title=to.ae_title,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_CONN_OPEN, on_open), (evt.EVT_CONN_CLOSE, on_close), *handlers],
        tls_args=tls_args,
    )
    if assoc.is_established:
        return assoc
    place = f"{to.ae_title} at {to.host}:{to.port}"
    if assoc.is_rejected:
        raise PeerUnavailable(f"{place} rejected the association: {assoc.acceptor.primitive.reason_str}")
    # pynetdicom aborts what was accepted for no context.
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        raise no_context(sorted(sop_class_uids))
    raise PeerUnavailable(f"no association with {place}")


def no_context(sop_class_uids: Sequence[str]) -> PeerRefused:
    """The named failure of classes that the peer rejects in negotiation."""
    names = " and ".join(UID(uid).name for uid in sop_class_uids)
    return PeerRefused(f"the peer accepted no presentation context for {names}")


class _Channel:
    """An association for results; without one where the peer accepted none of their classes.

    One that rests may be ended by the peer at any time, which says nothing of the peer or of the object that
    is sent next: that one is sent on another association.
    """

    def __init__(self, ae_title: str, to: DimseDestination, sop_class_uids: Collection[str]) -> None:
        self._ae_title = ae_title
        self._to = to
        # What waits from when this name stood for another kind of destination is no SOP instance.
        self._sop_class_uids = set(sop_class_uids) - {""}
        self._has_rested = False
        self._assoc = self._open()

    def serves(self, sop_class_uids: Collection[str]) -> bool:
        self._has_rested = self._assoc is not None and self._assoc.is_quiet()
        return self._has_rested and self._sop_class_uids.issuperset(set(sop_class_uids) - {""})

    def send(self, one: Delivery, path: Path) -> Accepted:
        if self._assoc is None:
            raise no_context([one.sop_class_uid])
        try:
            return store(self._assoc, path)
        except AssociationEnded:
            if not self._has_rested:
                raise
        finally:
            self._has_rested = False
        try:
            self._assoc = self._open()
        except PeerUnavailable as error:
            raise NotTaken(str(error)) from error
        return self.send(one, path)

    def close(self) -> None:
        if self._assoc is not None:
            self._assoc.release()

    def _open(self) -> StoreAssociation | None:
        if not self._sop_class_uids:
            return None
        try:
            return StoreAssociation(associate(self._ae_title, self._to, self._sop_class_uids))
        except PeerRefused:
            # Each object is told, so that each shows why it failed.
            return None


def open_channel(ae_title: str, to: DimseDestination, sop_class_uids: Collection[str]) -> _Channel:
    """An association for C-STORE of objects of some classes; `daemon.channels` says the rest."""
    return _Channel(ae_title, to, sop_class_uids)


def store(assoc: StoreAssociation, path: Path) -> Accepted:
    """Send the object in a file and judge the peer's status (PS3.4 B.2.3).

    It goes as its bytes are, or in the uncompressed transfer syntax that the peer accepted.

    Raises
    ------
    PeerRefused
        If no context was accepted for the class, or for any status not named here.
    NotTaken
        If the status is A7xx (not A777), or the association ended without one.
    """
    file_meta, data_set_begins = split_dataset(path)
    sop_class_uid = file_meta.MediaStorageSOPClassUID
    context_id = assoc.contexts.get((sop_class_uid, file_meta.TransferSyntaxUID))
    with contextlib.ExitStack() as stack:
        if context_id is None:
            context_id, encoded = _in_another_syntax(assoc, path)
        else:
            encoded = stack.enter_context(path.open("rb"))
            encoded.seek(data_set_begins)
        answer = assoc.c_store(context_id, sop_class_uid, file_meta.MediaStorageSOPInstanceUID, encoded)
    status = answer.Status
    if status == 0x0000:
        return Accepted(status, "")
    # Archives quote the patient they find wrong.
    patient = identities.of(pydicom.dcmread(path, stop_before_pixels=True))
    said = identities.without(status_in_words(answer), patient)
    if status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116):
        return Accepted(status, f"warning, {said}")
    raise refusal(status, said)


def _in_another_syntax(assoc: StoreAssociation, path: Path) -> tuple[int, BinaryIO]:
    """The object in an uncompressed transfer syntax that the peer takes, and its presentation context."""
    ds = pydicom.dcmread(path)
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        context_id = assoc.contexts.get((ds.SOPClassUID, syntax))
        if context_id is not None:
            break
    else:
        raise no_context([ds.SOPClassUID])
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(as_rgb=True, generate_instance_uid=False)
    if syntax.is_implicit_VR:
        _encode_as_implicit(ds)
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = syntax.is_implicit_VR, True
    write_dataset(encoded, ds)
    encoded.seek(0)
    return context_id, encoded


def refusal(status: int, said: str) -> NotTaken | PeerRefused:
    """What a status of failure means: out of resources ends by itself, the rest does not (PS3.4 B.2.3)."""
    is_passing = status & 0xFF00 == OUT_OF_RESOURCES and status != SITE_REFUSAL
    return NotTaken(said, status) if is_passing else PeerRefused(said, status)


def status_in_words(answer: Dataset) -> str:
    """Status and Error Comment of a response (PS3.7 annex C), as a line that any database takes."""
    comment = printable(str(answer.get("ErrorComment", "") or ""))
    return f"status 0x{answer.Status:04X}" + (f": {comment}" if comment else "")


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


def check(ae_title: str, destination: DimseDestination | Backfill) -> str:
    """C-ECHO to a destination or the archive (PS3.7 9.1.5).

    Raises
    ------
    PeerUnavailable
        If it does not answer with success.
    PeerRefused
        If it accepts no context for Verification.
    """
    assoc = associate(ae_title, destination, {Verification})
    try:
        answer = assoc.send_c_echo()
        if "Status" not in answer or answer.Status != 0x0000:
            raise PeerUnavailable(f"{destination.ae_title} did not answer C-ECHO with success")
    finally:
        assoc.release()
    return f"{destination.ae_title} at {destination.host}:{destination.port} answers C-ECHO"
