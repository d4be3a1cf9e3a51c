"""A PACS that can be told to misbehave, and what it got in spite of that."""

import collections
import hashlib
import threading
import time

import servers
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


class FaultyPacs:
    """A Storage SCP that can be told to misbehave; keeps the digest of every object it stored, by UID.

    ``mode`` is one of `MODES`. What it acknowledged or not, an object that it stored counts as stored.
    """

    MODES = ("well", "full", "slow", "silent", "abort", "abort after", "no report", "down")

    def __init__(self) -> None:
        self.mode = "well"
        self.contents: dict[str, set[str]] = collections.defaultdict(set)
        self.sources: dict[str, tuple[str, str]] = {}
        self.stores = 0
        self._lock = threading.Lock()
        self.port = servers.free_port()
        self._server = None
        self.start()

    def start(self) -> None:
        """Listen, if it does not."""
        if self._server is None:
            ae = AE(ae_title="PACS")
            ae.supported_contexts = StoragePresentationContexts
            ae.add_supported_context(Verification)
            self._server = ae.start_server(
                ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
            )

    def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        if self._server is not None:
            server, self._server = self._server, None
            for assoc in server.active_associations:
                assoc.abort(block=False)
            server.shutdown()

    def behave(self, mode: str) -> None:
        """Take a mode."""
        self.mode = mode
        self.stop() if mode == "down" else self.start()

    def _store(self, event: evt.Event) -> int:
        mode = self.mode
        is_report = event.request.AffectedSOPClassUID == Comprehensive3DSRStorage
        if mode == "full":
            return 0xA700
        if mode == "slow":
            time.sleep(0.3)
        if mode == "abort" or (mode == "no report" and is_report):
            event.assoc.abort(block=False)
            return 0xA700
        self._keep(event)
        if mode == "silent":  # half an answer: the object is stored, the connection is gone
            event.assoc.dul.socket.close()
        if mode == "abort after":
            event.assoc.abort(block=False)
        return 0x0000

    def _keep(self, event: evt.Event) -> None:
        encoded = event.encoded_dataset(include_meta=False)
        ds = event.dataset
        with self._lock:
            self.stores += 1
            self.contents[ds.SOPInstanceUID].add(hashlib.sha256(encoded).hexdigest())
            self.sources[ds.SOPInstanceUID] = (str(ds.SOPClassUID), source_of(ds))


def source_of(ds: Dataset) -> str:
    """SOP Instance UID of the film that a result names."""
    if "SourceImageSequence" in ds:
        return str(ds.SourceImageSequence[0].ReferencedSOPInstanceUID)
    [study] = ds.CurrentRequestedProcedureEvidenceSequence
    return str(study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
