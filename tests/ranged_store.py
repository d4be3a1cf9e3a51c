"""An S3 server for tests: rclone's, behind a gate that counts bytes and mends one fault of it.

rclone answers a range with its bytes and status 200; RFC 9110 15.3.7 asks for 206, and so do clients.
"""

import contextlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import foreign
import servers

KEYS = ("FIRSTREADKEY", "a-secret-of-this-test")


class RangedStore:
    """A running store of buckets, which are the folders below `root`.

    Parameters
    ----------
    port, behind : int
        TCP port of the gate and of rclone, on loopback.
    """

    def __init__(self, port: int, behind: int) -> None:
        self.port, self.behind = port, behind
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
        }
        self.sent_bytes: dict[str, int] = {}


@contextlib.contextmanager
def running(root: Path) -> Iterator[RangedStore]:
    """Serve the folders below `root`."""
    program = Path(sys.executable).with_name("rclone")
    if not program.exists():
        foreign.missing("rclone is not installed; install firstread[dev]")
    store = RangedStore(servers.free_port(), servers.free_port())
    gate = ThreadingHTTPServer(("127.0.0.1", store.port), _Gate)
    gate.store = store
    server = subprocess.Popen(
        [program, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{store.behind}",
         "--auth-key", ",".join(KEYS), root],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    thread = threading.Thread(target=gate.serve_forever)
    thread.start()
    try:
        servers.wait_until(lambda: servers.accepts(store.behind), what="S3 server")
        yield store
    finally:
        gate.shutdown()
        thread.join()
        gate.server_close()
        servers.end(server)


class _Gate(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.server.store.behind)) as behind:
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                behind.putheader(name, value)
            behind.endheaders(body)
            answer = behind.getresponse()
            content = answer.read()
        self.send_response(
            206 if answer.getheader("Content-Range") and answer.status == 200 else answer.status
        )
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        sent = self.server.store.sent_bytes
        sent[self.path] = sent.get(self.path, 0) + len(content)

    do_PUT = do_HEAD = do_POST = do_GET

    def log_message(self, *_of_request: object) -> None:
        """Say nothing."""
