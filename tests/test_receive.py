"""daemon/receive.py: a real receiver process and real associations on loopback."""

import os
import re
import socket
import sqlite3
import struct
import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import servers
from blake3 import blake3
from node import Node
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA

from daemon.receive import TRANSFER_SYNTAXES


@pytest.fixture
def receiver(node):
    with node.running("receive"):
        yield node


def statuses(answers):
    return [answer.get("Status") for answer in answers]


def data_set_bytes(path):
    """Bytes after the file meta information."""
    raw = Path(path).read_bytes()
    return raw[144 + struct.unpack("<I", raw[140:144])[0] :]


def test_an_acknowledged_film_is_spooled_byte_for_byte_and_queued(receiver, film, tmp_path):
    ds = film()
    ds.save_as(tmp_path / "sent.dcm", enforce_file_format=True)
    assert statuses(receiver.store(ds)) == [0x0000]
    [row] = receiver.films()
    [spooled] = receiver.spooled("films")
    assert data_set_bytes(spooled) == data_set_bytes(tmp_path / "sent.dcm")
    assert row.digest == blake3(data_set_bytes(spooled)).hexdigest()
    assert (row.state, row.sop_instance_uid, row.accession_number) == ("QUEUED", ds.SOPInstanceUID, "A4711")
    assert row.calling_ae_title == "MODALITY"
    assert receiver.spooled("incoming") == []


def test_the_name_of_a_spooled_file_says_nothing_of_the_film(receiver, film):
    ds = film()
    receiver.store(ds)
    [spooled] = receiver.spooled("films")
    for value in (ds.PatientID, str(ds.PatientName), ds.SOPInstanceUID, ds.AccessionNumber):
        assert value not in spooled.name


def test_patient_identity_reaches_neither_log_nor_database(receiver, film):
    receiver.store(film(PatientName="PLANTED^NAME", PatientID="PLANTED-ID", PatientBirthDate="19010203"))
    dump = receiver.log_text() + str(receiver.films())
    for planted in ("PLANTED", "19010203"):
        assert planted not in dump


def test_every_transfer_syntax_of_a_film_is_accepted_and_kept(receiver, film):
    ds = film()
    ae = AE(ae_title="MODALITY")
    for syntax in TRANSFER_SYNTAXES:
        ae.add_requested_context(ds.SOPClassUID, syntax)
    assoc = ae.associate("127.0.0.1", receiver.port)
    accepted = {context.transfer_syntax[0] for context in assoc.accepted_contexts}
    assoc.release()
    assert accepted == set(TRANSFER_SYNTAXES)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_a_film_is_kept_under_the_syntax_negotiated(receiver, film, tmp_path, syntax):
    ds = film()
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = ds.pixel_array.byteswap().tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        tmp_path / "sent.dcm", ds, force_encoding=True,
        implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
    )  # fmt: skip
    sent = pydicom.dcmread(tmp_path / "sent.dcm")
    assert statuses(receiver.store(sent)) == [0x0000]
    [spooled] = receiver.spooled("films")
    kept = pydicom.dcmread(spooled)
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.AccessionNumber == "A4711"


def test_classes_that_are_not_configured_are_rejected_and_the_association_lives(receiver, film):
    ct, cr = film(SOPClassUID=CTImageStorage, Modality="CT"), film()
    with receiver.association(ct, cr) as assoc:
        assert [context.abstract_syntax for context in assoc.rejected_contexts] == [CTImageStorage]
        assert assoc.send_c_store(cr).Status == 0x0000
        assert assoc.send_c_echo().Status == 0x0000


def test_a_configured_private_class_is_stored_like_any(tmp_path, film):
    private = "1.2.276.0.19.55.1.5.1.1.1"
    node = Node(tmp_path, tables={"node": {"accept": [private, "1.2.840.10008.5.1.4.1.1.6"]}})
    with node.running("receive"):
        assert statuses(node.store(film(SOPClassUID=private))) == [0x0000]
        assert statuses(node.store(film(SOPClassUID="1.2.840.10008.5.1.4.1.1.6"))) == [0x0000]
    node.engine.dispose()


def test_the_same_bytes_again_are_a_success_without_a_second_job(receiver, film):
    ds = film()
    assert statuses(receiver.store(ds, ds)) == [0x0000, 0x0000]
    assert len(receiver.films()) == 1
    assert len(receiver.spooled("films")) == 1


def test_other_bytes_under_a_known_uid_are_kept_apart_and_logged(receiver, film):
    ds = film()
    receiver.store(ds)
    ds.AccessionNumber = "A4712"
    assert statuses(receiver.store(ds)) == [0x0000]
    first, second = receiver.films()
    assert (first.state, second.state, second.conflict_with) == ("QUEUED", "QUEUED", first.id)
    assert len(receiver.spooled("films")) == 2
    assert "came again with other bytes" in receiver.log_text()


def send_raw(assoc, sop_class_uid, sop_instance_uid, data_set):
    """A C-STORE whose command and data set are what the test says, not what a well-made peer would send."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class_uid
    request.Priority = 2
    request.DataSet = BytesIO(data_set)
    context = next(c for c in assoc.accepted_contexts if c.abstract_syntax == sop_class_uid)
    assoc._reactor_checkpoint.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the very UIDs that are wanted here
        request.AffectedSOPInstanceUID = sop_instance_uid
        assoc.dimse.send_msg(request, context.context_id)
        _, answer = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    return answer.Status


def encoded(ds, tmp_path):
    ds.save_as(tmp_path / "encoded.dcm", enforce_file_format=True)
    return data_set_bytes(tmp_path / "encoded.dcm")


def test_bad_data_sets_get_the_status_of_the_standard_leave_nothing_and_the_association_lives(
    receiver, film, tmp_path
):
    ds = film()
    body = encoded(ds, tmp_path)
    with receiver.association(ds) as assoc:
        assert send_raw(assoc, ds.SOPClassUID, generate_uid(), body) == 0xA900
        assert send_raw(assoc, ds.SOPClassUID, "../../etc/passwd", body) == 0xC000
        assert send_raw(assoc, ds.SOPClassUID, ds.SOPInstanceUID, b"\x08\x00junk" * 40) == 0xC000
        assert receiver.films() == []
        assert receiver.spooled("films") == receiver.spooled("incoming") == []
        assert assoc.send_c_store(ds).Status == 0x0000


def test_store_answers_out_of_resources_when_the_disk_is_nearly_full(tmp_path, film):
    node = Node(tmp_path, tables={"storage": {"floor_mib": 1 << 40}})
    with node.running("receive"):
        [answer] = node.store(film())
    assert answer.Status == 0xA700
    assert "MiB free" in answer.ErrorComment
    assert node.spooled("films") == node.spooled("incoming") == []
    node.engine.dispose()


def test_store_answers_out_of_resources_when_the_database_is_away(tmp_path, film, postgresql_url):
    url = servers.fresh_database(postgresql_url)
    node = Node(tmp_path, database_url=url)
    with node.running("receive"):
        assert statuses(node.store(film())) == [0x0000]
        node.engine.dispose()
        servers.drop_database(url)
        with node.association(film()) as assoc:
            assert assoc.send_c_store(film()).Status == 0xA700
            assert assoc.send_c_echo().Status == 0x0000
    assert len(node.spooled("films")) == 1


def test_an_aborted_transfer_leaves_no_file(receiver, film, tmp_path):
    ds = film()
    with receiver.association(ds) as assoc:
        context = assoc.accepted_contexts[0]
        half = P_DATA()
        command = bytes.fromhex("00000000040000003e000000")
        half.presentation_data_value_list = [[context.context_id, b"\x01" + command]]
        assoc.dul.send_pdu(half)
        first_part = _command_set(ds)
        begun = P_DATA()
        begun.presentation_data_value_list = [
            [context.context_id, b"\x03" + first_part],
            [context.context_id, b"\x00" + b"\x08\x00" * 1000],
        ]
        assoc.dul.send_pdu(begun)
        servers.wait_until(lambda: receiver.spooled("incoming"), what="a file being written")
        assoc.abort()
    servers.wait_until(lambda: not receiver.spooled("incoming"), what="its removal")
    assert receiver.films() == []


def _command_set(ds):
    command = Dataset()
    command.AffectedSOPClassUID = ds.SOPClassUID
    command.CommandField = 0x0001
    command.MessageID = 1
    command.Priority = 2
    command.CommandDataSetType = 0x0001
    command.AffectedSOPInstanceUID = ds.SOPInstanceUID
    return encode(command, True, True)


def test_a_film_over_the_limit_ends_its_association_and_leaves_nothing(tmp_path, film):
    node = Node(tmp_path, tables={"node": {"most_film_mib": 1}})
    big = film(pixels=np.zeros((2000, 2000), np.uint16))
    with node.running("receive"):
        with node.association(big) as assoc:
            assert "Status" not in assoc.send_c_store(big)
        servers.wait_until(lambda: not node.spooled("incoming"), what="its removal")
        assert statuses(node.store(film(pixels=np.zeros((500, 500), np.uint16)))) == [0x0000]
    assert "over 1 MiB" in node.log_text()
    node.engine.dispose()


def test_too_many_associations_are_rejected_and_logged_with_the_caller(tmp_path, film):
    node = Node(tmp_path, tables={"node": {"most_associations": 2}})
    with node.running("receive"):
        with node.association(film()), node.association(film()):
            with node.association(film(), ae_title="THIRD") as third:
                assert third.is_rejected
            assert third.acceptor.primitive.result == 2
        servers.wait_until(lambda: "'THIRD'" in node.log_text(), what="log line")
        servers.wait_until(lambda: _stored(node, film()), what="room again")
    node.engine.dispose()


def test_check_tells_how_many_associations_are_open_and_were_rejected(tmp_path, film):
    node = Node(tmp_path, tables={"node": {"most_associations": 2}})
    with node.running("receive"), node.association(film()), node.association(film()):
        with node.association(film()) as third:
            assert third.is_rejected
        told = r"receive@\S+ \d+ s ago, 2 associations open, 1 rejected since its start"
        servers.wait_until(lambda: re.search(told, node.firstread("check").stdout), 60)
    node.engine.dispose()


def test_a_film_waits_for_a_locked_database_and_is_refused_when_that_takes_too_long(receiver, film):
    def store_while_locked(seconds):
        with sqlite3.connect(receiver.folder / "firstread.db", isolation_level=None) as locker:
            locker.execute("BEGIN IMMEDIATE")
            storing = threading.Thread(target=lambda: answers.extend(statuses(receiver.store(film()))))
            storing.start()
            storing.join(seconds)
            locker.execute("ROLLBACK")
            storing.join()

    answers = []
    store_while_locked(1.5)
    assert (answers, len(receiver.films())) == ([0x0000], 1)
    store_while_locked(60)
    assert (answers, len(receiver.films())) == ([0x0000, 0xA700], 1)
    assert len(receiver.spooled("films")) == 1


def _stored(node, ds):
    with node.association(ds) as assoc:
        return assoc.is_established and assoc.send_c_store(ds).Status == 0x0000


def test_only_callers_on_the_list_get_an_association(tmp_path, film):
    node = Node(tmp_path, tables={"node": {"calling_ae_titles": ["CR1"], "require_called_ae_title": True}})
    with node.running("receive"):
        with node.association(film(), ae_title="CR1") as known:
            assert known.is_established
        with node.association(film(), ae_title="OTHER") as unknown:
            assert unknown.is_rejected
    assert "'OTHER'" in node.log_text()
    node.engine.dispose()


def test_an_idle_association_is_ended(tmp_path, film):
    node = Node(tmp_path, tables={"node": {"idle_timeout_seconds": 1.0}})
    with node.running("receive"), node.association(film()) as assoc:
        servers.wait_until(lambda: not assoc.is_established, 10, "end of the idle association")
    node.engine.dispose()


def test_junk_on_the_port_does_not_stop_the_receiver(receiver, film):
    for junk in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", os.urandom(500)):
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            connection.sendall(junk)
    assert statuses(receiver.store(film())) == [0x0000]


def test_ten_big_films_at_once_stay_under_a_memory_bound(tmp_path, film):
    node = Node(tmp_path)
    noise = np.random.default_rng(1).integers(0, 4095, (4000, 3750), np.uint16)  # 30 MB
    films = [film(pixels=noise) for _ in range(10)]
    with node.running("receive") as [process]:
        before = peak_memory_mib(process.pid)
        threads = [threading.Thread(target=node.store, args=(ds,)) for ds in films]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        grown = peak_memory_mib(process.pid) - before
    assert len(node.films()) == 10
    assert grown < 60
    node.engine.dispose()


def peak_memory_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) >> 10
    raise LookupError("VmHWM")


def test_a_port_in_use_is_one_clear_line_and_nothing_half_started(receiver):
    folder = receiver.folder / "other"
    folder.mkdir()
    other = Node(folder)
    other.config.write_text(
        other.config.read_text().replace(f"port = {other.port}", f"port = {receiver.port}")
    )
    ended = other.firstread("receive")
    assert ended.returncode == 1
    assert f"[node] port {receiver.port} on 127.0.0.1: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    other.engine.dispose()
