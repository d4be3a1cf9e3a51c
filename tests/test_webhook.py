"""daemon/results/notification.py and daemon/webhook.py: what a program is told, and that it can trust it."""

import base64
import contextlib
import hashlib
import hmac
import json
import ssl
import time

import listeners
import pytest
import readings
import servers
from conftest import NOW
from node import Node
from test_send import destination_of, make_probe_due, put_message, row_of
from test_tls import Authority

from daemon import service, webhook
from daemon.config import WebhookDestination
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from daemon.results import notification, wording
from storage.deliveries import Delivery

SECRET = bytes(range(32))
UID, DIGEST = "2.25.7", "d" * 64


def told(film, reading=None):
    results = {"SC": "2.25.11", "SR": "2.25.12"}
    return notification.build(film, reading or readings.covid(), DIGEST, NOW, job=17, results=results)


def test_a_reading_is_told_with_the_research_use_text_first_and_without_the_patient(film):
    ds = film()
    uid, body = told(ds)
    said = json.loads(body)
    assert next(iter(said.items())) == ("research_use_only", wording.COMMENT)
    assert (said["job"], said["retrospective"], said["accession_number"]) == (17, False, "A4711")
    assert (said["sop_instance_uid"], said["study_instance_uid"]) == (ds.SOPInstanceUID, ds.StudyInstanceUID)
    assert said["results"] == {"SC": "2.25.11", "SR": "2.25.12"}
    assert said["reading"]["decision"] == "COVID-19"
    assert said["reading"]["step2"] == {"not viral": 0.06, "COVID-19": 0.84, "other virus": 0.1}
    assert (said["reading"]["model"], said["reading"]["version"]) == ("example-1", "0.0.0")
    assert not any(one in body.decode() for one in ("PID-0815", "Buc", "rome", "19600229", "Smith"))
    assert uid == told(ds)[0] != told(film())[0]


def test_a_retrospective_reading_is_told_as_one(film):
    _, body = notification.build(
        film(), readings.covid(), DIGEST, NOW, job=17, results={}, retrospective=True
    )
    assert json.loads(body)["retrospective"] is True


@pytest.mark.parametrize("reading", readings.ALL.values(), ids=readings.ALL)
def test_every_reading_is_json(film, reading):
    assert json.loads(told(film(), reading())[1])["reading"]["decision"] == reading().decision


@pytest.fixture
def listener():
    with contextlib.closing(listeners.HttpListener()) as made:
        yield made


def program_node(tmp_path, url):
    """A node, migrated, whose readings go to a program."""
    write_secret(tmp_path)
    table = {"kind": "webhook", "url": f"{url}/readings", "secret_file": str(tmp_path / "secret")}
    node = Node(tmp_path, {"pacs": table})
    node.migrate()
    return node


def write_secret(folder):
    (folder / "secret").write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")


def verify(request):
    """As a receiver does it by the Standard Webhooks specification, knowing the secret alone."""
    identifier, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert abs(time.time() - int(timestamp)) < webhook.REPLAY_WINDOW_SECONDS
    signed = f"{identifier}.{timestamp}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"


def test_a_notification_arrives_signed_and_as_it_was_written(tmp_path, film, listener):
    node = program_node(tmp_path, listener.url)
    uid, body = told(film())
    put_message(node, "JSON", uid, body, ".json")
    listener.answer = lambda request: (204, {}, b"")
    assert node.firstread("send", "--once").returncode == 0
    row = row_of(node, "JSON")
    assert (row.state, row.peer_status, row.reason) == ("SENT", None, "")
    [request] = listener.received
    assert (request.method, request.path, request.body) == ("POST", "/readings", body)
    assert (request.headers["content-type"], request.headers["webhook-id"]) == ("application/json", uid)
    verify(request)
    said = node.firstread("check").stdout
    assert f"ok      destination pacs: {listener.url}/readings takes connections; last result" in said
    assert len(listener.received) == 1
    node.engine.dispose()


def test_the_signature_is_that_of_the_specification():
    """The example of Standard Webhooks 1.0."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = webhook.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_passes_is_tried_again_with_the_same_bytes_and_a_new_signature(tmp_path, film, listener):
    node = program_node(tmp_path, listener.url)
    put_message(node, "JSON", UID, told(film())[1], ".json")
    listener.answer = lambda request: (503, {}, b"PLANTED^NAME")
    node.firstread("send", "--once")
    row = row_of(node, "JSON")
    assert (row.state, row.reason) == ("PENDING", "HTTP 503 Service Unavailable")
    assert destination_of(node).state == "DOWN"
    listener.answer = lambda request: (200, {}, b"")
    make_probe_due(node)
    with node.running("send"):
        servers.wait_until(lambda: row_of(node, "JSON").state == "SENT")
    first, second = listener.received
    assert (first.path, first.body, first.headers["webhook-id"]) == (second.path, second.body, UID)
    verify(first)
    verify(second)
    node.engine.dispose()


def test_a_refusal_stops_the_notification_and_shows_its_status_alone(tmp_path, film, listener):
    node = program_node(tmp_path, listener.url)
    put_message(node, "JSON", UID, told(film())[1], ".json")
    listener.answer = lambda request: (401, {}, b"PLANTED^NAME")
    assert node.firstread("send", "--once").returncode == 0
    row = row_of(node, "JSON")
    assert (row.state, row.reason) == ("FAILED", "HTTP 401 Unauthorized")
    assert destination_of(node).state == "UP"
    node.engine.dispose()


def to(url, secret_file, **keys):
    return WebhookDestination(kind="webhook", name="program", url=url, secret_file=str(secret_file), **keys)


def send(listener, folder):
    """Send a notification as it is sent; the outcome."""
    write_secret(folder)
    path = folder / "notification.json"
    path.write_bytes(b"{}")
    one = Delivery(1, 1, "JSON", "program", "", UID, "", 1, service.now())
    with contextlib.closing(webhook.open_channel(to(listener.url, folder / "secret"))) as channel:
        return channel.send(one, path)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_success_is_done(tmp_path, listener, status):
    listener.answer = lambda request: (status, {}, b"")
    assert send(listener, tmp_path) == Accepted(None, "")


@pytest.mark.parametrize("status", [302, 408, 425, 429, 500, 502, 504])
def test_what_passes_is_told_from_what_stays_and_no_redirection_is_followed(tmp_path, listener, status):
    listener.answer = lambda request: (status, {"Location": f"{listener.url}/elsewhere"}, b"")
    with pytest.raises(NotTaken, match=f"^HTTP {status} "):
        send(listener, tmp_path)
    assert len(listener.received) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 422])
def test_every_other_fault_of_ours_is_a_refusal(tmp_path, listener, status):
    listener.answer = lambda request: (status, {}, b"")
    with pytest.raises(PeerRefused, match=f"^HTTP {status} "):
        send(listener, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("", "expected one line"),
        ("too short", "expected 24 to 64 bytes in base64"),
        (base64.b64encode(bytes(23)).decode(), "expected 24 to 64 bytes in base64"),
        (base64.b64encode(bytes(65)).decode(), "expected 24 to 64 bytes in base64"),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_by_file_and_reason(tmp_path, listener, content, said):
    if content is not None:
        (tmp_path / "secret").write_text(content)
    with pytest.raises(PeerUnavailable, match=rf"program secret_file .*secret: {said}") as raised:
        webhook.check(to(listener.url, tmp_path / "secret"))
    assert not content or content not in str(raised.value)


def test_a_program_is_spoken_to_by_tls_only_if_its_authority_is_known(tmp_path):
    write_secret(tmp_path)
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("server"))
    with contextlib.closing(listeners.HttpListener(context=context)) as listener:
        trusted = to(listener.url, tmp_path / "secret", ca_file=str(authority.certificate))
        assert webhook.check(trusted) == f"{listener.url} takes connections"
        with pytest.raises(PeerUnavailable, match="certificate verify failed"):
            webhook.check(to(listener.url, tmp_path / "secret"))
