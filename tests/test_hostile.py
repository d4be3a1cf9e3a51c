"""A real receiver process before peers that are hostile or clumsy, and bytes that no SCU would send."""

import contextlib
import io
import os
import socket
import struct
import subprocess
import threading
import time
import warnings

import foreign
import junk
import pytest
import servers
from conftest import make_film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node import Node
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from daemon.header import MOST_DEPTH, HeaderUnreadable, find_elements, read_header
from daemon.incoming import IncomingFiles
from storage.space import OutOfSpace
from storage.spool import Spool

# A bare door, quick to lose patience.
QUICK = {
    "acse_timeout_seconds": 2.0, "dimse_timeout_seconds": 2.0, "idle_timeout_seconds": 4.0,
    "most_film_mib": 8,
}  # fmt: skip
UNDEFINED = 0xFFFFFFFF
SEQUENCE = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<L", UNDEFINED)
ITEM = b"\xfe\xff\x00\xe0" + struct.pack("<L", UNDEFINED)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("node"), tables={"node": QUICK})
    with node.running("receive") as [process]:
        node.pid = process.pid
        yield node
        assert process.poll() is None
    node.engine.dispose()


def echo_seconds(node, source="127.0.0.1"):
    """How long a modality waits for a C-ECHO, association included."""
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(Verification)
    began = time.monotonic()
    assoc = ae.associate("127.0.0.1", node.port, ae_title="FIRSTREAD", bind_address=(source, 0))
    assert assoc.is_established
    status = assoc.send_c_echo().Status
    taken = time.monotonic() - began
    assoc.release()
    assert status == 0x0000
    return taken


@pytest.fixture(autouse=True)
def unharmed(request):
    """After every case the receiver answers within a second and keeps nothing half."""
    yield
    if "receiver" in request.fixturenames:
        node = request.getfixturevalue("receiver")
        assert echo_seconds(node) < 1.0
        servers.wait_until(lambda: not node.spooled("incoming"), 10, "removal of what was half sent")
        assert "Traceback" not in node.log_text()


def store(connection, sop_instance_uid, data_set, sop_class_uid=junk.CR):
    """Status of a C-STORE of these bytes; None where the node hangs up."""
    connection.sendall(junk.values(3, 3, junk.store_command(sop_instance_uid, sop_class_uid)))
    for at in range(0, len(data_set), 100_000):
        connection.sendall(junk.values(3, 0, data_set[at : at + 100_000]))
    connection.sendall(junk.values(3, 2, b""))
    answer = junk.receive(connection)
    return junk.status_of(answer) if answer[:1] == b"\x04" else None


def encoded(ds, tmp_path):
    ds.save_as(tmp_path / "encoded.dcm", enforce_file_format=True)
    raw = (tmp_path / "encoded.dcm").read_bytes()
    return raw[144 + struct.unpack("<I", raw[140:144])[0] :]


@pytest.mark.parametrize(
    "uid", ["../../../etc/passwd", "/etc/passwd", "1.2/../../3", "1.2\0/3", "1." * 60 + "1"]
)
def test_a_uid_that_is_a_path_or_too_long_is_refused_and_the_association_lives(receiver, uid):
    data_set = b"\x08\x00\x18\x00UI" + struct.pack("<H", len(uid)) + uid.encode()
    before = len(receiver.spooled("films"))
    with junk.association(receiver.port) as connection:
        assert store(connection, uid, data_set) == 0xC000
        connection.sendall(junk.values(1, 3, junk.echo_command()))
        assert junk.status_of(junk.receive(connection)) == 0x0000
    assert len(receiver.spooled("films")) == before


@pytest.mark.parametrize("depth", [MOST_DEPTH, 200_000])
def test_sequences_nested_too_deep_are_refused_and_the_association_lives(receiver, depth):
    with junk.association(receiver.port) as connection:
        assert store(connection, "1.2.3", (SEQUENCE + ITEM) * depth) == 0xC000
        assert store(connection, "1.2.4", SEQUENCE + ITEM * 30 + b"\0" * 8 * 40_000) == 0xC000


def test_a_length_of_gigabytes_in_a_data_set_allocates_nothing(receiver):
    before = junk.resident_mib(receiver.pid)
    with junk.association(receiver.port) as connection:
        for start in (
            b"\x08\x00\x18\x00UI\xff\xff",
            b"\x08\x00\x18\x00UN\0\0" + struct.pack("<L", 3_000_000_000),
        ):
            assert store(connection, "1.2.3", start + b"1.2.3\0") == 0xC000
        skipped = b"\x08\x00\x08\x00OB\0\0" + struct.pack("<L", 3_000_000_000)
        assert store(connection, "1.2.3", skipped + b"1.2.3\0") == 0xC000
    assert junk.resident_mib(receiver.pid) - before < 30


def test_a_pdu_of_gigabytes_ends_its_connection_and_allocates_nothing(receiver):
    before = junk.resident_mib(receiver.pid)
    with junk.connection(receiver.port) as connection:
        connection.sendall(struct.pack(">BxL", 1, 3_000_000_000) + b"\0" * 4096)
        assert junk.has_ended(connection)
    with junk.association(receiver.port) as connection:
        connection.sendall(struct.pack(">BxL", 4, 3_000_000_000) + b"\0" * 4096)
        assert junk.has_ended(connection)
    assert junk.resident_mib(receiver.pid) - before < 30


def test_a_film_of_65535_squared_that_is_not_there_is_kept_as_the_bytes_it_is(receiver, tmp_path):
    film = make_film(Rows=65535, Columns=65535)
    body = encoded(film, tmp_path)
    with junk.association(receiver.port) as connection:
        assert store(connection, film.SOPInstanceUID, body) == 0x0000


def test_a_film_of_65535_squared_that_is_there_ends_its_association(receiver, tmp_path):
    body = encoded(make_film(Rows=65535, Columns=65535, pixels=None), tmp_path)[:200_000]
    with junk.association(receiver.port) as connection:
        connection.sendall(junk.values(3, 3, junk.store_command("1.2.3")))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(junk.values(3, 0, body[:100_000]))
        assert junk.has_ended(connection)


def test_a_film_that_no_file_can_be_made_for_is_refused_at_its_end_and_the_association_lives(tmp_path, film):
    node = Node(tmp_path)
    ds = film()
    body = encoded(ds, tmp_path)
    with node.running("receive"), junk.association(node.port) as connection:
        (node.folder / "spool" / "incoming").rename(node.folder / "spool" / "gone")
        assert store(connection, ds.SOPInstanceUID, body) == 0xA700
        (node.folder / "spool" / "gone").rename(node.folder / "spool" / "incoming")
        assert store(connection, ds.SOPInstanceUID, body) == 0x0000
    assert len(node.films()) == len(node.spooled("films")) == 1
    node.engine.dispose()


def test_a_disk_that_fills_while_a_film_arrives_is_given_its_space_back_at_once(tmp_path):
    asked = []

    def require_space():
        asked.append(len(list(tmp_path.iterdir())))
        if len(asked) > 3:
            raise OutOfSpace("full")

    file = IncomingFiles(tmp_path, require_space).make(delete=False)
    for _ in range(40):
        file.take(memoryview(bytes(131072)))
    assert asked == [0, 1, 1, 1]
    assert (list(tmp_path.iterdir()), file.tell()) == ([], 40 * 131072)
    file.close()


def test_a_volume_above_the_watermark_takes_no_film_and_says_so(tmp_path, film):
    node = Node(tmp_path, tables={"storage": {"watermark_percent": 0.0001}})
    with node.running("receive"), node.association(film()) as assoc:
        answer = assoc.send_c_store(film())
        assert (answer.Status, assoc.send_c_echo().Status) == (0xA700, 0x0000)
    assert "% in use at" in answer.ErrorComment
    assert node.spooled("films") == node.spooled("incoming") == [] == node.films()
    node.engine.dispose()


@pytest.mark.parametrize(
    "title", [b"\xc4\xd6\xdcKLINIK", "病院".encode(), b"\xff" * 16, b"\x1b[31mRED", b"\0" * 16]
)
def test_an_ae_title_with_national_bytes_neither_harms_nor_forges_a_log_line(receiver, title, tmp_path):
    film = make_film()
    with junk.connection(receiver.port) as connection:
        connection.sendall(junk.associate_request(calling=title))
        if junk.receive(connection)[:1] == b"\x02":
            assert store(connection, film.SOPInstanceUID, encoded(film, tmp_path)) == 0x0000
    assert "\x1b" not in receiver.log_text()


def test_commands_that_make_no_sense_end_their_own_association(receiver):
    lone = junk.store_command("1.2.3")[:40]
    for part in (
        junk.values(3, 3, b""), junk.values(3, 3, lone), junk.values(99, 3, junk.store_command("1.2.3")),
        junk.values(3, 3, junk.store_command("1.2.3", "1.2.840.10008.5.1.4.1.1.77")),
        junk.pdu(4, b""), junk.pdu(4, struct.pack(">L", 1)), junk.pdu(4, struct.pack(">LB", 0, 3)),
        junk.pdu(2, b"\0" * 80), junk.pdu(9, b"\0" * 10), junk.pdu(1, b"\0" * 80),
    ):  # fmt: skip
        with junk.association(receiver.port) as connection:
            connection.sendall(part)
            connection.settimeout(10)
            assert junk.has_ended(connection), part


def test_half_an_association_is_ended_in_time(receiver):
    request = junk.associate_request()
    with contextlib.ExitStack() as stack:
        halves = [stack.enter_context(junk.connection(receiver.port)) for _ in range(10)]
        for number, half in enumerate(halves):
            half.sendall(request[: number * len(request) // 10])
        assert echo_seconds(receiver) < 1.0
        assert all(junk.has_ended(half) for half in halves)


def test_one_byte_a_second_holds_neither_a_connection_nor_an_association(receiver):
    with junk.connection(receiver.port) as before, junk.association(receiver.port) as within:
        within.sendall(junk.values(3, 3, junk.store_command("1.2.3")))
        slow = [(before, junk.associate_request()), (within, junk.values(3, 0, b"\0" * 1000))]
        ended = set()
        limit = time.monotonic() + 15
        for at in range(60):
            for connection, text in slow:
                try:
                    connection.sendall(text[at : at + 1])
                except OSError:
                    ended.add(connection)
            assert echo_seconds(receiver) < 1.0
            if len(ended) == 2:
                break
            assert time.monotonic() < limit
            time.sleep(0.5)
        assert len(ended) == 2
    assert "ended: " in receiver.log_text()


def test_many_small_pdus_are_no_way_around_the_pace(receiver):
    with junk.association(receiver.port) as connection:
        connection.sendall(junk.values(3, 3, junk.store_command("1.2.3")))
        with pytest.raises(ConnectionError):
            for _ in range(40):
                connection.sendall(junk.values(3, 0, b"\0"))
                time.sleep(0.25)


def test_a_peer_that_never_reads_holds_little_and_not_for_ever(receiver):
    before = junk.resident_mib(receiver.pid)
    echo = junk.values(1, 3, junk.echo_command()) * 100
    with junk.association(receiver.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1.0)
        with contextlib.suppress(OSError):
            limit = time.monotonic() + 10
            while time.monotonic() < limit:
                connection.sendall(echo)
        assert echo_seconds(receiver) < 1.0
    assert junk.resident_mib(receiver.pid) - before < 30


def test_idle_associations_of_one_host_leave_room_for_others_and_are_ended(receiver):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(junk.association(receiver.port)) for _ in range(25)]
        with junk.connection(receiver.port) as one_more:
            one_more.sendall(junk.associate_request(b"GREEDY"))
            # PS3.8 table 9-21: rejected, transient, by the presentation function, local limit exceeded.
            assert junk.receive(one_more)[:1] + b"\0" == b"\x03\0"
        assert echo_seconds(receiver, "127.0.0.2") < 1.0
        assert all(junk.has_ended(one) for one in idle)
    servers.wait_until(lambda: "'GREEDY" in receiver.log_text(), what="log line")


def test_three_thousand_bare_connections_do_not_keep_a_modality_out(receiver):
    with contextlib.ExitStack() as stack:
        bare = [stack.enter_context(junk.connection(receiver.port)) for _ in range(3000)]
        # Of another process: pynetdicom as SCU cannot use a descriptor beyond 1023.
        echoscu = [foreign.require("echoscu", "dcmtk"), "127.0.0.1", str(receiver.port)]
        began = time.monotonic()
        assert subprocess.run(echoscu, env={"TCP_NODELAY": "1"}, check=False).returncode == 0
        assert time.monotonic() - began < 2.0
        assert junk.threads(receiver.pid) < 150
        assert sum(junk.has_ended(one) for one in bare[:2800]) == 2800
    assert "connections ended that did not associate" in receiver.log_text()


def test_five_thousand_junk_connections_leave_no_memory_threads_or_descriptors_behind(receiver):
    began = [junk.associate_request(), b"GET / HTTP/1.0\r\n\r\n", b"", b"\x01\0\0\0\xff\xff", os.urandom(200)]

    def throw(times):
        for number in range(times):
            with contextlib.suppress(OSError), junk.connection(receiver.port) as connection:
                text = began[number % len(began)]
                connection.sendall(text if number % 10 else text + junk.values(3, 3, b"junk"))

    throw(300)
    settled = lambda: junk.threads(receiver.pid) < 12  # noqa: E731
    servers.wait_until(settled, 20, "threads' return")
    before, files = junk.resident_mib(receiver.pid), junk.descriptors(receiver.pid)
    throwers = [threading.Thread(target=throw, args=(1250,)) for _ in range(4)]
    for thrower in throwers:
        thrower.start()
    for thrower in throwers:
        thrower.join()
    servers.wait_until(settled, 20, "threads' return")
    returned = lambda: junk.descriptors(receiver.pid) <= files + 3  # noqa: E731
    servers.wait_until(returned, 20, "descriptors' return")
    assert junk.resident_mib(receiver.pid) - before < 30


def test_the_receiver_ends_when_told_though_a_peer_stays(tmp_path):
    node = Node(tmp_path)
    with node.running("receive") as [process], junk.association(node.port), junk.connection(node.port):
        began = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 10
    node.engine.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["bare", "request", "associated", "command"]))
def test_any_bytes_on_the_port_end_in_an_orderly_way(receiver, text, when):
    with junk.connection(receiver.port) as connection:
        connection.settimeout(10)
        with contextlib.suppress(ConnectionError):
            if when == "bare":
                connection.sendall(text)
            elif when == "request":
                connection.sendall(junk.pdu(1, junk.associate_request()[6:80] + text))
            else:
                connection.sendall(junk.associate_request())
                junk.receive(connection)
                connection.sendall(text if when == "associated" else junk.values(3, 3, text))
            with contextlib.suppress(OSError):  # it may have been reset by now
                connection.shutdown(socket.SHUT_WR)
        assert junk.has_ended(connection)


@given(
    st.binary(max_size=2000),
    st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]),
)
def test_any_bytes_as_a_header_are_read_or_refused(text, syntax):
    with contextlib.suppress(HeaderUnreadable):
        found = read_header(io.BytesIO(text), syntax, [0x00080018, 0x00080060], 0x00210000)
        assert all(isinstance(value, str) for value in found.values())


def test_a_character_set_that_is_none_is_read_as_ascii():
    declared = b"\x08\0\x05\0\x04\0\0\0\0{\0{" + b"\x08\0\x60\0\x02\0\0\0CR"
    assert (
        read_header(io.BytesIO(declared), ImplicitVRLittleEndian, [0x00080060], 0x00210000)[0x00080060]
        == "CR"
    )


TAGS = st.integers(0x00080006, 0x0020FFFF).filter(lambda tag: tag & 0xFFFF > 5 and tag != 0x00081140)
VALUES = st.binary(max_size=30).map(lambda half: half + half)
IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = (True, True), (False, True), (False, False)


@given(
    st.sampled_from([IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG]),
    st.dictionaries(TAGS, VALUES, max_size=8),
    st.integers(0, 5),
)
def test_the_header_reader_finds_what_pydicom_finds(encoding, elements, depth):
    is_implicit, is_little_endian = encoding
    order = "<" if is_little_endian else ">"

    def element(tag, value):
        vr = (
            struct.pack(order + "L", len(value))
            if is_implicit
            else b"LO" + struct.pack(order + "H", len(value))
        )
        return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr + value

    def nested(levels, inside):
        if not levels:
            return inside
        vr = b"" if is_implicit else b"SQ\0\0"
        start = struct.pack(order + "HH", 0x0008, 0x1140) + vr + struct.pack(order + "L", UNDEFINED)
        item = struct.pack(order + "HHL", 0xFFFE, 0xE000, UNDEFINED)
        ends = struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0) + struct.pack(order + "HHL", 0xFFFE, 0xE0DD, 0)
        return start + item + nested(levels - 1, inside) + ends

    inner = b"".join(element(tag, b"inner ") for tag in sorted(elements))
    text = nested(depth, inner if depth else b"") + b"".join(
        element(tag, elements[tag]) for tag in sorted(elements)
    )
    ours = find_elements(io.BytesIO(text), is_implicit, is_little_endian, set(elements), 0x00210000)
    assert ours == elements
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that no dictionary has
        theirs = read_dataset(io.BytesIO(text), is_implicit, is_little_endian)
        raw = {tag: theirs.get_item(tag) for tag in elements}
    assert {tag: value and bytes(value.value or b"") for tag, value in raw.items()} == ours


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    return Spool(tmp_path_factory.mktemp("names") / "spool")


@given(
    st.text(max_size=100)
    | st.from_regex(r"(films|results|\.\.)/([0-9a-f]{2}|\.\.|/)/[0-9a-f./]{1,70}(\.dcm)?\n?", fullmatch=True)
)
def test_no_name_leads_out_of_the_spool(spool, name):
    with contextlib.suppress(ValueError):
        assert spool.path(name).resolve().is_relative_to(spool.root.resolve())
