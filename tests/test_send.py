"""daemon/send.py: a real sender process and a real Storage SCP that answers what the test says."""

import copy
import datetime

import pydicom
import pytest
import received
import servers
from node import Node, Pacs
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context

from daemon import service
from storage import films
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.spool import Spool

KINDS = {"SC": SecondaryCaptureImageStorage, "SR": ComprehensiveSRStorage}


def put_results(node, film, number=1, destinations=("pacs",)):
    """A film that has been read, its two results spooled and pending; their UIDs by kind."""
    now = service.now()
    spool = Spool(node.folder / "spool", 0)
    job = films.enqueue(
        node.engine,
        ReceivedFilm(
            f"1.2.{number}", "1.2", "1.5", "A1", "CR", "1.2", f"{number:064x}", 10,
            "films/aa/" + "a" * 32 + ".dcm", "MOD", "FIRSTREAD", "127.0.0.1",
        ),
        now,
    ).job  # fmt: skip
    films.claim(node.engine, "test", 1, now, now + datetime.timedelta(minutes=1))
    new, uids = [], {}
    for kind, sop_class in KINDS.items():
        ds = film(SOPClassUID=sop_class, SOPInstanceUID=f"2.25.{number}{len(uids)}")
        name = spool.write_result(
            ds.SOPInstanceUID, lambda file, ds=ds: ds.save_as(file, enforce_file_format=True)
        )
        uids[kind] = ds.SOPInstanceUID
        new += [NewDelivery(kind, to, sop_class, ds.SOPInstanceUID, name) for to in destinations]
    films.finish_read(node.engine, job, "test", now, {"decision": "normal"}, new)
    return uids


@pytest.fixture
def migrated(node):
    node.migrate()
    return node


def row_of(node, kind):
    return next(row for row in node.deliveries() if row.kind == kind)


def wait_for(node, kind, condition):
    servers.wait_until(lambda: condition(row_of(node, kind)), what=f"{kind} as expected")
    return row_of(node, kind)


def test_results_arrive_once_on_one_association_and_their_status_is_kept(migrated, film, pacs):
    uids = put_results(migrated, film)
    with migrated.running("send"):
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
    assert [ds.SOPInstanceUID for ds in pacs.received] == [uids["SC"], uids["SR"]]
    assert pacs.associations == 1
    assert [row.peer_status for row in migrated.deliveries()] == [0, 0]


@pytest.mark.parametrize("status", [0xA700, 0xA701])
def test_out_of_resources_is_tried_again_later_with_the_same_uid(migrated, film, pacs, status):
    uids = put_results(migrated, film)
    answers = [status]
    pacs.answer = lambda ds: answers.pop() if answers else 0x0000
    with migrated.running("send"):
        waiting = wait_for(migrated, "SC", lambda row: row.peer_status == status)
        assert (waiting.state, waiting.attempts) == ("PENDING", 1)
        assert waiting.next_attempt_at > service.now()
        sent = wait_for(migrated, "SC", lambda row: row.state == "SENT")
    assert (sent.attempts, sent.peer_status) == (2, 0)
    assert [ds.SOPInstanceUID for ds in pacs.of(KINDS["SC"])] == [uids["SC"]]


@pytest.mark.parametrize("status", [0xA900, 0xC123, 0xA777, 0x0110])
def test_a_refusal_stops_that_object_shows_why_and_spares_the_others(migrated, film, pacs, status):
    put_results(migrated, film)

    def answer(ds):
        if ds.SOPClassUID != KINDS["SC"]:
            return 0x0000
        refusal = Dataset()
        refusal.Status = status
        refusal.ErrorComment = "quota of the site"
        return refusal

    pacs.answer = answer
    with migrated.running("send"):
        failed = wait_for(migrated, "SC", lambda row: row.state == "FAILED")
        wait_for(migrated, "SR", lambda row: row.state == "SENT")
    assert failed.peer_status == status
    assert failed.reason == f"status 0x{status:04X}: quota of the site"


def test_a_warning_is_done_and_recorded(migrated, film, pacs):
    put_results(migrated, film)
    pacs.answer = lambda ds: 0xB000
    with migrated.running("send"):
        row = wait_for(migrated, "SC", lambda row: row.state == "SENT")
    assert (row.peer_status, row.reason) == (0xB000, "warning, status 0xB000")


def test_a_class_that_the_peer_does_not_take_fails_at_once_and_by_name(tmp_path, film):
    pacs = Pacs([build_context(KINDS["SC"], [ExplicitVRLittleEndian])])
    node = Node(tmp_path, {"pacs": pacs.port})
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        failed = wait_for(node, "SR", lambda row: row.state == "FAILED")
        wait_for(node, "SC", lambda row: row.state == "SENT")
    assert failed.reason == "the peer accepted no presentation context for Comprehensive SR Storage"
    assert failed.attempts == 1
    pacs.close()
    node.engine.dispose()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_results_are_sent_in_the_syntax_that_the_peer_accepts(tmp_path, film, syntax):
    pacs = Pacs([build_context(uid, [ExplicitVRBigEndian, syntax]) for uid in KINDS.values()])
    node = Node(tmp_path, {"pacs": pacs.port})
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
    assert {ds.file_meta.TransferSyntaxUID for ds in pacs.received} == {syntax}
    assert {str(ds.PatientName) for ds in pacs.received} == {"Buc^Jérôme"}
    pacs.close()
    node.engine.dispose()


def test_names_that_do_not_decode_reach_a_peer_that_takes_implicit_vr_only_as_they_came(tmp_path, film):
    pacs = Pacs([build_context(uid, [ImplicitVRLittleEndian]) for uid in KINDS.values()])
    node = Node(tmp_path, {"pacs": pacs.port})
    node.migrate()
    declared, name = received.NATIONAL["wrongly declared"]
    received.write_national_film(tmp_path / "film.dcm", declared, name)
    sent = pydicom.dcmread(tmp_path / "film.dcm")
    put_results(node, lambda **changes: with_elements(sent, changes))
    with node.running("send"):
        servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
    assert len(pacs.raw) == 2
    assert all(name in raw for raw in pacs.raw)
    pacs.close()
    node.engine.dispose()


def with_elements(ds, changes):
    """A copy of a data set in which only `changes` have been touched."""
    copied = copy.deepcopy(ds)
    for keyword, value in changes.items():
        setattr(copied, keyword, value)
    copied.file_meta.MediaStorageSOPInstanceUID = copied.SOPInstanceUID
    copied.file_meta.MediaStorageSOPClassUID = copied.SOPClassUID
    return copied


def test_a_dead_peer_gets_its_results_when_it_is_back(tmp_path, film):
    port = servers.free_port()
    node = Node(tmp_path, {"pacs": port})
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        waiting = wait_for(node, "SC", lambda row: row.attempts == 1 and row.state == "PENDING")
        assert waiting.reason == f"no association with PACS at 127.0.0.1:{port}"
        pacs = Pacs(port=port)
        servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
    assert len(pacs.received) == 2
    pacs.close()
    node.engine.dispose()


def test_a_peer_that_hangs_up_in_the_middle_gets_the_object_again(migrated, film, pacs):
    put_results(migrated, film)
    hung_up = []

    def answer(ds):
        if not hung_up:
            hung_up.append(True)
            pacs.abort_all()
        return 0x0000

    pacs.answer = answer
    with migrated.running("send"):
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
    assert {row.attempts for row in migrated.deliveries()} == {2}


def test_a_destination_that_is_down_does_not_hold_up_another(tmp_path, film, pacs):
    node = Node(tmp_path, {"down": servers.free_port(), "pacs": pacs.port})
    node.migrate()
    put_results(node, film, destinations=("down", "pacs"))
    with node.running("send"):
        servers.wait_until(lambda: len(pacs.received) == 2)
    states = {(row.destination, row.state) for row in node.deliveries()}
    assert states == {("down", "PENDING"), ("pacs", "SENT")}
    node.engine.dispose()


def test_a_delivery_is_given_up_after_the_time_of_its_destination(tmp_path, film):
    node = Node(tmp_path, {"pacs": servers.free_port()})
    node.config.write_text(node.config.read_text() + "\ngive_up_hours = 1e-9\n")
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        failed = wait_for(node, "SC", lambda row: row.state == "FAILED")
    assert failed.reason.startswith("given up after 1e-09 hours: no association")
    node.engine.dispose()


def test_send_once_drains_what_is_due_and_ends(migrated, film, pacs):
    for number in (1, 2, 3):
        put_results(migrated, film, number)
    assert migrated.firstread("send", "--once").returncode == 0
    assert len(pacs.received) == 6


def test_the_error_comment_of_a_peer_reaches_no_log(migrated, film, pacs):
    put_results(migrated, film)

    def answer(_ds):
        refusal = Dataset()
        refusal.Status = 0xC000
        refusal.ErrorComment = "PLANTED^NAME"
        return refusal

    pacs.answer = answer
    with migrated.running("send"):
        wait_for(migrated, "SC", lambda row: row.state == "FAILED")
    assert "PLANTED" not in migrated.log_text()
    assert "0xC000" in migrated.log_text()
