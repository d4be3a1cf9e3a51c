"""daemon/commitment_scp.py: modalities ask a real receiver to commit to their films."""

import contextlib
import time

import pytest
import requests
import servers
from conftest import make_film
from node import Node
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from storage.commitment_requests import CLASS_INSTANCE_CONFLICT, NO_SUCH_OBJECT_INSTANCE


class Modality:
    """A Storage Commitment SCU that also listens for reports."""

    def __init__(self, port=0, status=0x0000):
        self.reports = []
        self.status = status
        self._ae = AE(ae_title="CR1")
        self._ae.add_requested_context(StorageCommitmentPushModel)
        for role in (None, True):
            self._ae.add_supported_context(StorageCommitmentPushModel, scu_role=role, scp_role=role)
        self._sent = self._sent_before = 0
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._take), (evt.EVT_PDU_SENT, self._count)]
        self._server = self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers)
        self.port = self._server.socket.getsockname()[1]

    def _take(self, event):
        self._sent_before = self._sent
        role = "called back" if event.assoc.is_acceptor else "same association"
        self.reports.append((event.event_type, event.event_information, role))
        return self.status, None

    def has_answered(self):
        """Whether a report has come and its answer gone, which pynetdicom cannot send in a release."""
        return self.reports and self._sent > self._sent_before

    def _count(self, event):
        self._sent += 1

    @contextlib.contextmanager
    def association(self, node):
        assoc = self._ae.associate("127.0.0.1", node.port, evt_handlers=self.handlers)
        assert assoc.is_established
        try:
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    def ask(self, node, *references, stay=False):
        """Status of an N-ACTION for (class, instance) pairs; `stay` until the report has come."""
        with self.association(node) as assoc:
            status = request(assoc, *references)
            if stay:
                servers.wait_until(self.has_answered, 30, "report")
        return status

    def close(self):
        self._server.shutdown()


def request(assoc, *references, action=1, instance=StorageCommitmentPushModelInstance, **changes):
    asked = Dataset()
    asked.TransactionUID = changes.pop("TransactionUID", generate_uid())
    asked.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        asked.ReferencedSOPSequence.append(item)
    for keyword in changes:
        del asked[keyword]
    status, _ = assoc.send_n_action(asked, action, StorageCommitmentPushModel, instance)
    return status.Status


def pairs(sequence):
    return [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in sequence or []]


@pytest.fixture
def modality():
    made = Modality()
    yield made
    made.close()


def make_node(tmp_path, port):
    node = Node(tmp_path)
    with node.config.open("a", encoding="utf-8") as config:
        config.write(f'\n[[modality]]\nae_title = "CR1"\nhost = "127.0.0.1"\nport = {port}\n')
    return node


@pytest.fixture
def node(tmp_path, modality):
    made = make_node(tmp_path, modality.port)
    with made.running("receive"):
        yield made
    made.engine.dispose()


def pending(node):
    return list((node.folder / "spool" / "commitments").iterdir())


def test_a_film_that_was_stored_is_reported_as_held_on_the_association_that_asked(node, modality):
    film = make_film()
    node.store(film)
    held = (film.SOPClassUID, film.SOPInstanceUID)
    assert modality.ask(node, held, stay=True) == 0x0000
    [(event_type, report, where)] = modality.reports
    assert (event_type, where) == (1, "same association")
    assert pairs(report.ReferencedSOPSequence) == [held]
    assert "FailedSOPSequence" not in report
    servers.wait_until(lambda: not pending(node), what="end of the request")
    assert film.PatientID not in node.log_text()


def test_what_is_not_held_is_reported_with_its_reason_on_an_association_of_ours(node, modality):
    film, lost = make_film(), make_film()
    node.store(film, lost)
    row = next(row for row in node.films() if row.sop_instance_uid == lost.SOPInstanceUID)
    (node.folder / "spool" / row.spool_name).unlink()
    held = (film.SOPClassUID, film.SOPInstanceUID)
    unknown = (ComputedRadiographyImageStorage, generate_uid())
    other_class = (DigitalXRayImageStorageForPresentation, film.SOPInstanceUID)
    gone = (lost.SOPClassUID, lost.SOPInstanceUID)
    assert modality.ask(node, held, unknown, other_class, gone) == 0x0000
    servers.wait_until(lambda: modality.reports, what="report")
    [(event_type, report, where)] = modality.reports
    assert (event_type, where) == (2, "called back")
    assert pairs(report.ReferencedSOPSequence) == [held]
    reasons = {pairs([item])[0]: item.FailureReason for item in report.FailedSOPSequence}
    assert reasons == {
        unknown: NO_SUCH_OBJECT_INSTANCE, gone: NO_SUCH_OBJECT_INSTANCE, other_class: CLASS_INSTANCE_CONFLICT,
    }  # fmt: skip


def test_a_request_outlives_the_process_that_took_it(tmp_path):
    port = servers.free_port()
    node = make_node(tmp_path, port)
    film = make_film()
    away = Modality()
    with node.running("receive") as [process]:
        node.store(film)
        assert away.ask(node, (film.SOPClassUID, film.SOPInstanceUID)) == 0x0000
        process.kill()
        process.wait()
    away.close()
    assert len(pending(node)) == 1
    back = Modality(port)
    with node.running("receive"):
        servers.wait_until(lambda: back.reports, what="report")
        servers.wait_until(lambda: not pending(node), what="end of the request")
    assert back.reports[0][0] == 1
    back.close()
    node.engine.dispose()


def test_a_modality_that_is_away_is_called_again(tmp_path):
    port = servers.free_port()
    node = make_node(tmp_path, port)
    film = make_film()
    away = Modality()
    with node.running("receive"):
        node.store(film)
        away.ask(node, (film.SOPClassUID, film.SOPInstanceUID))
        away.close()
        servers.wait_until(lambda: "not reported, again in" in node.log_text(), what="first attempt")
        back = Modality(port)
        servers.wait_until(lambda: back.reports, what="report")
        back.close()
    node.engine.dispose()


def test_who_is_not_configured_and_has_gone_may_ask_again(tmp_path, modality):
    node = Node(tmp_path)
    with node.running("receive"):
        assert modality.ask(node, (ComputedRadiographyImageStorage, generate_uid())) == 0x0000
        servers.wait_until(lambda: not pending(node), what="end of the request")
        assert "given up; it may ask again" in node.log_text()
        modality.ask(node, (ComputedRadiographyImageStorage, generate_uid()), stay=True)
    assert [where for _, _, where in modality.reports] == ["same association"]
    node.engine.dispose()


def test_requests_that_make_no_sense_get_the_status_of_the_standard(node, modality):
    film = (ComputedRadiographyImageStorage, generate_uid())
    with modality.association(node) as assoc:
        assert request(assoc, film, action=2) == 0x0123
        assert request(assoc, film, instance=generate_uid()) == 0x0112
        assert request(assoc) == 0x0115
        assert request(assoc, film, TransactionUID="1.2.3", ReferencedSOPSequence=None) == 0x0115
    assert pending(node) == modality.reports == []


def test_a_report_does_not_come_between_films(node, modality):
    film = make_film()
    node.store(film)
    ae = AE(ae_title="CR1")
    ae.add_requested_context(StorageCommitmentPushModel)
    ae.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", node.port, evt_handlers=modality.handlers)
    assert request(assoc, (film.SOPClassUID, film.SOPInstanceUID)) == 0x0000
    limit = time.monotonic() + 2
    while time.monotonic() < limit:
        assert assoc.send_c_store(make_film()).Status == 0x0000
    assert modality.reports == []
    servers.wait_until(modality.has_answered, what="report")
    assoc.release()


def test_orthanc_asks_and_is_told(tmp_path):
    port = servers.free_port()
    film, unknown = make_film(), generate_uid()
    settings = {
        "DicomModalities": {"firstread": {"AET": "FIRSTREAD", "Host": "127.0.0.1", "Port": port}},
        "DicomCheckCalledAet": False,
    }
    with servers.orthanc(**settings) as orthanc:
        node = Node(tmp_path, tables={"node": {"port": port}})
        with node.config.open("a", encoding="utf-8") as config:
            config.write(
                f'\n[[modality]]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
            )
        node.port = port
        with node.running("receive"):
            node.store(film)
            asked = [[film.SOPClassUID, film.SOPInstanceUID], [film.SOPClassUID, unknown]]
            answer = requests.post(
                f"{orthanc.url}/modalities/firstread/storage-commitment",
                json={"DicomInstances": asked},
                timeout=30,
            )
            answer.raise_for_status()
            path = f"{orthanc.url}{answer.json()['Path']}"

            def report():
                found = requests.get(path, timeout=30).json()
                return found if found["Status"] != "Pending" else None

            found = servers.wait_until(report, what="report")
        node.engine.dispose()
    assert found["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in found["Success"]] == [film.SOPInstanceUID]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in found["Failures"]] == [(unknown, 0x0112)]
