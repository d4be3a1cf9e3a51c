"""daemon/send.py: a real sender process and a real Storage SCP that answers what the test says."""

import copy
import datetime
import signal
import socket
import threading

import pydicom
import pytest
import received
import servers
from node import Node, Pacs
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context

from daemon import service
from storage import claims, database, destinations, films
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.spool import Spool
from storage.tables import destination

KINDS = {"SC": SecondaryCaptureImageStorage, "SR": ComprehensiveSRStorage}


def put_results(node, film, number=1, destinations=("pacs",)):
    """A film that has been read, its two results spooled and pending; their UIDs by kind."""
    spool = Spool(node.folder / "spool")
    new, uids = [], {}
    for kind, sop_class in KINDS.items():
        ds = film(SOPClassUID=sop_class, SOPInstanceUID=f"2.25.{number}{len(uids)}")
        name = spool.write_result(
            ds.SOPInstanceUID, lambda file, ds=ds: ds.save_as(file, enforce_file_format=True)
        )
        uids[kind] = ds.SOPInstanceUID
        new += [NewDelivery(kind, to, sop_class, ds.SOPInstanceUID, name) for to in destinations]
    put_read_film(node, number, new)
    return uids


def put_message(node, kind, uid, content, suffix, number=1):
    """A film that has been read and its message or notification, spooled and pending; the file."""
    spool = Spool(node.folder / "spool")
    name = spool.write_result(uid, lambda file: file.write(content), suffix)
    put_read_film(node, number, [NewDelivery(kind, "pacs", "", uid, name)])
    return spool.path(name)


def put_read_film(node, number, new):
    """A film that has been read, with deliveries."""
    now = service.now()
    job = films.enqueue(
        node.engine,
        ReceivedFilm(
            f"1.2.{number}", "1.2", "1.5", "A1", "CR", "1.2", f"{number:064x}", 10,
            "films/aa/" + "a" * 32 + ".dcm", "MOD", "FIRSTREAD", "127.0.0.1",
        ),
        now,
    ).job  # fmt: skip
    claims.claim(node.engine, "test", 1, now, now + datetime.timedelta(minutes=1))
    films.finish_read(node.engine, job, "test", now, {"decision": "normal"}, new)


@pytest.fixture
def migrated(node):
    node.migrate()
    return node


def row_of(node, kind):
    return next(row for row in node.deliveries() if row.kind == kind)


def destination_of(node, name="pacs"):
    with database.reading(node.engine) as connection:
        return destinations.get(connection, name)


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


def test_results_that_come_one_after_another_go_on_one_association_which_is_released(migrated, film, pacs):
    with migrated.running("send"):
        for number in (1, 2, 3):
            put_results(migrated, film, number)
            servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
        assert (pacs.associations, pacs.releases) == (1, 0)
    assert (pacs.associations, pacs.releases) == (1, 1)


@pytest.mark.parametrize("end", ["abort", "release"])
def test_a_peer_may_end_an_association_that_rests(migrated, film, pacs, end):
    with migrated.running("send"):
        put_results(migrated, film, 1)
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
        pacs.release_all() if end == "release" else pacs.abort_all()
        put_results(migrated, film, 2)
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
    assert (pacs.associations, pacs.releases) == (2, 1 if end == "abort" else 2)
    assert {row.attempts for row in migrated.deliveries()} == {1}
    assert "takes nothing now" not in migrated.log_text()


def test_a_reload_ends_the_association_that_rests(migrated, film, pacs):
    with migrated.running("send") as (sender,):
        put_results(migrated, film, 1)
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
        sender.send_signal(signal.SIGHUP)
        servers.wait_until(lambda: pacs.releases == 1)
        put_results(migrated, film, 2)
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"})
    assert pacs.associations == 2


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


def test_an_error_comment_that_is_no_text_is_kept_as_far_as_it_is_and_sent_for_once(
    tmp_path, film, pacs, postgresql_url
):
    node = Node(tmp_path, {"pacs": pacs.port}, database_url=servers.fresh_database(postgresql_url))
    node.migrate()
    put_results(node, film)

    def answer(_ds):
        refusal = Dataset()
        refusal.Status = 0xA900
        refusal.ErrorComment = "quota\0of\x1bthe site"
        return refusal

    pacs.answer = answer
    with node.running("send"):
        failed = wait_for(node, "SC", lambda row: row.state == "FAILED")
        wait_for(node, "SR", lambda row: row.state == "FAILED")
    assert (failed.reason, failed.attempts) == ("status 0xA900: quota?of?the site", 1)
    node.engine.dispose()


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
        down = servers.wait_until(lambda: destination_of(node))
        assert (down.state, down.last_error) == ("DOWN", f"no association with PACS at 127.0.0.1:{port}")
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
    assert [row.attempts for row in migrated.deliveries()] == [2, 1]


def test_a_class_that_is_the_only_one_proposed_and_is_not_taken_fails_at_once_and_by_name(tmp_path, film):
    pacs = Pacs([build_context(ComputedRadiographyImageStorage)])
    node = Node(tmp_path, {"pacs": pacs.port})
    node.migrate()
    put_results(node, film)
    with node.running("send"):
        servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"FAILED"})
    assert [row.reason for row in node.deliveries()] == [
        "the peer accepted no presentation context for Secondary Capture Image Storage",
        "the peer accepted no presentation context for Comprehensive SR Storage",
    ]
    assert {row.attempts for row in node.deliveries()} == {1}
    assert destination_of(node).state == "UP"
    pacs.close()
    node.engine.dispose()


def test_a_destination_that_is_away_gets_one_connection_a_wait_and_no_results_attempts_are_counted(
    tmp_path, film
):
    with DeadPeer() as peer:
        node = Node(tmp_path, {"pacs": peer.port})
        node.migrate()
        for number in range(1, 21):
            put_results(node, film, number)
        with node.running("send"):
            servers.wait_until(lambda: (row := destination_of(node)) and row.failures >= 2)
            assert peer.connections == destination_of(node).failures
        assert {(row.state, row.attempts) for row in node.deliveries()} == {("PENDING", 0)}
        # What was found outlives the sender: the next one waits for the probe's time.
        before = peer.connections, destination_of(node)
        assert node.firstread("send", "--once").returncode == 0
        if service.now() < before[1].next_probe_at:  # unless the machine was slow to start it
            assert (peer.connections, destination_of(node)) == before
        port = peer.port
    assert "PROBLEM destination pacs: no association" in node.firstread("check").stdout
    assert "destination pacs takes nothing since" in node.firstread("tail").stdout
    assert "destination pacs takes nothing since" in node.firstread("show", "1").stdout
    make_probe_due(node)
    pacs = Pacs(port=port)
    with node.running("send"):
        servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
    assert {row.attempts for row in node.deliveries()} == {1}
    assert len(pacs.received) == 40
    # What waited goes on the association of the probe.
    assert pacs.associations == 1
    assert "destination pacs" not in node.firstread("tail").stdout
    pacs.close()
    node.engine.dispose()


def test_a_destination_without_space_gets_one_object_a_wait_and_everything_once_it_has_space(
    migrated, film, pacs
):
    for number in range(1, 11):
        put_results(migrated, film, number)
    asked = []

    def answer(ds):
        asked.append(ds.SOPInstanceUID)
        return 0xA700

    pacs.answer = answer
    with migrated.running("send"):
        servers.wait_until(lambda: (row := destination_of(migrated)) and row.failures == 2)
        assert len(asked) == 2
        rows = migrated.deliveries()
        assert sum(row.attempts for row in rows) == 2
        assert "takes nothing since" in migrated.firstread("check").stdout
        pacs.answer = lambda ds: 0x0000
        # A machine that was slow to check has let a third probe fail, whose wait is longer.
        servers.wait_until(lambda: {row.state for row in migrated.deliveries()} == {"SENT"}, 90)
    assert sum(row.attempts for row in migrated.deliveries()) == 20 + len(asked)
    assert "last result taken at" in migrated.firstread("check").stdout


def test_an_object_that_makes_its_peer_hang_up_does_not_hold_up_the_others(migrated, film, pacs):
    poison = put_results(migrated, film, 1)["SC"]
    put_results(migrated, film, 2)

    def answer(ds):
        if ds.SOPInstanceUID == poison:
            pacs.abort_all()
        return 0x0000

    pacs.answer = answer
    with migrated.running("send"):
        servers.wait_until(lambda: [row.state for row in migrated.deliveries()].count("SENT") == 3)
        assert row_of(migrated, "SC").state in ("PENDING", "SENDING")


def test_a_fault_of_ours_makes_no_destination_down(migrated, film, pacs):
    put_results(migrated, film)
    (migrated.folder / "spool" / row_of(migrated, "SC").spool_name).write_bytes(b"no DICOM file")
    with migrated.running("send"):
        wait_for(migrated, "SR", lambda row: row.state == "SENT")
        waiting = wait_for(migrated, "SC", lambda row: row.reason)
    assert waiting.reason.startswith("not sent, a fault of ours: InvalidDicomError")
    assert destination_of(migrated).state == "UP"


class DeadPeer:
    """A port that takes TCP connections and ends each at once, and counts them."""

    def __enter__(self):
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def make_probe_due(node):
    with node.engine.begin() as connection:
        connection.execute(destination.update().values(next_probe_at=service.now()))


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


def test_what_waits_from_when_its_destination_was_of_another_kind_fails_and_the_rest_is_sent(
    migrated, film, pacs
):
    put_message(migrated, "ORU", "2.25.5", b"MSH|", ".hl7", number=1)
    assert migrated.firstread("send", "--once").returncode == 0
    put_results(migrated, film, number=2)
    assert migrated.firstread("send", "--once").returncode == 0
    message, *results = migrated.deliveries()
    assert (message.state, message.reason) == ("FAILED", "not sent: a destination of kind dimse takes no ORU")
    assert {row.state for row in results} == {"SENT"}


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
