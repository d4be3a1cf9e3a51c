"""TLS for associations, by the BCP 195 profile: TLS 1.2 or 1.3 and forward secrecy (PS3.15 B.12)."""

import contextlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from daemon.config import Backfill, DimseDestination, Hl7Destination, Tls

# RFC 9325 4.2; the cipher suites of TLS 1.3 are all recommended.
_CIPHERS = "ECDHE+AESGCM"
_HANDSHAKE_FLIGHTS = 8


class TlsUnusable(OSError):
    """A certificate, key or CA file cannot be used; the message names it and says why."""


def server_context(tls: Tls, table: str = "[tls]") -> ssl.SSLContext:
    """For a port of ours; with `client_ca_file`, peers need a certificate it vouches for.

    Parameters
    ----------
    tls : Tls
    table : str
        Whose files they are, for messages.

    Raises
    ------
    TlsUnusable
    """
    context = _strict(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context, table, tls.certificate_file, tls.key_file)
    if tls.client_ca_file:
        _load_authorities(context, f"{table} client_ca_file", tls.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    table: str, ca_file: str, certificate_file: str = "", key_file: str = ""
) -> ssl.SSLContext:
    """For connections to the server of a table of the config, which messages name.

    Its certificate must name its host and be vouched for by `ca_file` or the system's authorities.

    Raises
    ------
    TlsUnusable
    """
    context = _strict(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        _load_authorities(context, f"{table} ca_file", ca_file)
    else:
        context.load_default_certs()
    if certificate_file:
        _load_certificate(context, table, certificate_file, key_file)
    return context


def client_arguments(to: DimseDestination | Hl7Destination | Backfill) -> tuple[ssl.SSLContext, str] | None:
    """Context and host name for a connection to a peer; None without TLS.

    Raises
    ------
    TlsUnusable
    """
    if not to.tls:
        return None
    return client_context(to.table, to.ca_file, to.certificate_file, to.key_file), to.host


def check_server(tls: Tls, table: str = "[tls]") -> str:
    """When the certificate of a port of ours ends.

    Parameters
    ----------
    tls : Tls
    table : str
        Whose files they are, for messages.

    Raises
    ------
    TlsUnusable
        If it has ended, does not fit its key, or a file cannot be used.
    """
    context = server_context(tls, table)
    # What is looked at is our own certificate; no client is here to show one.
    context.verify_mode = ssl.CERT_NONE
    other = _trusting(ssl.PROTOCOL_TLS_CLIENT, tls.certificate_file)
    return _end_of_certificate(f"{table} certificate_file", tls.certificate_file, context, other, other)


def check_client(to: DimseDestination | Hl7Destination | Backfill) -> str:
    """When the certificate that we show a peer ends; as `check_server`."""
    context, _ = client_arguments(to)
    if not to.certificate_file:
        return "no certificate of ours"
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    other = _trusting(ssl.PROTOCOL_TLS_SERVER, to.certificate_file)
    # A server must have a certificate itself; with ours it needs no other.
    _load_certificate(other, to.table, to.certificate_file, to.key_file)
    return _end_of_certificate(f"{to.table} certificate_file", to.certificate_file, other, context, other)


def _strict(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    return context


def _load_certificate(context: ssl.SSLContext, table: str, certificate: str, key: str) -> None:
    for name, path in (("certificate_file", certificate), ("key_file", key)):
        if path:
            _load(f"{table} {name}", path, lambda path=path: Path(path).read_bytes())
    # A key that needs a password would ask for it on a terminal.
    _load(
        f"{table} certificate_file", certificate,
        lambda: context.load_cert_chain(certificate, key or None, password=""),
    )  # fmt: skip


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    _load(name, path, lambda: context.load_verify_locations(path))
    for one in context.get_ca_certs():
        if ssl.cert_time_to_seconds(one["notAfter"]) < time.time():
            raise TlsUnusable(f"{name} {path}: an authority's certificate ended on {one['notAfter']}")


def _load(name: str, path: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise TlsUnusable(
            f"{name} {path}: {error.reason or error}; "
            "expected a certificate and its key, in PEM, without password"
        ) from error
    except OSError as error:
        raise TlsUnusable(f"{name} {path}: {error.strerror}") from error


def _trusting(protocol: int, certificate: str) -> ssl.SSLContext:
    """Accepts this very certificate if it is in force, whoever signed it."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load("certificate_file", certificate, lambda: context.load_verify_locations(certificate))
    return context


def _end_of_certificate(
    name: str, path: str, server: ssl.SSLContext, client: ssl.SSLContext, verifier: ssl.SSLContext
) -> str:
    """Let both sides shake hands in memory; the verifier judges, as a peer's would."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = {
        server: server.wrap_bio(to_server, to_client, server_side=True),
        client: client.wrap_bio(to_client, to_server),
    }
    try:
        for _ in range(_HANDSHAKE_FLIGHTS):
            for side in sides.values():
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise TlsUnusable(f"{name} {path}: {error.verify_message}") from error
    return f"{path} until {sides[verifier].getpeercert()['notAfter']}"
