"""daemon/transfer.py beside the data transfer of pynetdicom that it replaces: same bytes in, same outcome."""

import contextlib
import copy
import hashlib
import inspect
import struct
from random import Random

import junk
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import DT_2
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification

from daemon import door
from daemon.connection import Limits
from daemon.incoming import IncomingFiles
from daemon.transfer import Dimse, Provider

LIMITS = Limits(
    pdu_bytes=1 << 22, film_bytes=1 << 24, waiting=10, associations_a_host=100, associate_seconds=10,
    message_seconds=10, slowest_bytes_a_second=1,
)  # fmt: skip
# pynetdicom leaves threads and connections of what was broken off to whoever looks after them.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
)
# What daemon/transfer.py and daemon/connection.py replace or build upon, in the release they are made for.
REPLACED = {
    DULServiceProvider.__init__: "c82dafa9438ddf70",
    DULServiceProvider._read_pdu_data: "19f2d4e38c13c835",
    DULServiceProvider._is_transport_event: "8725ed03bb8fbdef",
    DULServiceProvider._process_recv_primitive: "4c0ebbb3e646e35e",
    DULServiceProvider.run_reactor: "e3a10eb3a0931e48",
    DULServiceProvider.send_pdu: "7cbce5da8594124e",
    DULServiceProvider.stop_dul: "28a7e0be126e7b30",
    DIMSEServiceProvider.__init__: "bbecd186810e7700",
    DIMSEServiceProvider.get_msg: "890e3e04283f5aeb",
    DIMSEServiceProvider.send_msg: "a839cf2fb46976d9",
    DIMSEServiceProvider.receive_primitive: "5f99c86b14a15cef",
    DIMSEMessage.decode_msg: "f51c777e841a76be",
    Association._run_reactor: "f28838c5559e462a",
    Association.kill: "8f9713666a7f4cff",
    P_DATA_TF._generate_items: "55a5deea47745b72",
    DT_2: "9ec543394e0b49eb",
}
RELEASE = junk.pdu(5, bytes(4))
COMMAND, DATA, LAST = 1, 0, 2


@pytest.mark.parametrize("replaced", REPLACED, ids=lambda one: one.__qualname__)
def test_pynetdicom_is_what_it_was_when_its_data_transfer_was_replaced(replaced):
    found = hashlib.sha256(inspect.getsource(replaced).encode()).hexdigest()[:16]
    assert found == REPLACED[replaced], "read what it does now beside daemon/transfer.py, then put this here"


class Scp:
    """A Storage SCP that keeps what it stored in the order of arrival."""

    def __init__(self) -> None:
        self.port = 0
        self.stored: list[tuple[str, bytes]] = []

    def handle_store(self, event: evt.Event) -> int:
        raw = event.dataset_path.read_bytes()
        file = event.request._dataset_file
        if isinstance(event.assoc.dul, Provider):
            assert file.offset == 144 + struct.unpack("<I", raw[140:144])[0]
            assert file.size_bytes == len(raw) - file.offset
            assert file.digest() == blake3(raw[file.offset :]).hexdigest()
        self.stored.append((str(event.request.AffectedSOPInstanceUID), raw))
        return 0x0000


@pytest.fixture(scope="module")
def scps(tmp_path_factory):
    """pynetdicom as it comes, and the same behind our door."""
    plain, ours = Scp(), Scp()
    ae = AE()
    ae.add_supported_context(Verification)
    ae.add_supported_context(junk.CR, junk.ExplicitVRLittleEndian)
    files, made = IncomingFiles(tmp_path_factory.mktemp("incoming"), lambda: None), []

    def make_file(**keywords):
        made.append(files.make(**keywords))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", True)
        patch.setattr(dimse_messages, "NamedTemporaryFile", make_file)
        plain_server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, plain.handle_store)]
        )
        our_door = door.make(
            ae, door.bind("127.0.0.1", 0), LIMITS, [(evt.EVT_C_STORE, ours.handle_store)], files.end
        )
        our_door.open()
        for scp, server in ((plain, plain_server), (ours, our_door)):
            scp.port = server.socket.getsockname()[1]
        yield plain, ours
        plain_server.shutdown()
        our_door.shutdown()
    for file in made:
        file.discard()


def converse(scp, parts, messages=0):
    """PDUs that an SCP answers, and what it stored, where a peer sends these parts and then ends.

    It releases the association after so many answers; after none it waits until the SCP hangs up.
    """
    scp.stored.clear()
    answers = []
    with junk.association(scp.port) as connection, contextlib.suppress(ConnectionError):
        for part in parts:
            connection.sendall(part)
        while answer := junk.receive(connection):
            answers.append(answer)
            if len(answers) == messages:
                connection.sendall(RELEASE)
    return answers, list(scp.stored)


def message(draw, number):
    """Values of a C-ECHO or C-STORE: context ID, control header and bytes."""
    if not draw(st.booleans()):
        command, context, body = junk.echo_command(), 1, None
    else:
        command, context = junk.store_command(f"1.2.{number}"), 3
        body = draw(st.binary(max_size=40)) * draw(st.sampled_from([1, 100, 60_000]))
    values = [(context, COMMAND | last, part) for last, part in pieces(draw, command)]
    return values + [(context, DATA | last, part) for last, part in pieces(draw, body or b"")] * (
        body is not None
    )


def pieces(draw, whole):
    """In some pieces, perhaps empty ones, of which the last is marked."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    ends = [*cuts, len(whole)]
    return [
        (LAST if at == len(cuts) else 0, whole[start:end])
        for at, (start, end) in enumerate(zip([0, *cuts], ends, strict=True))
    ]


@st.composite
def streams(draw):
    """What a peer sends: messages in values of any length, in PDUs of any number of them, cut anywhere.

    No PDU holds values of two messages: pynetdicom would drop those of the second.
    """
    stream, messages = b"", draw(st.integers(1, 4))
    for number in range(messages):
        values = [
            struct.pack(">LBB", len(part) + 2, context, control) + part
            for context, control, part in message(draw, number)
        ]
        while values:
            count = draw(st.integers(1, len(values)))
            stream += junk.pdu(4, b"".join(values[:count]))
            del values[:count]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return parts, messages


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(streams())
def test_messages_cut_up_in_any_way_have_the_outcome_that_pynetdicom_gives_them(scps, sent):
    expected, found = (converse(scp, *sent) for scp in scps)
    assert expected[0][-1][0] == 6, "no A-RELEASE-RP: the stream is not what it is meant to be"
    assert found == expected


def test_a_data_set_of_thousands_of_values_that_fills_the_buffer_many_times_is_stored_as_it_came(scps):
    body, random = Random(1).randbytes(9_000_000), Random(2)
    sizes = [1] * 3000 + random.choices([7, 500, 16_000, 130_000, 2_500_000], k=400)
    stream, at = junk.values(3, COMMAND | LAST, junk.store_command("1.2.3")), 0
    while at < len(body):
        size = sizes.pop(0) if sizes else 65_536
        last = LAST if at + size >= len(body) else 0
        stream += junk.values(3, DATA | last, body[at : at + size])
        at += size
    for scp in scps:
        answers, stored = converse(scp, [stream], 1)
        assert answers[-1][0] == 6
        [(_, raw)] = stored
        assert raw[144 + struct.unpack("<I", raw[140:144])[0] :] == body


@pytest.mark.parametrize("status", [0x0000, 0xA700])
@pytest.mark.parametrize("most_pdu_bytes", [0, 60, 16384])
@settings(max_examples=20, deadline=None)
@given(uid=st.from_regex(r"1(\.(0|[1-9][0-9]{0,5})){1,8}", fullmatch=True), number=st.integers(0, 65535))
def test_an_answer_is_byte_for_byte_the_one_that_pynetdicom_makes(status, most_pdu_bytes, uid, number):
    answer = C_STORE()
    answer.AffectedSOPClassUID, answer.Status = junk.CR, status
    answer.AffectedSOPInstanceUID = uid
    answer.MessageID = answer.MessageIDBeingRespondedTo = number
    sent = []
    for kind in (DIMSEServiceProvider, Dimse):
        assoc = Association(AE(), "acceptor")
        assoc.requestor.maximum_length = most_pdu_bytes
        kind(assoc).send_msg(copy.deepcopy(answer), 3)
        primitives = assoc.dul.to_provider_queue.queue
        sent.append([tuple(value) for one in primitives for value in one.presentation_data_value_list])
    assert sent[0] == sent[1]


BEGUN = junk.values(3, 3, junk.store_command("1.2.3")) + junk.values(3, 0, b"x" * 100)


@pytest.mark.parametrize(
    "fault",
    [
        junk.pdu(4, struct.pack(">LB", 100, 3) + b"\0short"), junk.pdu(4, struct.pack(">LB", 1, 3)),
        junk.pdu(4, struct.pack(">LBB", 3, 3, 0) + b"x" + b"\0\0\0"), junk.pdu(9, b""),
        junk.pdu(7, bytes(4)), junk.pdu(1, bytes(80)), RELEASE,
    ],
    ids=["beyond its PDU", "no control header", "trailing bytes", "unknown", "abort", "associate", "release"],
)  # fmt: skip
def test_what_breaks_a_data_set_off_ends_it_as_it_does_with_pynetdicom(scps, fault):
    for scp in scps:
        answers, stored = converse(scp, [BEGUN + fault, junk.values(3, 2, b"end")])
        assert not stored
        assert not [answer for answer in answers if answer[0] == 4]
