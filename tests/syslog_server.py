"""A syslog server for tests: by UDP, or by TLS in frames that begin with their length (RFC 5425)."""

import contextlib
import socket
import socketserver
import ssl
import threading


class SyslogServer:
    """Takes messages on loopback until it is closed.

    Parameters
    ----------
    certificate : tuple of str, optional
        Its certificate and key, for TLS; UDP without.
    port : int
        0 for a free one.
    """

    def __init__(self, certificate: tuple[str, str] | None = None, port: int = 0) -> None:
        self.received: list[bytes] = []
        received = self.received

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                received.append(self.request[0])

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while length := self._length():
                        received.append(self.rfile.read(length))

            def _length(self) -> int:
                digits = b""
                while (byte := self.rfile.read(1)) not in (b" ", b""):
                    digits += byte
                return int(digits or 0)

        if certificate is None:
            self._server = socketserver.UDPServer(("127.0.0.1", port), Datagram)
            self._server.max_packet_size = 65_535
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)

            class TlsServer(socketserver.ThreadingTCPServer):
                allow_reuse_address = True
                daemon_threads = True

                def get_request(self) -> tuple[socket.socket, object]:
                    connection, address = super().get_request()
                    return context.wrap_socket(connection, server_side=True), address

                def handle_error(self, *_: object) -> None:
                    pass

            self._server = TlsServer(("127.0.0.1", port), Stream)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
