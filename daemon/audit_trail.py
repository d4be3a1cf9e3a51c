"""Where audit messages go: a file, or a syslog server by TLS (PS3.15 A.6) or UDP (A.7).

A message for a server is a file of its own until it was sent, so that neither a server away nor a restart
loses one. What is recorded never waits for a server, and is never refused since one is away: a film that must
be seen now is worth more than the message about it, and the messages of weeks fit into the bound.
"""

import contextlib
import datetime
import logging
import os
import socket
import ssl
import threading
import time
import uuid
from pathlib import Path

from daemon import service, tls
from daemon.config import Audit, Config
from daemon.outcomes import CONNECTION_TIMEOUT_SECONDS

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
BATCH = 200
# Facility 10, security and authorisation; severity 5, normal but significant (PS3.15 A.6).
PRIORITY = 10 * 8 + 5
MESSAGE_ID = "DICOM+RFC3881"
_COMPLAINT_SECONDS = 60.0
_LOGGER = logging.getLogger("firstread.audit")


class Trail:
    """The audit trail of one process.

    Parameters
    ----------
    config : Config

    Raises
    ------
    OSError
        If the folder of table ``[audit]`` cannot be made or written.
    daemon.tls.TlsUnusable
    """

    def __init__(self, config: Config) -> None:
        self.source = f"{config.node.ae_title}@{socket.gethostname()}"
        self._settings = config.audit
        self._context = _context(config.audit)
        self._file = Path(config.audit.folder) / "audit.log"
        self._folder = waiting_folder(config.audit)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._bytes = sum(path.stat().st_size for path in self._folder.iterdir())
        self._lost = 0
        self._complained_at = 0.0
        self._wake, self._stop = threading.Event(), threading.Event()
        self._sender = threading.Thread(target=self._run, name="audit", daemon=True)

    def record(self, message: bytes) -> None:
        """Keep a message, durably, and see that it is sent; a disk that takes nothing is told in the log.

        Parameters
        ----------
        message : bytes
            Of `daemon.audit_messages`.
        """
        try:
            if self._settings.to == "file":
                self._append(message)
            else:
                self._keep(_syslog(message, service.now()))
        except OSError as error:
            with self._lock:
                self._lost += 1
                if time.monotonic() - self._complained_at > _COMPLAINT_SECONDS:
                    self._complained_at = time.monotonic()
                    _LOGGER.error("audit messages lost so far: %d: %s", self._lost, error.strerror or error)
        self._wake.set()

    def _append(self, message: bytes) -> None:
        # Opened each time, so that the file may be moved away at any moment.
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            with self._lock:
                os.write(file, message + b"\n")
            os.fsync(file)
        finally:
            os.close(file)

    def _keep(self, message: bytes) -> None:
        with self._lock:
            if self._bytes + len(message) > self._settings.most_mib << 20:
                raise OSError(f"{self._folder} holds {self._settings.most_mib} MiB of messages not sent yet")
            self._bytes += len(message)
        path = self._folder / f"{time.time_ns():020}-{uuid.uuid4().hex}"
        part = path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def start(self) -> None:
        """Send what waits, and what comes, in a thread."""
        if self._settings.to != "file":
            self._sender.start()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Send what waits if the server is there, and end; what it does not take stays on disk."""
        self._stop.set()
        self._wake.set()
        if self._sender.ident is not None:
            self._sender.join(2 * CONNECTION_TIMEOUT_SECONDS)

    def send_waiting(self) -> None:
        """Send what waits, once.

        Raises
        ------
        OSError
            If the server did not take it; it stays on disk, and may come twice.
        """
        while batch := sorted(path for path in self._folder.iterdir() if not path.suffix)[:BATCH]:
            messages = [path.read_bytes() for path in batch]
            if self._context is None:
                self._send_by_udp(messages)
            else:
                self._send_by_tls(messages, self._context)
            for path, message in zip(batch, messages, strict=True):
                # Another process of the node may have sent it too.
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                with self._lock:
                    self._bytes = max(0, self._bytes - len(message))

    def _send_by_udp(self, messages: list[bytes]) -> None:
        """RFC 5426: a message a datagram."""
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            self._settings.host, self._settings.port, type=socket.SOCK_DGRAM
        )
        with socket.socket(family, kind, protocol) as sender:
            sender.connect(address)
            for message in messages:
                sender.send(message)

    def _send_by_tls(self, messages: list[bytes], context: ssl.SSLContext) -> None:
        """RFC 5425: each message after its length; there is no answer but the server's end of the connection.

        A server that closes after us has read all we sent; one that died resets, or says nothing.
        """
        host = self._settings.host
        with (
            socket.create_connection((host, self._settings.port), CONNECTION_TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=True) as secure,
        ):
            for message in messages:
                secure.sendall(b"%d %b" % (len(message), message))
            # Not every server answers our close_notify with its own.
            with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
                secure.unwrap()

    def _run(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while True:
            self._wake.clear()
            try:
                self.send_waiting()
                wait = FIRST_WAIT_SECONDS
                pause: float | None = None
            except OSError as error:
                _LOGGER.warning("audit messages wait: %s", error.strerror or error)
                pause, wait = wait, min(2 * wait, LONGEST_WAIT_SECONDS)
            if self._stop.is_set():
                return
            if pause is None:
                self._wake.wait()
            else:
                self._stop.wait(pause)


def waiting_folder(settings: Audit) -> Path:
    """Where messages that were not sent yet lie."""
    return Path(settings.folder) / "waiting"


def _context(settings: Audit) -> ssl.SSLContext | None:
    if settings.to != "tls":
        return None
    return tls.client_context("[audit]", settings.ca_file, settings.certificate_file, settings.key_file)


def _syslog(message: bytes, now: datetime.datetime) -> bytes:
    """Header, empty structured data and message in UTF-8 with its mark (RFC 5424 6)."""
    stamp = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    header = f"<{PRIORITY}>1 {stamp} {socket.gethostname()} firstread {os.getpid()} {MESSAGE_ID} - "
    return header.encode() + b"\xef\xbb\xbf" + message
