"""Stand-ins for information systems and programs that results are sent to, on loopback."""

import http.server
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable


class MllpListener:
    """Takes messages by MLLP, keeps them without their frames, and answers what the test says.

    ``answer`` may be replaced: it is given the message and returns the bytes to be sent, in pieces or not, or
    None to hang up.
    """

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.received: list[bytes] = []
        self.connections = 0
        self.answer: Callable[[bytes], bytes | Iterable[bytes] | None] = lambda message: framed(
            acknowledgement(message)
        )
        listener = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                listener.connections += 1
                listener._serve(self.request, context)

        self._server = _ThreadingServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = _start(self._server)

    def _serve(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            received = b""
            while chunk := connection.recv(4096):
                received += chunk
                while b"\x1c\r" in received:
                    message, _, received = received.partition(b"\x1c\r")
                    assert message.startswith(b"\x0b")
                    self.received.append(message[1:])
                    answer = self.answer(message[1:])
                    if answer is None:
                        return
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        connection.sendall(piece)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self) -> None:
        _stop(self._server, self._thread)


def framed(message: str) -> bytes:
    """A message in an MLLP frame."""
    return b"\x0b" + message.encode("utf-8") + b"\x1c\r"


def acknowledgement(message: bytes, code: str = "AA", text: str = "", error: str = "", of: str = "") -> str:
    """An acknowledgement of a message, or of the one with the control id `of`."""
    control_id = of or message.split(b"|")[9].decode()
    return f"MSH|^~\\&|RIS||||20261125||ACK^R01^ACK|1|P|2.5.1\rMSA|{code}|{control_id}|{text}\r" + (
        f"ERR|{error}\r" if error else ""
    )


class HttpListener:
    """Takes HTTP requests, keeps them, and answers what the test says.

    ``answer`` may be replaced: it is given the request and returns status, headers and body; one that comes
    in pieces needs a Content-Length.
    """

    def __init__(
        self, port: int = 0, context: ssl.SSLContext | None = None, protocol: str = "HTTP/1.1"
    ) -> None:
        self.received: list[Request] = []
        self.answer: Callable[[Request], tuple[int, dict[str, str], bytes | Iterable[bytes]]] = (
            lambda request: (200, {}, b"")
        )
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = protocol

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers), body)
                listener.received.append(request)
                status, headers, answer = listener.answer(request)
                if isinstance(answer, bytes):
                    headers, answer = {"Content-Length": str(len(answer))} | headers, [answer]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in answer:
                        self.wfile.write(piece)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = _ThreadingServer(("127.0.0.1", port), Handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._thread = _start(self._server)

    def close(self) -> None:
        _stop(self._server, self._thread)


class Request:
    """What a client asked."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.body = method, path, body
        self.headers = {name.lower(): value for name, value in headers.items()}


class _ThreadingServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """What a client that hangs up breaks is no fault of the test."""


def _start(server: socketserver.BaseServer) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    return thread


def _stop(server: socketserver.BaseServer, thread: threading.Thread) -> None:
    server.shutdown()
    thread.join()
    server.server_close()
