"""daemon/results/observation_message.py and daemon/mllp.py: what an information system is told, and how."""

import contextlib
import re
import ssl
import threading
import time

import listeners
import pydicom
import pytest
import readings
import received
import servers
from conftest import NOW, make_bare_film
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message
from listeners import acknowledgement, framed
from node import Node
from pydicom.dataset import Dataset
from test_send import destination_of, make_probe_due, put_message, row_of
from test_tls import Authority

from daemon import mllp, service
from daemon.config import Hl7Destination
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from daemon.results import observation_message, wording
from storage.deliveries import Delivery

DIGEST = "d" * 64
RESULTS = {"SC": "2.25.11", "SR": "2.25.12"}


def message_of(film, reading=None, results=RESULTS):
    """Segments of the message, each as its fields; MSH as if its first separator were a field."""
    _, message = observation_message.build(film, reading or readings.covid(), DIGEST, NOW, results=results)
    segments = [segment.split("|") for segment in message.decode("utf-8").split("\r")[:-1]]
    segments[0].insert(1, "|")
    return segments


def of_type(segments, name):
    return [fields for fields in segments if fields[0] == name]


@pytest.mark.parametrize("reading", readings.ALL.values(), ids=readings.ALL)
def test_every_reading_is_a_valid_message(film, reading):
    _, message = observation_message.build(film(), reading(), DIGEST, NOW, results=RESULTS)
    parsed = parse_message(message.decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT)
    assert parsed.validate()
    assert (parsed.msh.msh_9.value, parsed.msh.msh_12.value) == ("ORU^R01^ORU_R01", "2.5.1")


def test_a_retrospective_film_is_told_in_an_observation_of_its_own(film):
    told = (film(), readings.covid(), DIGEST, NOW)
    live, before = (
        observation_message.build(*told, results=RESULTS, retrospective=retrospective)[1].split(b"\r")
        for retrospective in (False, True)
    )
    assert before[:-2] == live[:-1]
    assert before[-2].endswith(
        b"|ST|OCCASION^Occasion of the reading^99FIRSTREAD||Film asked of the archive||||||P"
    )
    assert parse_message(b"\r".join(before).decode(), validation_level=VALIDATION_LEVEL.STRICT).validate()


def test_what_a_film_does_not_tell_of_its_patient_is_left_empty():
    segments = message_of(make_bare_film())
    assert of_type(segments, "PID") == [["PID", "1"]]
    assert of_type(segments, "OBR")[0][2:4] == ["", ""]


def test_the_first_observation_says_research_use_only(film):
    first, *_ = of_type(message_of(film()), "OBX")
    assert first[2:6] == ["TX", "121106^Comment^DCM", "", wording.COMMENT]
    assert first[5].startswith("RESEARCH USE ONLY - NOT FOR DIAGNOSIS")


def test_patient_and_order_are_those_of_the_film(film):
    segments = message_of(film(PatientName="Buc^Jérôme^Luc^Dr^Jr", TimezoneOffsetFromUTC="+0100"))
    (patient,), (request,) = of_type(segments, "PID"), of_type(segments, "OBR")
    # XPN has the suffix before the prefix.
    assert patient[3:] == ["PID-0815^^^HOSPITAL", "", "Buc^Jérôme^Luc^Jr^Dr^^L^A", "", "19600229", "M"]
    assert (request[2], request[3], request[18]) == ("", "A4711", "A4711")
    assert (request[4], request[7]) == ("363679005^Imaging procedure^SCT", "20261124231500+0100")


def test_order_numbers_and_procedure_of_the_film_are_given_where_it_has_them(film):
    procedure, issuer = Dataset(), Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "XT", "L", "Thorax & ribs"
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3", "ISO"
    segments = message_of(
        film(
            ProcedureCodeSequence=[procedure],
            IssuerOfPatientIDQualifiersSequence=[issuer],
            PlacerOrderNumberImagingServiceRequest="P1",
            FillerOrderNumberImagingServiceRequest="F1",
        )
    )
    (patient,), (request,) = of_type(segments, "PID"), of_type(segments, "OBR")
    assert request[2:5] == ["P1", "F1", "XT^Thorax \\T\\ ribs^L"]
    assert patient[3] == "PID-0815^^^HOSPITAL&1.2.3&ISO"


def test_scores_are_numbers_with_the_codes_of_the_report_and_their_scale(film):
    segments = message_of(film(), readings.other_virus())
    scored = [
        (fields[3].split("^")[0], fields[4], fields[5], fields[6], segments[number + 1][3])
        for number, fields in enumerate(segments)
        if fields[0] == "OBX" and fields[2] == "NM"
    ]
    scale = "Model score, 0 to 100 within step {}, threshold 60; not a probability."
    assert scored == [
        ("168733007", "1", "5", "%^Percent^UCUM", scale.format(1)),
        ("53084003", "1", "14", "%^Percent^UCUM", scale.format(1)),
        ("75570004", "1", "81", "%^Percent^UCUM", scale.format(1)),
        ("840539006", "2", "20", "%^Percent^UCUM", scale.format(2)),
        ("OTHERVIRUS", "2", "73", "%^Percent^UCUM", scale.format(2)),
    ]


def test_everything_is_preliminary_and_nothing_is_urgent(film):
    for reading in readings.ALL.values():
        segments = message_of(film(), reading())
        assert of_type(segments, "OBR")[0][25] == "P"
        assert {fields[11] for fields in of_type(segments, "OBX")} == {"P"}
        assert [fields[9] for fields in of_type(segments, "TQ1")] == ["R^Routine^HL70485"]


def test_decision_model_and_results_are_named(film):
    ds, reading = film(), readings.covid()
    told = {fields[3].split("^")[0]: fields[5] for fields in of_type(message_of(ds, reading), "OBX")}
    assert told["DECISION"] == "Highest model score: COVID-19"
    assert (told["111001"], told["111003"]) == ("example-1", "version 0.0.0, weights sha256 0123456789ab")
    assert (told["110180"], told["FILMUID"]) == (ds.StudyInstanceUID, ds.SOPInstanceUID)
    assert (told["SCUID"], told["SRUID"]) == ("2.25.11", "2.25.12")
    without = {fields[3].split("^")[0] for fields in of_type(message_of(ds, reading, {}), "OBX")}
    assert not without & {"SCUID", "SRUID"}


def test_the_same_film_and_model_give_the_same_control_id_of_twenty_characters_and_others_another(film):
    ds, other = film(), film()
    uids = {observation_message.build(ds, readings.covid(), DIGEST, NOW, results={})[0] for _ in range(2)}
    assert len(uids) == 1
    ids = {of_type(message_of(one), "MSH")[0][10] for one in (ds, ds, other)}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9A-F]{20}", one) for one in ids)


def test_separators_and_control_characters_in_a_name_stay_within_it(film):
    with pydicom.config.disable_value_validation():
        ds = film(PatientName="O|Neil&~^A\rOBX|1||x", SpecificCharacterSet="ISO_IR 192")
        segments = message_of(ds)
    (patient,) = of_type(segments, "PID")
    assert patient[5] == "O\\F\\Neil\\T\\\\R\\^A OBX\\F\\1\\F\\\\F\\x^^^^^L^A"
    assert len([fields for fields in segments if fields[0] == "OBX" and fields[1] == "1"]) == 1


def test_a_name_in_several_ways_of_writing_is_repeated_for_each(film):
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    (patient,) = of_type(message_of(film(SpecificCharacterSet="ISO_IR 192", PatientName=name)), "PID")
    assert patient[5] == "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("name", received.NATIONAL)
def test_a_film_in_any_letters_has_its_message(name, tmp_path):
    declared, written = received.NATIONAL[name]
    received.write_national_film(tmp_path / "film.dcm", declared, written)
    film = pydicom.dcmread(tmp_path / "film.dcm", stop_before_pixels=True)
    assert of_type(message_of(film), "OBX")


@pytest.fixture
def listener():
    with contextlib.closing(listeners.MllpListener()) as made:
        yield made


def ris_node(tmp_path, port, **keys):
    """A node, migrated, with one message pending for a destination on `port`."""
    table = {"kind": "hl7", "host": "127.0.0.1", "port": port} | keys
    node = Node(tmp_path, {"pacs": table})
    node.migrate()
    return node


def put_reading(node, film):
    uid, message = observation_message.build(film(), readings.covid(), DIGEST, NOW, results=RESULTS)
    return put_message(node, "ORU", uid, message, ".hl7"), message


def test_a_message_arrives_as_it_was_written_and_is_done(tmp_path, film, listener):
    node = ris_node(tmp_path, listener.port)
    _, message = put_reading(node, film)
    assert node.firstread("send", "--once").returncode == 0
    row = row_of(node, "ORU")
    assert (row.state, row.peer_status, row.reason, row.attempts) == ("SENT", None, "", 1)
    assert listener.received == [message]
    said = node.firstread("check").stdout
    assert f"ok      destination pacs: 127.0.0.1:{listener.port} takes connections; last result" in said
    node.engine.dispose()


def test_a_listener_that_is_not_ours_reads_the_message_and_its_acknowledgement_is_understood(film, tmp_path):
    heard = []

    class Handler(AbstractHandler):
        def reply(self):
            message = parse_message(self.incoming_message)
            heard.append((message.msh.msh_10.value, message.msh.msh_18.value))
            answer = Message("ACK", version="2.5.1")
            answer.msh.msh_9 = "ACK^R01^ACK"
            answer.msa.msa_1, answer.msa.msa_2 = "AA", message.msh.msh_10.value
            return answer.to_mllp()

    uid, written = observation_message.build(film(), readings.covid(), DIGEST, NOW, results=RESULTS)
    path = tmp_path / "message.hl7"
    path.write_bytes(written)
    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Handler,)})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        one = Delivery(1, 1, "ORU", "ris", "", uid, "", 1, service.now())
        assert send(to(server.server_address[1]), (one, path)) == Accepted(None, "")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert heard == [(observation_message.control_id(uid), "UNICODE UTF-8")]


def test_an_error_stops_the_message_and_shows_why_without_the_patient(tmp_path, film, listener):
    node = ris_node(tmp_path, listener.port)
    put_reading(node, lambda: film(PatientID="PID-KXQZ"))
    listener.answer = lambda message: framed(
        acknowledgement(
            message, "AE", "no patient pid-kxqz (Jérôme BUC, 29.02.1960) \x07", "|PID^1^3|204^Unknown key|E"
        )
    )
    with node.running("send"):
        servers.wait_until(lambda: row_of(node, "ORU").state == "FAILED")
    row = row_of(node, "ORU")
    assert row.reason == "AE no patient [...] ([...] [...], [...])   PID^1^3 204^Unknown key"
    shown = node.firstread("show", "1").stdout
    assert row.reason in shown
    # Nothing of this is in a UID, a digest, a time or the number of a process.
    patient = r"kxqz|buc|jérôme|29\.02\.1960|\b19600229\b"
    assert not re.search(patient, shown + node.log_text(), re.IGNORECASE)
    assert destination_of(node).state == "UP"
    node.engine.dispose()


def test_a_message_without_an_answer_comes_again_with_the_same_control_id(tmp_path, film, listener):
    node = ris_node(tmp_path, listener.port)
    _, message = put_reading(node, film)
    listener.answer = lambda message: None
    node.firstread("send", "--once")
    row = row_of(node, "ORU")
    assert (row.state, row.reason) == ("PENDING", "the connection ended without an acknowledgement")
    assert "PROBLEM destination pacs: " in node.firstread("check").stdout
    listener.answer = lambda message: framed(acknowledgement(message, "CA"))
    make_probe_due(node)
    with node.running("send"):
        servers.wait_until(lambda: row_of(node, "ORU").state == "SENT")
    assert listener.received == [message, message]
    node.engine.dispose()


def test_letters_that_the_character_set_of_a_destination_lacks_are_not_sent_as_others(
    tmp_path, film, listener
):
    node = ris_node(tmp_path, listener.port, character_set="8859/1")
    put_reading(node, film)
    assert node.firstread("send", "--once").returncode == 0
    [sent] = listener.received
    assert b"|2.5.1||||||8859/1\r" in sent and "Buc^Jérôme".encode("latin-1") in sent
    node.config.write_text(node.config.read_text().replace("8859/1", "ASCII"))
    put_message(node, "ORU", "2.25.2", sent.decode("latin-1").encode(), ".hl7", number=2)
    assert node.firstread("send", "--once").returncode == 0
    row = node.deliveries()[1]
    assert (row.state, row.reason) == ("FAILED", "not sent: it has letters that ASCII lacks")
    assert len(listener.received) == 1
    node.engine.dispose()


MESSAGE = "MSH|^~\\&|Firstread||||20261125||ORU^R01^ORU_R01|ID1|P|2.5.1||||||UNICODE UTF-8\rPID|1||4711\r"


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_accept_is_done(code):
    assert mllp.judge(acknowledgement(MESSAGE.encode(), code), MESSAGE) == Accepted(None, "")


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
def test_an_error_or_a_reject_stops_the_message(code):
    with pytest.raises(PeerRefused, match=f"^{code} wrong trigger$"):
        mllp.judge(acknowledgement(MESSAGE.encode(), code, "wrong trigger"), MESSAGE)


def test_what_is_kept_of_a_peers_text_is_short():
    with pytest.raises(PeerRefused) as raised:
        mllp.judge(acknowledgement(MESSAGE.encode(), "AR", "x" * 5000), MESSAGE)
    assert len(str(raised.value)) == len("AR ") + mllp.MOST_REASON_CHARACTERS


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (acknowledgement(MESSAGE.encode(), of="ID2"), "the acknowledgement is of another message"),
        (acknowledgement(MESSAGE.encode(), "AR", of="ID2"), "the acknowledgement is of another message"),
        (acknowledgement(MESSAGE.encode(), "XX"), "the acknowledgement has no code of table 0008"),
        ("MSH|^~\\&|RIS\r", "the answer is no acknowledgement"),
        ("HTTP/1.1 400 Bad Request\r\n", "the answer is no acknowledgement"),
        ("", "the answer is no acknowledgement"),
        ("MSH|^~\\&\rMSA", "the acknowledgement is of another message"),
    ],
)
def test_an_answer_that_is_no_acknowledgement_of_the_message_does_not_take_it(answer, said):
    with pytest.raises(NotTaken, match=said):
        mllp.judge(answer, MESSAGE)


def to(port, **keys):
    return Hl7Destination(kind="hl7", name="ris", host="127.0.0.1", port=port, **keys)


@pytest.fixture
def message(tmp_path):
    """A delivery and its file."""
    path = tmp_path / "message.hl7"
    path.write_text(MESSAGE, newline="")
    return Delivery(1, 1, "ORU", "ris", "", "2.25.1", "", 1, service.now()), path


def send(destination, message):
    with contextlib.closing(mllp.open_channel(destination)) as channel:
        return channel.send(*message)


def test_an_answer_without_end_costs_no_more_than_its_limit(listener, message):
    listener.answer = lambda message: b"x" * (8 << 20)
    with pytest.raises(NotTaken, match="an acknowledgement of more than 64 KiB"):
        send(to(listener.port), message)


def test_an_answer_that_trickles_ends_in_time(listener, message, monkeypatch):
    monkeypatch.setattr(mllp, "RESPONSE_TIMEOUT_SECONDS", 0.5)

    def trickle():
        for _ in range(100):
            time.sleep(0.1)
            yield b"M"

    listener.answer = lambda message: trickle()
    began = time.monotonic()
    with pytest.raises(NotTaken, match=r"no acknowledgement within 0\.5 s"):
        send(to(listener.port), message)
    assert time.monotonic() - began < 5


def test_a_listener_is_spoken_to_by_tls_only_if_its_authority_is_known(tmp_path, message):
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("server"))
    with contextlib.closing(listeners.MllpListener(context=context)) as listener:
        destination = to(listener.port, tls=True, ca_file=str(authority.certificate))
        assert send(destination, message) == Accepted(None, "")
        assert mllp.check(destination) == f"127.0.0.1:{listener.port} takes connections"
        with pytest.raises(PeerUnavailable, match="certificate verify failed"):
            send(to(listener.port, tls=True), message)
    assert len(listener.received) == 1


def test_a_listener_that_is_away_is_told():
    port = servers.free_port()
    with pytest.raises(PeerUnavailable, match=f"no connection with 127.0.0.1:{port}: Connection refused"):
        mllp.check(to(port))
