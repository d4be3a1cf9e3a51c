"""daemon/commitment_scu.py, storage/commitments.py: by Orthanc, and by a peer that does as told."""

import datetime
import threading

import pydicom
import pytest
import requests
import servers
from node import Node
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)
from sqlalchemy import select
from test_jobs import NOW, read_one
from test_send import KINDS, put_results, row_of

from daemon.commitment_scu import FAILURE_REASONS
from storage import commitments, database, deliveries
from storage.commitments import Reported
from storage.states import DeliveryState
from storage.tables import commitment, delivery

MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)


class Archive:
    """A PACS that stores, takes requests for storage commitment and reports as it is told.

    ``failing`` maps SOP Instance UIDs to failure reasons, ``reports`` says whether it reports at all, and
    ``port_of_node`` where it opens an association for that; 0 makes it report on the request's association.
    """

    def __init__(self, port_of_node: int = 0) -> None:
        self.failing: dict[str, int] = {}
        self.reports, self.status, self.port_of_node = True, 0x0000, port_of_node
        self.stored: list[str] = []
        self.requests: list[Dataset] = []
        self.answers: list[int] = []
        ae = AE(ae_title="PACS")
        ae.supported_contexts = StoragePresentationContexts
        ae.add_supported_context(Verification)
        ae.add_supported_context(StorageCommitmentPushModel)
        self._server = ae.start_server(
            ("127.0.0.1", 0), block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action)],
        )  # fmt: skip
        self.port = self._server.socket.getsockname()[1]

    def _store(self, event):
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _action(self, event):
        self.requests.append(event.action_information)
        if self.status == 0x0000 and self.reports:
            threading.Thread(target=self._report, args=(event.assoc, event.action_information)).start()
        return self.status, None

    def _report(self, assoc, asked):
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
        for item in asked.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID in self.failing:
                item.FailureReason = self.failing[item.ReferencedSOPInstanceUID]
                report.FailedSOPSequence.append(item)
            else:
                report.ReferencedSOPSequence.append(item)
        self.send(report, None if self.port_of_node else assoc)

    def send(self, report, assoc=None, event_type=None):
        """An N-EVENT-REPORT, on an association of its own where none is given; the status of the answer."""
        own = assoc is None
        if own:
            ae = AE(ae_title="PACS")
            ae.add_requested_context(StorageCommitmentPushModel, ExplicitVRLittleEndian)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            assoc = ae.associate("127.0.0.1", self.port_of_node, ae_title="FIRSTREAD", ext_neg=[role])
        event_type = event_type or (2 if report.get("FailedSOPSequence") else 1)
        answer, _ = assoc.send_n_event_report(
            report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        self.answers.append(answer.get("Status"))
        if own:
            assoc.release()
        return answer.get("Status")

    def close(self):
        self._server.shutdown()


@pytest.fixture
def archive():
    archive = Archive()
    yield archive
    archive.close()


@pytest.fixture
def asking(tmp_path, archive):
    """A node that asks `archive` for commitment."""
    node = Node(tmp_path, {"pacs": archive.port})
    node.config.write_text(node.config.read_text() + "\ncommitment = true\n")
    node.migrate()
    yield node
    node.engine.dispose()


def wait_for_states(node, *states):
    servers.wait_until(
        lambda: sorted(row.state for row in node.deliveries()) == sorted(states), what=f"{states}"
    )


def make_due(node):
    """As if `commitment_hours` had passed."""
    with node.engine.begin() as connection:
        connection.execute(
            delivery.update()
            .where(delivery.c.commitment_due_at.is_not(None))
            .values(commitment_due_at=NOW - 1000 * HOUR)
        )


def test_results_are_committed_by_a_report_on_the_same_association(asking, archive, film):
    uids = put_results(asking, film)
    with asking.running("send"):
        wait_for_states(asking, "COMMITTED", "COMMITTED")
        servers.wait_until(lambda: archive.answers)
    (request,) = archive.requests
    assert {item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence} == set(uids.values())
    assert {item.ReferencedSOPClassUID for item in request.ReferencedSOPSequence} == set(KINDS.values())
    assert archive.answers == [0x0000]


def test_results_are_committed_by_a_report_on_an_association_that_the_peer_opens_to_us(asking, archive, film):
    archive.port_of_node = asking.port
    put_results(asking, film)
    with asking.running("receive"), asking.running("send"):
        wait_for_states(asking, "COMMITTED", "COMMITTED")
        servers.wait_until(lambda: archive.answers)
    assert archive.answers == [0x0000]


def test_a_result_not_committed_is_sent_once_more_and_then_fails_with_the_reason(asking, archive, film):
    uids = put_results(asking, film)
    archive.failing = {uids["SC"]: 0x0112}
    with asking.running("send"):
        wait_for_states(asking, "COMMITTED", "FAILED")
    assert archive.stored.count(uids["SC"]) == 2
    assert archive.stored.count(uids["SR"]) == 1
    failed = row_of(asking, "SC")
    assert (failed.state, failed.reason) == (
        "FAILED", "storage not committed: 0x0112 no such object instance",
    )  # fmt: skip
    assert f"SC to pacs: FAILED 0x0000, attempt 1 {failed.reason}" in asking.firstread("show", "1").stdout


def test_without_a_report_it_is_asked_again_then_sent_again_then_failed_over_restarts(asking, archive, film):
    archive.reports = False
    uids = put_results(asking, film)
    for requests_so_far, stored in ((1, 1), (2, 1), (3, 2), (4, 2)):
        # Each time in a process of its own: what is awaited lies in the database.
        with asking.running("send"):
            servers.wait_until(lambda n=requests_so_far: len(archive.requests) == n)
            servers.wait_until(lambda: all(row.commitment_due_at for row in asking.deliveries()))
        assert archive.stored.count(uids["SR"]) == stored
        assert row_of(asking, "SC").state == "SENT"
        make_due(asking)
    with asking.running("send"):
        wait_for_states(asking, "FAILED", "FAILED")
    assert row_of(asking, "SC").reason == "storage not committed: no report to 2 requests"
    assert len({request.TransactionUID for request in archive.requests}) == 4


def test_a_peer_that_does_not_do_storage_commitment_is_a_named_failure(tmp_path, pacs, film):
    node = Node(tmp_path, {"pacs": pacs.port})
    node.config.write_text(node.config.read_text() + "\ncommitment = true\n")
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        wait_for_states(node, "FAILED", "FAILED")
    assert len(pacs.received) == 2
    assert row_of(node, "SC").reason.startswith(
        "stored, storage commitment refused: the peer accepted no presentation context for Storage Commitment"
    )
    node.engine.dispose()


def test_a_request_that_is_refused_fails_its_results_with_the_status(asking, archive, film):
    archive.status = 0x0122
    put_results(asking, film)
    with asking.running("send"):
        wait_for_states(asking, "FAILED", "FAILED")
    assert row_of(asking, "SR").reason == "stored, storage commitment refused: status 0x0122"


def test_a_request_that_cannot_be_taken_now_is_made_again_later(asking, archive, film):
    archive.status = 0x0213
    put_results(asking, film)
    with asking.running("send"):
        servers.wait_until(lambda: all(row.commitment_requests == 1 for row in asking.deliveries()))
        due_at = servers.wait_until(
            lambda: (
                (row := row_of(asking, "SC")).commitment_due_at < row.changed_at + HOUR
                and row.commitment_due_at
            )
        )
        assert due_at > row_of(asking, "SC").changed_at
        archive.status = 0x0000
        make_due(asking)
        wait_for_states(asking, "COMMITTED", "COMMITTED")


def test_nobody_is_asked_unless_the_config_says_so(node, pacs, film):
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        wait_for_states(node, "SENT", "SENT")
    assert [row.commitment_due_at for row in node.deliveries()] == [None, None]


def test_a_report_that_is_not_ours_or_not_readable_moves_nothing_and_says_so(asking, archive, film):
    archive.port_of_node = asking.port
    archive.reports = False
    put_results(asking, film)
    with asking.running("receive"), asking.running("send"):
        request = servers.wait_until(lambda: archive.requests and archive.requests[0])
        strange, nameless = Dataset(), Dataset()
        strange.TransactionUID = "1.2.3"
        strange.ReferencedSOPSequence = request.ReferencedSOPSequence
        assert archive.send(strange) == 0x0115
        nameless.ReferencedSOPSequence = request.ReferencedSOPSequence
        assert archive.send(nameless) == 0x0115
        request.FailedSOPSequence = []
        assert archive.send(request, event_type=3) == 0x0113
        assert {row.state for row in asking.deliveries()} == {"SENT"}
        assert archive.send(request) == 0x0000
        assert archive.send(request) == 0x0000
    wait_for_states(asking, "COMMITTED", "COMMITTED")


@pytest.fixture
def orthanc_node(tmp_path):
    """Orthanc and a node that asks it, each known to the other."""
    port = servers.free_port()
    with servers.orthanc(DicomModalities={"firstread": ["FIRSTREAD", "127.0.0.1", port]}) as orthanc:
        node = Node(tmp_path, {"pacs": orthanc.dicom_port}, tables={"node": {"port": port}})
        node.config.write_text(node.config.read_text() + "\ncommitment = true\n")
        node.migrate()
        yield orthanc, node
        node.engine.dispose()


def test_orthanc_commits_to_what_it_stored(orthanc_node, film):
    _, node = orthanc_node
    put_results(node, film)
    with node.running("receive"), node.running("send"):
        wait_for_states(node, "COMMITTED", "COMMITTED")
    assert [row.peer_status for row in node.deliveries()] == [0, 0]
    assert "report of 'PACS'" in node.firstread("tail", "--json").stdout


def test_orthanc_that_lost_a_result_gets_it_again_and_commits_to_it(orthanc_node, film):
    orthanc, node = orthanc_node
    uids = put_results(node, film)
    # Without our port open Orthanc cannot report; what it has is taken away before it is asked again.
    with node.running("send"):
        servers.wait_until(lambda: all(row.commitment_requests == 1 for row in node.deliveries()))
    lost = requests.post(f"{orthanc.url}/tools/lookup", data=uids["SC"], timeout=10).json()[0]["ID"]
    requests.delete(f"{orthanc.url}/instances/{lost}", timeout=10).raise_for_status()
    make_due(node)
    with node.running("receive"), node.running("send"):
        wait_for_states(node, "COMMITTED", "COMMITTED")
    assert {row.kind: row.resends for row in node.deliveries()} == {"SC": 1, "SR": 0}
    kept = requests.get(f"{orthanc.url}/instances/{lost}/file", timeout=10)
    assert pydicom.dcmread(pydicom.filebase.DicomBytesIO(kept.content)).SOPInstanceUID == uids["SC"]


def sent(engine):
    """Two deliveries, SENT and to be asked for; their SOP Instance UIDs."""
    read_one(engine)
    claimed = deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE)
    for one in claimed:
        deliveries.finish(engine, "s", [deliveries.Finished(one, DeliveryState.SENT, NOW, 0, "", NOW)])
    return [one.sop_instance_uid for one in claimed]


def states(engine):
    with database.reading(engine) as connection:
        return list(connection.scalars(select(delivery.c.state).order_by(delivery.c.id)))


def ask(engine, transaction_uid, now=NOW):
    return [
        one.sop_instance_uid
        for one in commitments.request(engine, "pacs", transaction_uid, 64, now, now + HOUR)
    ]


def test_of_two_senders_one_asks_for_a_result(engine):
    uids = sent(engine)
    assert ask(engine, "1.1") == uids
    assert ask(engine, "1.2") == []
    assert not commitments.is_due(engine, "pacs", NOW)
    assert commitments.is_due(engine, "pacs", NOW + HOUR)


def test_a_late_report_to_an_earlier_request_commits_and_does_not_fail(engine):
    first, second = sent(engine)
    ask(engine, "1.1")
    ask(engine, "1.2", NOW + HOUR)
    late = commitments.report(engine, "1.1", {first}, {second: "0x0110 processing failure"}, "r", NOW + HOUR)
    assert late == Reported(committed=1)
    assert states(engine) == ["COMMITTED", "SENT"]
    failed = {second: "0x0110 processing failure"}
    assert commitments.report(engine, "1.2", set(), failed, "r", NOW + HOUR) == Reported(sent_again=1)
    assert states(engine) == ["COMMITTED", "PENDING"]


def test_a_report_on_a_result_that_is_on_its_way_again_moves_nothing(engine):
    uids = sent(engine)
    ask(engine, "1.1")
    failed = dict.fromkeys(uids, "0x0112 no such object instance")
    assert commitments.report(engine, "1.1", set(), failed, "r", NOW) == Reported(sent_again=2)
    assert commitments.report(engine, "1.1", set(), failed, "r", NOW) == Reported()
    assert states(engine) == ["PENDING", "PENDING"]


def test_an_instance_that_the_request_did_not_name_is_not_moved_by_its_report(engine):
    first, second = sent(engine)
    with engine.begin() as connection:
        connection.execute(
            delivery.update()
            .where(delivery.c.sop_instance_uid == second)
            .values(commitment_due_at=NOW + HOUR)
        )
    assert ask(engine, "1.1") == [first]
    assert commitments.report(engine, "1.1", {first, second}, {}, "r", NOW) == Reported(committed=1)
    assert states(engine) == ["COMMITTED", "SENT"]


def test_requests_go_with_their_delivery(engine):
    sent(engine)
    ask(engine, "1.1")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM event")
        connection.execute(delivery.delete())
        assert connection.execute(select(commitment)).all() == []


def test_failure_reasons_are_those_of_the_standard():
    assert set(FAILURE_REASONS) == {0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213}
