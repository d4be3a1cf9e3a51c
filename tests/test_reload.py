"""SIGHUP to real processes: what changed in the config is taken over, and nothing is dropped for it."""

import signal
import socket
import ssl
import subprocess
import threading

import pytest
import servers
from conftest import make_film
from node import Node, Pacs
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
from test_send import put_results
from test_tls import Authority, echo

SMALL = {"model": {"version": "gao-2020-small", "batch_size": 2}}


def make_dx():
    return make_film(SOPClassUID=DigitalXRayImageStorageForPresentation, Modality="DX")


def reload(node, process, times=1):
    """Send SIGHUP and wait until the log says so many times that a config was taken over."""
    process.send_signal(signal.SIGHUP)
    servers.wait_until(lambda: node.log_text().count("config reloaded") >= times, 180, "reload")


def refusal(node, process, faults=1):
    """Send SIGHUP with a config that has so many faults; what the log says of them, a line each."""
    process.send_signal(signal.SIGHUP)
    told = "config not reloaded, the running one stays in force: "
    servers.wait_until(lambda: node.log_text().count(told) >= faults, 60, "refusal")
    return [line.partition(told)[2] for line in node.log_text().splitlines() if told in line]


def test_an_open_association_goes_on_and_the_next_ones_meet_the_new_config(node, film):
    with node.running("receive") as [process], node.association(film()) as before:
        assert before.send_c_store(film()).Status == 0x0000
        node.configure(
            tables={
                "node": {
                    "ae_title": "READER",
                    "calling_ae_titles": ["CR1"],
                    "accept": ["DigitalXRayImageStorageForPresentation"],
                    "most_film_mib": 1,
                }
            }
        )
        reload(node, process)
        assert before.send_c_store(film()).Status == 0x0000
        # Two mebibytes, which the limit of its own time allows.
        assert before.send_c_store(film(pixels=make_film().pixel_array.repeat(4, 0))).Status == 0x0000
        with node.association(make_dx()) as stranger:
            assert stranger.is_rejected
        with node.association(make_dx(), film(), ae_title="CR1") as after:
            accepted = {context.abstract_syntax for context in after.accepted_contexts}
            assert DigitalXRayImageStorageForPresentation in accepted
            assert ComputedRadiographyImageStorage not in accepted
            assert after.send_c_store(make_dx()).Status == 0x0000
        with node.association(make_dx(), ae_title="CR1") as large:
            ds = make_dx()
            ds.PixelData *= 4
            ds.Rows *= 4
            assert "Status" not in large.send_c_store(ds)
        assert before.is_established
        assert process.poll() is None
    assert len(node.films()) == 4


def test_what_takes_a_restart_is_named_and_the_rest_is_taken(node, film):
    elsewhere = {"port": servers.free_port(), "host": "127.0.0.2"}
    with node.running("receive", "send") as [receiver, sender]:
        node.configure(
            tables={
                "node": {**elsewhere, "calling_ae_titles": ["CR1"]},
                "tls": {"port": servers.free_port(), "certificate_file": "server.pem"},
                "storage": {"database": "sqlite:////elsewhere.db", "spool": "/elsewhere"},
            }
        )
        reload(node, receiver)
        told = [line for line in node.log_text().splitlines() if "at the next restart only" in line]
        assert [line.partition("] ")[2].partition(":")[0] for line in told] == [
            "[node] host", "[node] port", "[tls] port", "[tls] certificate_file", "[storage] database",
            "[storage] spool",
        ]  # fmt: skip
        with node.association(film()) as stranger:
            assert stranger.is_rejected
        with node.association(film(), ae_title="CR1") as assoc:
            assert assoc.send_c_store(film()).Status == 0x0000
        reload(node, sender, times=2)
        assert node.log_text().count("at the next restart only") == 8
    assert len(node.films()) == 1


@pytest.mark.parametrize("role", ["receive", "send", "run"])
def test_a_config_with_faults_leaves_the_running_one_in_force_and_every_fault_is_told(role, node, film):
    with node.running(role) as [process]:
        node.configure(tables={"node": {"port": 0, "colour": "blue"}, "model": {"batch_size": "many"}})
        faults = refusal(node, process, faults=3)
        assert [fault.split(": ")[1] for fault in faults] == [
            "[node] port", "[node] colour", "[model] batch_size",
        ]  # fmt: skip
        node.configure()
        reload(node, process)
        if role != "send":
            assert [answer.Status for answer in node.store(film())] == [0x0000]


def test_a_renewed_certificate_is_shown_to_the_next_peer_and_a_bad_one_is_not_taken(tmp_path):
    authority = Authority(tmp_path)
    first, second = authority.sign("first"), authority.sign("second")
    table = {"certificate_file": first[0], "key_file": first[1], "port": servers.free_port()}
    node = Node(tmp_path, tables={"tls": table})
    node.tls_port = table["port"]
    with node.running("receive") as [process]:
        assert shown(node) == "first"
        node.configure(tables={"tls": table | {"certificate_file": second[0], "key_file": first[1]}})
        assert len(refusal(node, process)) == 1
        assert shown(node) == "first"
        node.configure(tables={"tls": table | {"certificate_file": second[0], "key_file": second[1]}})
        reload(node, process)
        assert shown(node) == "second"
        assert echo(node, authority)
    node.engine.dispose()


def shown(node):
    """Common name in the certificate that the port for TLS shows."""
    context = ssl.create_default_context(cafile=node.folder / "ca.pem")
    with (
        socket.create_connection(("127.0.0.1", node.tls_port)) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as secure,
    ):
        return secure.getpeercert()["subject"][0][0][1]


def test_a_changed_destination_gets_the_rest_after_the_object_in_hand(node, film, pacs):
    node.migrate()
    first = put_results(node, film, 1)
    second = put_results(node, film, 2)
    elsewhere, held, go_on = Pacs(), threading.Event(), threading.Event()

    def hold(_ds):
        held.set()
        go_on.wait(60)
        return 0x0000

    pacs.answer = hold
    try:
        with node.running("send") as [process]:
            assert held.wait(60)
            node.configure({"pacs": elsewhere.port})
            reload(node, process)
            assert not elsewhere.received
            go_on.set()
            servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"}, 60)
            assert process.poll() is None
    finally:
        elsewhere.close()
    assert [ds.SOPInstanceUID for ds in pacs.received] == [first["SC"]]
    assert sorted(ds.SOPInstanceUID for ds in elsewhere.received) == sorted([first["SR"], *second.values()])


def test_new_and_removed_destinations_lose_and_double_nothing(node, film, pacs):
    node.migrate()
    added = Pacs()
    node.configure({"pacs": pacs.port, "removed": servers.free_port()})
    try:
        with node.running("send") as [process]:
            put_results(node, film, 1, ["pacs", "removed", "added"])
            servers.wait_until(lambda: len(pacs.received) == 2, 60)
            node.configure({"pacs": pacs.port, "added": added.port})
            reload(node, process)
            servers.wait_until(lambda: len(added.received) == 2, 60)
            servers.wait_until(lambda: "removed: no longer a destination" in node.log_text(), 60)
            put_results(node, film, 2, ["pacs", "removed", "added"])
            servers.wait_until(lambda: len(pacs.received) == len(added.received) == 4, 60)
    finally:
        added.close()
    states = {(row.destination, row.state) for row in node.deliveries()}
    assert states == {("pacs", "SENT"), ("added", "SENT"), ("removed", "PENDING")}
    assert pacs.associations + added.associations <= 4


def test_the_reader_goes_on_under_the_new_config_and_refuses_a_model_that_is_not_there(
    tmp_path, film, chest, pacs
):
    node = Node(tmp_path, {"pacs": pacs.port}, tables=SMALL)
    with node.running("receive", "read", "send") as [_, reader, _]:
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(4)])
        node.configure({"pacs": pacs.port}, SMALL | {"results": {"modality": "film", "longest_side": 512}})
        reload(node, reader)
        later = [film(pixels=chest[::3, ::3] + number) for number in (9, 10)]
        node.store(later[0])
        rows = node.wait_for_ends(5, 180)
        assert [(row.state, row.attempts) for row in rows] == [("READ", 1)] * 5
        node.configure({"pacs": pacs.port}, {"model": {"version": "absent"}})
        assert "absent" in refusal(node, reader)[0]
        node.store(later[1])
        node.wait_for_ends(6, 180)
        assert reader.poll() is None
    captures = {
        one.SourceImageSequence[0].ReferencedSOPInstanceUID: (one.Modality, max(one.Rows, one.Columns))
        for one in pacs.of(SecondaryCaptureImageStorage)
    }
    assert len(captures) == 6
    assert [captures[one.SOPInstanceUID] for one in later] == [("CR", 512)] * 2
    node.engine.dispose()


@pytest.mark.parametrize(
    ("moment", "count", "reloads", "ends"),
    [(" ready", 5, 4, ["console ended with 0"]), ("send started as process", 1, 1, [])],
)
def test_run_passes_it_on_and_hurts_no_process_that_only_starts(moment, count, reloads, ends, node):
    with node.log.open("ab") as log:
        process = subprocess.Popen(node.command("run"), stderr=log)
        try:
            servers.wait_until(lambda: node.log_text().count(moment) == count, 120, moment)
            reload(node, process, reloads)
            # The console takes a changed config over by a new process.
            servers.wait_until(lambda: node.log_text().count(" ready") == 5 + len(ends), 120, "all ready")
            told = [line for line in node.log_text().splitlines() if "ended with" in line]
            assert [line.rpartition("] ")[2].partition(" after")[0] for line in told] == ends
        finally:
            servers.end(process, 60)
