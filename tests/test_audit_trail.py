"""Audit messages by the schema of PS3.15 A.5.1, and their way to a file or a syslog server."""

import datetime
import re
from pathlib import Path

import pytest
import servers
from conftest import NOW, make_film
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from node import Node
from received import write_film
from syslog_server import SyslogServer
from test_tls import Authority
from visitor import PASSWORD, Visitor, add_user

from daemon import audit_messages, audit_trail, config
from daemon.audit_messages import AccessedFilm, Person
from daemon.audit_trail import Trail
from daemon.console import app, audit
from daemon.console.access import User
from storage import database, films
from storage.films import ReceivedFilm
from storage.spool import Spool
from storage.states import Role

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit_message.rng")))
FILM = AccessedFilm(4711, "1.2.3", "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4", "A4711", "PID-0815", "Buc^Jérôme")
KIM = Person("kim", "10.1.2.3")


def message(**changes) -> bytes:
    values = {"action": "R", "person": KIM, "film": FILM} | changes
    return audit_messages.instances_accessed(
        "FIRSTREAD@node", values["person"], values["action"], values["film"], NOW
    )


EVERY_KIND = {
    "view": message(),
    "withdrawal": message(action="D"),
    "without identity": message(film=AccessedFilm(1, "1.2", "1.2", "1.2", "", "", "")),
    "tried film": audit_messages.film_tried("s", KIM, NOW),
    "start": audit_messages.application_activity("s", "console@h:1", audit_messages.APPLICATION_START, NOW),
    "login": audit_messages.user_authentication("s", KIM, audit_messages.LOGIN, "0", NOW),
    "failure": audit_messages.user_authentication("s", KIM, audit_messages.LOGIN, "4", NOW),
    "role": audit_messages.security_alert(
        "s", Person("root"), "kim", "role admin", audit_messages.SECURITY_ROLES_CHANGED, NOW
    ),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_message_is_valid_by_the_schema_of_the_standard(kind):
    SCHEMA.assertValid(etree.fromstring(EVERY_KIND[kind]))


def test_the_schema_finds_what_is_not_a_message():
    broken = etree.fromstring(EVERY_KIND["view"])
    del broken.find("EventIdentification").attrib["EventOutcomeIndicator"]
    assert not SCHEMA.validate(broken)


def test_a_view_names_who_from_where_study_film_and_patient():
    found = etree.fromstring(message())
    assert found.xpath("EventIdentification/EventID/@csd-code") == ["110103"]
    assert found.xpath("EventIdentification/@EventActionCode") == ["R"]
    assert found.xpath("EventIdentification/@EventDateTime") == ["2026-11-25T01:20:07.000+13:00"]
    (who,) = found.findall("ActiveParticipant")
    assert dict(who.attrib) == {
        "UserID": "kim", "UserIsRequestor": "true", "NetworkAccessPointID": "10.1.2.3",
        "NetworkAccessPointTypeCode": "2",
    }  # fmt: skip
    study, patient = found.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert study.xpath("ParticipantObjectDescription/Accession/@Number") == ["A4711"]
    assert study.xpath("ParticipantObjectDescription/SOPClass/Instance/@UID") == ["1.2.3.4"]
    assert (patient.get("ParticipantObjectTypeCode"), patient.get("ParticipantObjectTypeCodeRole")) == (
        "1",
        "1",
    )
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == (
        "PID-0815", "Buc^Jérôme",
    )  # fmt: skip


@given(st.text(), st.text())
def test_whatever_a_film_or_a_login_calls_itself_the_message_is_one_valid_line(name, patient):
    film = AccessedFilm(1, "1.2", "1.2", "1.2", patient, patient, patient)
    found = message(person=Person(name, name), film=film)
    assert b"\n" not in found and b"\r" not in found
    SCHEMA.assertValid(etree.fromstring(found))


def test_no_value_makes_a_message_longer_than_every_server_takes():
    absurd = "&" * 100_000
    found = message(
        person=Person(absurd), film=AccessedFilm(1, absurd, absurd, absurd, absurd, absurd, absurd)
    )
    assert len(found) < 32_768  # PS3.15 A.6
    SCHEMA.assertValid(etree.fromstring(found))


def trail_of(folder: Path, **table: object) -> Trail:
    return Trail(config.parse({"audit": {"folder": str(folder / "audit")} | table}, "test"))


def test_a_file_gets_one_line_a_message_and_is_for_its_owner_alone(tmp_path):
    trail = trail_of(tmp_path)
    file = tmp_path / "audit" / "audit.log"
    with trail:
        trail.record(EVERY_KIND["view"])
        trail.record(EVERY_KIND["login"])
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes().splitlines() == [EVERY_KIND["view"], EVERY_KIND["login"]]
        file.rename(tmp_path / "old")
        trail.record(EVERY_KIND["start"])
    assert file.read_bytes().splitlines() == [EVERY_KIND["start"]]


SYSLOG = re.compile(
    rb"<85>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) \S+ firstread \d+ DICOM\+RFC3881 - \xef\xbb\xbf(.*)"
)


def bodies(server: SyslogServer) -> list[bytes]:
    """XML of what came, its header looked at (RFC 5424 6)."""
    found = [SYSLOG.fullmatch(one) for one in server.received]
    for one in found:
        datetime.datetime.fromisoformat(one[1].decode())
    return [one[2] for one in found]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("to", ["udp", "tls"])
def test_a_syslog_server_gets_every_message_whole_and_in_order(to, tmp_path, authority):
    server = SyslogServer(authority.sign("syslog") if to == "tls" else None)
    table = {"to": to, "host": "127.0.0.1", "port": server.port, "ca_file": str(authority.certificate)}
    trail = trail_of(tmp_path, **table)
    long = b"<AuditMessage>%b</AuditMessage>" % (b"x" * 30_000)
    sent = [*EVERY_KIND.values(), long]
    with trail:
        for one in sent:
            trail.record(one)
        servers.wait_until(lambda: len(server.received) == len(sent), what="every message")
    server.close()
    assert bodies(server) == sent
    assert list((tmp_path / "audit" / "waiting").iterdir()) == []


def test_messages_wait_for_a_server_that_is_away_over_a_restart(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(audit_trail, "LONGEST_WAIT_SECONDS", 0.2)
    port = servers.free_port()
    table = {"to": "tls", "host": "127.0.0.1", "port": port, "ca_file": str(authority.certificate)}
    with (trail := trail_of(tmp_path, **table)):
        trail.record(EVERY_KIND["view"])
    waiting = tmp_path / "audit" / "waiting"
    (kept,) = waiting.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    with (trail := trail_of(tmp_path, **table)):
        trail.record(EVERY_KIND["login"])
        server = SyslogServer(authority.sign("syslog"), port)
        servers.wait_until(lambda: not list(waiting.iterdir()), what="messages to be sent")
    server.close()
    assert bodies(server) == [EVERY_KIND["view"], EVERY_KIND["login"]]


def test_a_server_without_a_trusted_certificate_gets_nothing(tmp_path, authority):
    server = SyslogServer(Authority(tmp_path).sign("stranger"))
    table = {"to": "tls", "host": "127.0.0.1", "port": server.port, "ca_file": str(authority.certificate)}
    trail = trail_of(tmp_path, **table)
    trail.record(EVERY_KIND["view"])
    with pytest.raises(OSError, match="certificate verify failed"):
        trail.send_waiting()
    server.close()
    assert server.received == []
    assert len(list((tmp_path / "audit" / "waiting").iterdir())) == 1


def test_what_waits_is_bounded_and_what_is_lost_is_told_without_the_patient(tmp_path, caplog):
    trail = trail_of(tmp_path, to="udp", host="127.0.0.1", most_mib=1)
    large = b"PID-0815" * 40_000
    for _ in range(5):
        trail.record(large)
    waiting = list((tmp_path / "audit" / "waiting").iterdir())
    assert sum(path.stat().st_size for path in waiting) <= 1 << 20
    assert len(waiting) == 3
    (line,) = caplog.messages
    assert line.startswith("audit messages lost so far: 1: ") and "PID-0815" not in line


def recorded(node: Node) -> list[etree._Element]:
    """The messages in a node's file, each by the schema."""
    lines = (node.folder / "audit" / "audit.log").read_bytes().splitlines()
    found = [etree.fromstring(line) for line in lines]
    for one in found:
        SCHEMA.assertValid(one)
    return found


def kinds(node: Node) -> list[tuple[str, ...]]:
    return [
        (
            *one.xpath("EventIdentification/EventID/@originalText"),
            *one.xpath("EventIdentification/EventTypeCode/@originalText"),
            *one.xpath("EventIdentification/@EventOutcomeIndicator"),
            *one.xpath("ActiveParticipant/@UserID"),
        )
        for one in recorded(node)
    ]


def test_start_login_failure_logout_and_stop_are_in_the_trail_and_no_password(tmp_path):
    node = Node(tmp_path)
    node.migrate()
    add_user(node, "kim", Role.READER)
    with node.running("console"):
        visitor = Visitor(node)
        visitor.log_in("kim", "a wrong password")
        visitor.log_in("kim")
        visitor.post("/logout", data={"csrf_token": visitor.token("/absent")})
    found = kinds(node)
    node.engine.dispose()
    process = found[1][-1]
    assert process.startswith("console@")
    authentication, activity = "User Authentication", "Application Activity"
    assert found == [
        ("Security Alert", "User Security Attributes Changed", "0", "test"),
        (activity, "Application Start", "0", process),
        (authentication, "Login", "4", "kim"),
        (authentication, "Login", "0", "kim"),
        (authentication, "Logout", "0", "kim"),
        (activity, "Application Stop", "0", process),
    ]
    trail = (tmp_path / "audit" / "audit.log").read_text(encoding="utf-8")
    assert PASSWORD not in trail and "a wrong password" not in trail


@pytest.fixture
def viewed(tmp_path):
    """A node with one film, and a request of its console's application."""
    node = Node(tmp_path)
    node.migrate()
    spool = Spool(tmp_path / "spool")
    name = f"films/aa/{'a' * 32}.dcm"
    write_film(spool.path(name), make_film(AccessionNumber="A4711"))
    received = ReceivedFilm(
        "1.2.4", "1.2", "1.2.3", "A4711", "CR", "1.2.840.10008.1.2.1", "0" * 64, 10, name, "CR1", "FIRSTREAD",
        "127.0.0.1",
    )  # fmt: skip
    films.enqueue(node.engine, received, NOW)
    application = app.make(config.load(node.config), node.engine, spool)
    request = Request({"type": "http", "app": application, "client": ("10.1.2.3", 50_000)})
    yield node, request, spool.path(name)
    node.engine.dispose()


def test_a_film_that_is_viewed_is_told_with_the_patient_of_its_header(viewed):
    node, request, path = viewed
    with database.reading(node.engine) as connection:
        film = films.get(connection, 1)
    audit.film_used(request, User("kim", Role.READER), "R", film)
    path.unlink()
    audit.film_used(request, User("kim", Role.READER), "U", film)
    patients = [
        one.xpath("ParticipantObjectIdentification[2]/@ParticipantObjectID") for one in recorded(node)
    ]
    assert patients == [["PID-0815"], [""]]
    studies = [one.xpath("ParticipantObjectIdentification[1]/@ParticipantObjectID") for one in recorded(node)]
    assert studies == [["1.2.3"], ["1.2.3"]]
