"""daemon/tls.py: associations by TLS with real certificates, and what is said of bad ones."""

import contextlib
import json
import socket
import ssl
import subprocess
import time

import foreign
import junk
import pytest
import servers
from conftest import make_film
from node import Node, Pacs
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from daemon import outcomes, peer, tls
from daemon.config import DimseDestination, Tls

# pynetdicom leaves the socket of a connection that came to nothing to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


class Authority:
    """A certificate authority of the test's own, and what it signs."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                      "-subj", "/CN=Test CA", "-days", "2")  # fmt: skip

    def _openssl(self, *arguments):
        program = foreign.require("openssl", "openssl")
        subprocess.run([program, *arguments], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, days=2, host="127.0.0.1"):
        """Paths of a new certificate and its key."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName=IP:{host}\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={name}")  # fmt: skip
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext",
                      "-out", f"{name}.pem")  # fmt: skip
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority):
    return authority.sign("server")


@pytest.fixture(scope="module")
def client(authority):
    return authority.sign("client")


@pytest.fixture
def node(tmp_path, authority, server):
    table = {
        "certificate_file": server[0], "key_file": server[1], "port": servers.free_port(),
        "client_ca_file": str(authority.certificate),
    }  # fmt: skip
    made = Node(tmp_path, tables={"tls": table, "node": {"acse_timeout_seconds": 3.0}})
    made.tls_port = table["port"]
    with made.running("receive"):
        yield made
    made.engine.dispose()


def echo(node, authority, certificate=("", "")):
    """Whether a C-ECHO over TLS is answered."""
    to = destination(
        node.tls_port,
        ca_file=str(authority.certificate),
        certificate_file=certificate[0],
        key_file=certificate[1],
    )
    try:
        peer.check("MODALITY", to)
    except outcomes.PeerUnavailable:
        return False
    return True


def test_dcmtk_stores_by_tls_and_the_plain_port_goes_on(node, authority, client, tmp_path):
    storescu = foreign.require("storescu", "dcmtk")
    film = make_film()
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    done = subprocess.run(
        [storescu, "+tls", client[1], client[0], "+cf", authority.certificate, "-aec", "FIRSTREAD", "-xs",
         "127.0.0.1", str(node.tls_port), tmp_path / "film.dcm"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if "not compiled with OpenSSL" in done.stderr or "unknown option" in done.stderr.lower():
        foreign.missing("this storescu has no TLS")
    assert done.returncode == 0, done.stderr
    assert [row.sop_instance_uid for row in node.films()] == [film.SOPInstanceUID]
    assert [answer.Status for answer in node.store(make_film())] == [0x0000]


def test_only_who_shows_a_certificate_of_the_authority_associates(node, authority, client, tmp_path):
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    assert echo(node, authority, client)
    assert not echo(node, authority)
    assert not echo(node, authority, Authority(stranger).sign("client"))
    servers.wait_until(lambda: "TLS with 127.0.0.1 failed" in node.log_text(), what="log line")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_below_tls_1_2_is_spoken(node, authority, client):
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(*client)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", node.tls_port)) as connection,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(connection, server_hostname="127.0.0.1"),
    ):
        pass


def test_handshakes_that_never_end_hold_nobody_up(node, authority, client):
    with contextlib.ExitStack() as stack:
        halves = [stack.enter_context(junk.connection(node.tls_port)) for _ in range(200)]
        for half in halves:
            with contextlib.suppress(OSError):
                half.sendall(b"\x16\x03\x01")
        began = time.monotonic()
        assert echo(node, authority, client)
        assert time.monotonic() - began < 1.0
        assert all(junk.has_ended(half) for half in halves)


def destination(port, **keys):
    return DimseDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, tls=True, **keys)


@pytest.fixture
def secure_pacs(authority, server):
    """Port of a C-ECHO SCP that wants a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(*server)
    context.verify_mode = ssl.CERT_REQUIRED
    ae = AE(ae_title="PACS")
    ae.add_supported_context(Verification)
    made = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
    yield made.socket.getsockname()[1]
    made.shutdown()


def test_a_destination_is_spoken_to_by_tls(secure_pacs, authority, client):
    to = destination(
        secure_pacs, ca_file=str(authority.certificate), certificate_file=client[0], key_file=client[1]
    )
    peer.check("FIRSTREAD", to)


def test_a_destination_without_a_trusted_certificate_is_not_spoken_to(authority, tmp_path):
    with (
        contextlib.closing(Pacs()) as plain,
        pytest.raises(outcomes.PeerUnavailable, match="no association with PACS"),
    ):
        peer.check("FIRSTREAD", destination(plain.port, ca_file=str(authority.certificate)))
    with pytest.raises(outcomes.PeerUnavailable, match=r"ca_file .*absent.pem: No such file"):
        peer.check("FIRSTREAD", destination(1, ca_file=str(tmp_path / "absent.pem")))


def test_check_says_until_when_our_certificates_are_in_force(authority, server, client):
    ours = Tls(*server, client_ca_file=str(authority.certificate))
    assert tls.check_server(ours).startswith(f"{server[0]} until ")
    to = destination(1, ca_file=str(authority.certificate), certificate_file=client[0], key_file=client[1])
    assert tls.check_client(to).startswith(f"{client[0]} until ")
    assert tls.check_client(destination(1)) == "no certificate of ours"


def test_certificates_that_cannot_be_used_are_told_with_file_and_reason(authority, server, client, tmp_path):
    expired = authority.sign("expired", days=-1)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for found, said in (
        (Tls(*expired), r"\[tls\] certificate_file .*expired.pem: certificate has expired"),
        (Tls(server[0], client[1]), r"\[tls\] certificate_file .*server.pem: KEY_VALUES_MISMATCH"),
        (Tls(server[0], str(tmp_path / "no.key")), r"\[tls\] key_file .*no.key: No such file"),
        (Tls(str(empty), server[1]), r"\[tls\] certificate_file .*empty.pem: .*expected a certificate"),
        (Tls(*server, client_ca_file=str(empty)), r"\[tls\] client_ca_file .*empty.pem: "),
    ):
        with pytest.raises(tls.TlsUnusable, match=said):
            tls.check_server(found)
    with pytest.raises(tls.TlsUnusable, match=r"\[\[destination\]\] pacs certificate_file .*has expired"):
        tls.check_client(destination(1, certificate_file=expired[0], key_file=expired[1]))


def test_check_and_receive_tell_of_a_bad_certificate_in_one_line(tmp_path, authority):
    expired, key = authority.sign("late", days=-1)
    node = Node(tmp_path, tables={"tls": {"certificate_file": expired, "key_file": key}})
    said = node.firstread("check")
    assert any(
        line.startswith("PROBLEM tls: ") and "has expired" in line for line in said.stdout.splitlines()
    )
    node.config.write_text(
        node.config.read_text().replace(json.dumps(key), json.dumps(str(tmp_path / "no.key")))
    )
    ended = node.firstread("receive")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "[tls] key_file" in ended.stderr
    node.engine.dispose()
