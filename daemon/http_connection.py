"""One HTTP/1.1 connection to the URL of a destination, with limits on what is answered (RFC 9112)."""

import contextlib
import dataclasses
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from daemon import tls
from daemon.outcomes import CONNECTION_TIMEOUT_SECONDS, RESPONSE_TIMEOUT_SECONDS, NotTaken, PeerUnavailable

MOST_ANSWER_BYTES = 1 << 20
# Request time-out, too early, too many requests: RFC 9110, 8470 and 6585.
LATER = (408, 425, 429)


@dataclasses.dataclass(frozen=True)
class Answer:
    """Status code and body of a response."""

    status: int
    body: bytes

    def __str__(self) -> str:
        # The words are the standard's: what a peer writes in their place may name a patient.
        return f"HTTP {self.status} {http.client.responses.get(self.status, '')}".rstrip()


class HttpConnection:
    """A connection that is made before anything is sent on it.

    It follows no redirection, asks no proxy, and takes no credentials from its surroundings: what is sent
    goes to the host that the config names, or nowhere.

    Parameters
    ----------
    name : str
        Of the destination.
    url : str
        ``http`` or ``https``.
    ca_file : str
        As `tls.client_context` takes it.

    Raises
    ------
    PeerUnavailable
        If the host cannot be reached, or TLS does not come about.
    """

    def __init__(self, name: str, url: str, ca_file: str) -> None:
        parts = urlsplit(url)
        self._url, self._path = url, parts.path
        address = parts.hostname, parts.port
        if parts.scheme == "https":
            try:
                context = tls.client_context(f"[[destination]] {name}", ca_file)
            except tls.TlsUnusable as error:
                raise PeerUnavailable(str(error)) from error
            self._http = http.client.HTTPSConnection(*address, context=context)
        else:
            self._http = http.client.HTTPConnection(*address)
        self._connect()

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and take the answer, which may last `RESPONSE_TIMEOUT_SECONDS` in all.

        Parameters
        ----------
        method : str
        path : str
            Added to that of the URL.
        headers : mapping
        body : bytes

        Raises
        ------
        NotTaken
            If there is no answer, or none that ends in time and within `MOST_ANSWER_BYTES`.
        """
        try:
            if self._http.sock is None:  # the peer ends its connection with each answer
                self._connect()
            self._http.request(method, self._path + path or "/", body or None, dict(headers))
            with _ended_late(self._http.sock):
                response = self._http.getresponse()
                answered = response.read(MOST_ANSWER_BYTES + 1)
        except PeerUnavailable as error:
            raise NotTaken(str(error)) from error
        except TimeoutError as error:
            raise NotTaken(f"no whole HTTP answer in {RESPONSE_TIMEOUT_SECONDS:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            # Some of these quote what the peer sent.
            raise NotTaken(f"no HTTP answer: {type(error).__name__}") from error
        if len(answered) > MOST_ANSWER_BYTES:
            raise NotTaken(f"HTTP {response.status} with more than {MOST_ANSWER_BYTES >> 20} MiB")
        return Answer(response.status, answered)

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def _connect(self) -> None:
        self._http.timeout = CONNECTION_TIMEOUT_SECONDS
        try:
            self._http.connect()
        except OSError as error:
            raise PeerUnavailable(f"no connection with {self._url}: {error.strerror or error}") from error
        self._http.sock.settimeout(RESPONSE_TIMEOUT_SECONDS)


@contextlib.contextmanager
def _ended_late(connection: socket.socket) -> Iterator[None]:
    """End a connection that lasts too long: each byte of a slow answer would start a time-out anew.

    Raises
    ------
    TimeoutError
        If it lasted too long, whatever its end looked like to the one who read.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            # Not that of a TLS socket, which would take it from under the thread that reads.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(RESPONSE_TIMEOUT_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError
