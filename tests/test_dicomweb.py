"""daemon/dicomweb.py: results by STOW-RS into a real Orthanc, and what is made of other servers' answers."""

import contextlib
import itertools
import json
import ssl
import time

import listeners
import pytest
import requests
import servers
from node import Node
from test_send import KINDS, destination_of, make_probe_due, put_results, row_of, wait_for
from test_tls import Authority

from daemon import dicomweb, http_connection, service
from daemon.config import DicomwebDestination
from daemon.http_connection import Answer
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from daemon.part10 import data_set_bytes
from storage.deliveries import Delivery

AUTHENTICATED = {"AuthenticationEnabled": True, "RegisteredUsers": {"firstread": "secret"}}
USER = ("firstread", "secret")
UID = "2.25.1"


def web_node(tmp_path, url, password="secret"):
    """A node, migrated, whose results go to the DICOMweb service of an Orthanc."""
    (tmp_path / "password").write_text(f"{password}\n")
    node = Node(
        tmp_path,
        {
            "pacs": {
                "kind": "dicomweb", "url": f"{url}/dicom-web/", "user": "firstread",
                "password_file": str(tmp_path / "password"),
            }
        },
    )  # fmt: skip
    node.migrate()
    return node


def held(orthanc, tmp_path):
    """Digest of the data set of each instance that an Orthanc holds, by SOP Instance UID."""
    found = {}
    for one in requests.get(f"{orthanc.url}/instances?expand", auth=USER, timeout=10).json():
        path = tmp_path / f"{one['ID']}.dcm"
        path.write_bytes(
            requests.get(f"{orthanc.url}/instances/{one['ID']}/file", auth=USER, timeout=10).content
        )
        found[one["MainDicomTags"]["SOPInstanceUID"]] = data_set_bytes(path).digest
    return found


def test_results_arrive_in_orthanc_with_the_same_bytes_and_their_status_is_kept(tmp_path, film):
    with servers.orthanc(**AUTHENTICATED) as orthanc:
        node = web_node(tmp_path, orthanc.url)
        uids = put_results(node, film)
        assert node.firstread("send", "--once").returncode == 0
        rows = node.deliveries()
        assert [(row.state, row.peer_status, row.reason, row.attempts) for row in rows] == [
            ("SENT", 0, "", 1)
        ] * 2
        sent = {row.sop_instance_uid: node.folder / "spool" / row.spool_name for row in rows}
        assert set(sent) == set(uids.values())
        assert held(orthanc, tmp_path) == {uid: data_set_bytes(path).digest for uid, path in sent.items()}
        said = node.firstread("check").stdout
        assert (
            "ok      destination pacs: " in said and "answers a search (QIDO-RS); last result taken" in said
        )
    node.engine.dispose()


def test_a_wrong_password_is_told_and_costs_no_result(tmp_path, film):
    with servers.orthanc(**AUTHENTICATED) as orthanc:
        node = web_node(tmp_path, orthanc.url, password="wrong-one")
        put_results(node, film)
        node.firstread("send", "--once")
        down = destination_of(node)
        assert (down.state, down.last_error.partition(":")[0]) == ("DOWN", "HTTP 401 Unauthorized")
        assert {row.state for row in node.deliveries()} == {"PENDING"}
        said = node.firstread("check")
        assert "PROBLEM destination pacs: " in said.stdout and "HTTP 401 Unauthorized" in said.stdout
        (tmp_path / "password").write_text("secret")
        make_probe_due(node)
        with node.running("send"):
            servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
        assert len(held(orthanc, tmp_path)) == 2
        assert "wrong-one" not in said.stdout + said.stderr + node.log_text()
    node.engine.dispose()


def test_a_server_that_is_away_gets_its_results_when_it_is_back(tmp_path, film):
    port = servers.free_port()
    node = web_node(tmp_path, f"http://127.0.0.1:{port}")
    put_results(node, film)
    with node.running("send"):
        down = servers.wait_until(lambda: destination_of(node))
        assert down.state == "DOWN" and down.last_error.startswith(
            f"no connection with http://127.0.0.1:{port}/"
        )
        assert [row.attempts for row in node.deliveries()] == [0, 0]
        with servers.orthanc(HttpPort=port, **AUTHENTICATED) as orthanc:
            servers.wait_until(lambda: {row.state for row in node.deliveries()} == {"SENT"})
            assert len(held(orthanc, tmp_path)) == 2
    node.engine.dispose()


def test_what_orthanc_cannot_read_is_refused_with_its_reason_and_spares_the_others(tmp_path, film):
    with servers.orthanc(**AUTHENTICATED) as orthanc:
        node = web_node(tmp_path, orthanc.url)
        uids = put_results(node, film)
        unreadable = film(SOPInstanceUID=uids["SC"], StudyInstanceUID=None)
        unreadable.save_as(node.folder / "spool" / row_of(node, "SC").spool_name)
        with node.running("send"):
            failed = wait_for(node, "SC", lambda row: row.state == "FAILED")
            wait_for(node, "SR", lambda row: row.state == "SENT")
        assert (failed.peer_status, failed.reason) == (0xC000, "failure reason 0xC000")
        assert set(held(orthanc, tmp_path)) == {uids["SR"]}
    node.engine.dispose()


def response(**sequences):
    """The body of a Store Instances Response: for each sequence its items' attributes."""
    tags = {"failed": "00081198", "other": "0008119A", "referenced": "00081199"}
    return json.dumps(
        {tags[name]: {"vr": "SQ", "Value": items} for name, items in sequences.items()}
    ).encode()


def item(uid=UID, failure=None, warning=None):
    found = {"00081155": {"vr": "UI", "Value": [uid]}} if uid else {}
    for tag, reason in (("00081197", failure), ("00081196", warning)):
        if reason is not None:
            found[tag] = {"vr": "US", "Value": [reason]}
    return found


@pytest.mark.parametrize(
    ("status", "body", "accepted"),
    [
        (200, response(referenced=[item("2.25.9"), item()]), Accepted(0x0000, "")),
        (202, response(referenced=[item(warning=0xB000)]), Accepted(0xB000, "warning, reason 0xB000")),
    ],
)
def test_what_the_response_says_is_stored_is_done_and_its_warning_is_kept(status, body, accepted):
    assert dicomweb.judge(Answer(status, body), UID) == accepted


@pytest.mark.parametrize(
    ("status", "body", "error", "peer_status", "said"),
    [
        (409, response(failed=[item(failure=0x0122)]), PeerRefused, 0x0122, "failure reason 0x0122"),
        (409, response(failed=[item(failure=0xC122)]), PeerRefused, 0xC122, "failure reason 0xC122"),
        (202, response(failed=[item(failure=0xA777)]), PeerRefused, 0xA777, "failure reason 0xA777"),
        (409, response(other=[item(None, 0x0110)]), PeerRefused, 0x0110, "failure reason 0x0110"),
        (200, response(failed=[item(failure=0xA700)]), NotTaken, 0xA700, "failure reason 0xA700"),
        (409, b"", PeerRefused, None, "HTTP 409 Conflict and no word on the object in"),
        (400, response(failed=[item(failure=0xC000)]), PeerRefused, 0xC000, "failure reason 0xC000"),
        (400, response(), PeerRefused, None, "HTTP 400 Bad Request and no word on the object in"),
        (413, b"", PeerRefused, None, "HTTP 413 Request Entity Too Large"),
        (200, b"<html>log in</html>", NotTaken, None, "HTTP 200 OK and no word on the object"),
        (200, b"", NotTaken, None, "HTTP 200 OK and no word on the object"),
        (200, response(referenced=[item("2.25.9")]), NotTaken, None, "HTTP 200 OK and no word on the object"),
        (200, b"[" * 100_000, NotTaken, None, "HTTP 200 OK and no word on the object"),
        (200, b'{"00081199": {"Value": 7}}', NotTaken, None, "HTTP 200 OK and no word on the object"),
        (401, b"", NotTaken, None, "HTTP 401 Unauthorized: is url that of a DICOMweb service"),
        (403, b"", NotTaken, None, "HTTP 403 Forbidden: "),
        (404, b"", NotTaken, None, "HTTP 404 Not Found: "),
        (302, b"", NotTaken, None, "HTTP 302 Found"),
        (429, b"", NotTaken, None, "HTTP 429 Too Many Requests"),
        (503, b"", NotTaken, None, "HTTP 503 Service Unavailable"),
    ],
)  # fmt: skip
def test_failures_that_pass_are_told_from_those_that_stay(status, body, error, peer_status, said):
    with pytest.raises(error) as raised:
        dicomweb.judge(Answer(status, body), UID)
    assert raised.value.status == peer_status
    assert str(raised.value).startswith(said)


@pytest.fixture
def listener():
    with contextlib.closing(listeners.HttpListener()) as made:
        made.answer = lambda request: (200, {}, response(referenced=[item()]))
        yield made


@pytest.fixture
def result(tmp_path):
    """A delivery and its file."""
    path = tmp_path / "result.dcm"
    path.write_bytes(b"a result")
    return Delivery(1, 1, "SC", "pacs", KINDS["SC"], UID, "", 1, service.now()), path


def to(listener, **keys):
    return DicomwebDestination(kind="dicomweb", name="pacs", url=f"{listener.url}/dicom-web", **keys)


def send(destination, result):
    with contextlib.closing(dicomweb.open_channel(destination)) as channel:
        return channel.send(*result)


def test_a_request_holds_one_object_and_the_token_of_the_file(listener, result, tmp_path):
    (tmp_path / "token").write_text("abc.def-1\n")
    assert send(to(listener, token_file=str(tmp_path / "token")), result) == Accepted(0x0000, "")
    [request] = listener.received
    assert (request.method, request.path) == ("POST", "/dicom-web/studies")
    assert request.headers["authorization"] == "Bearer abc.def-1"
    assert request.headers["accept"] == "application/dicom+json"
    kind, boundary = request.headers["content-type"].split("; boundary=")
    assert kind == 'multipart/related; type="application/dicom"'
    head, part, tail = request.body.split(f"--{boundary}".encode())
    assert (head, tail) == (b"", b"--\r\n")
    assert part == b"\r\nContent-Type: application/dicom\r\n\r\na result\r\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("", "expected one line"),
        ("two\nlines", "expected one line"),
        ("a b", "expected a bearer token"),
    ],
)
def test_a_token_that_cannot_be_used_is_told_by_file_and_reason_and_is_not_quoted(
    listener, result, tmp_path, content, said
):
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(
        PeerUnavailable, match=rf"\[\[destination\]\] pacs token_file .*token: {said}"
    ) as raised:
        send(to(listener, token_file=str(tmp_path / "token")), result)
    assert "lines" not in str(raised.value)
    assert listener.received == []


def test_a_server_that_ends_each_connection_gets_one_object_after_another(result):
    with contextlib.closing(listeners.HttpListener(protocol="HTTP/1.0")) as listener:
        listener.answer = lambda request: (200, {}, response(referenced=[item()]))
        with contextlib.closing(dicomweb.open_channel(to(listener))) as channel:
            assert [channel.send(*result).status for _ in range(3)] == [0, 0, 0]


def test_an_answer_without_end_costs_no_more_than_its_limit(listener, result):
    endless = itertools.repeat(b" " * (1 << 20))
    listener.answer = lambda request: (200, {"Content-Length": str(1 << 40)}, endless)
    with pytest.raises(NotTaken, match="HTTP 200 with more than 1 MiB"):
        send(to(listener), result)


def test_an_answer_that_trickles_ends_in_time(listener, result, monkeypatch):
    monkeypatch.setattr(http_connection, "RESPONSE_TIMEOUT_SECONDS", 0.5)

    def trickle():
        for _ in range(100):
            time.sleep(0.1)
            yield b" "

    listener.answer = lambda request: (200, {"Content-Length": "100"}, trickle())
    began = time.monotonic()
    with pytest.raises(NotTaken, match=r"no whole HTTP answer in 0\.5 s"):
        send(to(listener), result)
    assert time.monotonic() - began < 5


def test_a_server_is_spoken_to_by_tls_only_if_its_authority_is_known(tmp_path, result):
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("server"))
    with contextlib.closing(listeners.HttpListener(context=context)) as listener:
        listener.answer = lambda request: (200, {}, response(referenced=[item()]))
        assert send(to(listener, ca_file=str(authority.certificate)), result) == Accepted(0x0000, "")
        with pytest.raises(PeerUnavailable, match="certificate verify failed"):
            send(to(listener), result)
        with pytest.raises(PeerUnavailable, match=r"pacs ca_file .*absent.pem: No such file"):
            send(to(listener, ca_file=str(tmp_path / "absent.pem")), result)
    assert len(listener.received) == 1
