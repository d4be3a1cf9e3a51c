"""The transport below the SCP: what a peer may cost before it associates, and while it does (PS3.8).

pynetdicom gives each connection two threads at once, waits without an end for the rest of a PDU, and reads a
PDU of any length into memory. Here a connection costs one sleeping thread until its whole A-ASSOCIATE-RQ is
there, and every wait and every length has a limit.
"""

import contextlib
import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from daemon.connection import PDU_HEADER, Connection, Limits
from daemon.transfer import Provider

A_ASSOCIATE_RQ = 0x01
# PS3.8 table 9-26: A-ABORT of the service provider, unexpected PDU.
_ABORT = bytes.fromhex("07 00 00 00 00 04 00 00 02 02")
_LOG_SECONDS = 10.0
_LOGGER = logging.getLogger("firstread.receive")


class NotAnAssociation(ConnectionError):
    """The connection's first bytes are no A-ASSOCIATE-RQ, or were too long in coming."""


class Waiting:
    """Connections that have not associated, oldest first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._connections: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        self._ended = 0
        self._logged = -_LOG_SECONDS

    def add(self, connection: socket.socket) -> None:
        """Count a connection; beyond the limit the one that has waited longest is ended.

        Who means to associate does so at once, and so gets through among any number that never do.
        """
        with self._lock:
            self._connections[connection] = None
            if len(self._connections) <= self.most:
                return
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            self._ended += 1
            if (now := time.monotonic()) - self._logged > _LOG_SECONDS:
                _LOGGER.warning(
                    "%d connections ended that did not associate: over %d at once", self._ended, self.most
                )
                self._logged, self._ended = now, 0
        _interrupt(oldest)

    def remove(self, connection: socket.socket) -> None:
        """Count a connection no more."""
        with self._lock:
            self._connections.pop(connection, None)

    def end_all(self) -> None:
        """Hang up on all of them."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _interrupt(connection)


class Door(ThreadedAssociationServer):
    """A listening port whose peers cannot take more than `Limits`."""

    request_queue_size = 128
    daemon_threads = True

    # Named as `AE.make_server` calls it.
    def __init__(
        self,
        *arguments: Any,
        listener: socket.socket,
        limits: Limits,
        on_end: Callable[[Association], None],
        **keywords: Any,
    ) -> None:
        self._listener = listener
        self.limits = limits
        self.on_end = on_end
        self.waiting = Waiting(limits.waiting)
        super().__init__(*arguments, request_handler=_Handler, **keywords)

    def server_bind(self) -> None:
        """Take the port that was bound, which other processes may share."""
        self.socket.close()
        self.socket = self._listener
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        """A new connection; its TLS handshake is made in its own thread, where it holds up nobody."""
        connection, address = self.socket.accept()
        self.waiting.add(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell in one line of a fault that ended a connection."""
        _LOGGER.error("connection of %s ended: %s", client_address[0], type(sys.exc_info()[1]).__name__)

    def open(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, name="door", daemon=True).start()
        self.ae._servers.append(self)

    def take(self, limits: Limits, ssl_context: ssl.SSLContext | None) -> None:
        """Serve connections from now on by other limits and, on a port for TLS, another certificate.

        AE title and presentation contexts are again those of the AE.
        """
        self.limits, self.waiting.most = limits, limits.waiting
        self.ae_title, self.contexts = self.ae.ae_title, self.ae.supported_contexts
        if self.ssl_context is not None:
            self.ssl_context = ssl_context

    def shutdown(self) -> None:
        """Take no more connections, and end those that wait."""
        super().shutdown()
        self.waiting.end_all()


class _Handler(RequestHandler):
    """One connection from its first byte to what is left of it."""

    server: Door

    def handle(self) -> None:
        limits, waiting = self.server.limits, self.server.waiting
        limit = time.monotonic() + limits.associate_seconds
        try:
            if self.server.ssl_context is not None:
                self._wrap(self.server.ssl_context)
                self.request.settimeout(limits.associate_seconds)
                self.request.do_handshake()
            begun = _read_request(self.request, limits.pdu_bytes, limit)
        except ssl.SSLError as error:
            _LOGGER.warning("TLS with %s failed: %s", self.client_address[0], error.reason)
            _hang_up(self.request)
            return
        except OSError:
            _hang_up(self.request)
            return
        finally:
            waiting.remove(self.request)
        assoc = self._create_association()
        provider = Provider(assoc)
        provider.socket = Connection(assoc, self.request, begun, limits, provider.bell)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assoc.start()
        assoc.join()
        provider.join()
        _hang_up(self.request)
        provider.bell.close()
        self.server.on_end(assoc)

    def _wrap(self, context: ssl.SSLContext) -> None:
        self.server.waiting.remove(self.request)
        self.request = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.server.waiting.add(self.request)


def bind(host: str, port: int) -> socket.socket:
    """A port on which a door, or several in as many processes, can listen.

    Raises
    ------
    OSError
        If it cannot be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    # All that share it are woken by a connection, and one gets it.
    listener.setblocking(False)
    return listener


def make(
    ae: AE,
    listener: socket.socket,
    limits: Limits,
    handlers: list[Any],
    on_end: Callable[[Association], None],
    ssl_context: ssl.SSLContext | None = None,
) -> Door:
    """A door that listens; `Door.open` lets peers in.

    Parameters
    ----------
    ae : pynetdicom.AE
    listener : socket.socket
        From `bind`.
    limits : Limits
    handlers : list
        pynetdicom's event handlers.
    on_end : callable
        Is given each association once its threads have ended.
    ssl_context : ssl.SSLContext, optional
        For TLS.
    """
    return ae.make_server(
        listener.getsockname()[:2],
        ssl_context=ssl_context,
        evt_handlers=handlers,
        server_class=Door,
        listener=listener,
        limits=limits,
        on_end=on_end,
    )


def _read_request(connection: socket.socket, most_bytes: int, limit: float) -> bytes:
    """The first PDU, whole: an A-ASSOCIATE-RQ that came before `limit` (monotonic seconds)."""
    header = _read(connection, PDU_HEADER.size, limit)
    pdu_type, length = PDU_HEADER.unpack(header)
    if pdu_type != A_ASSOCIATE_RQ or length > most_bytes:
        # PS3.8 9.2.3, Sta2: AA-1. Who does not read it is not waited for.
        connection.settimeout(0)
        connection.send(_ABORT)
        raise NotAnAssociation(f"PDU of type {pdu_type} and {length} bytes, expected an A-ASSOCIATE-RQ")
    return header + _read(connection, length, limit)


def _read(connection: socket.socket, length: int, limit: float) -> bytes:
    received = bytearray()
    while len(received) < length:
        left = limit - time.monotonic()
        if left <= 0:
            raise NotAnAssociation("no A-ASSOCIATE-RQ in time")
        connection.settimeout(left)
        part = connection.recv(length - len(received))
        if not part:
            raise NotAnAssociation("ended within the A-ASSOCIATE-RQ")
        received += part
    return bytes(received)


def _interrupt(connection: socket.socket) -> None:
    """End a connection that another thread reads and will close."""
    # That of an SSLSocket would pull the session from under the reader.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _hang_up(connection: socket.socket) -> None:
    _interrupt(connection)
    connection.close()
