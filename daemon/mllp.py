"""Messages to an information system by MLLP, one after another (HL7 v2.5.1 2.9; MLLP release 1).

Acknowledgements name patients readily ("unknown patient 4711"), and what is kept of them goes into the job
row: what the message itself says of its patient is taken out of their text.
"""

import re
import socket
import time
from collections.abc import Collection
from pathlib import Path

from daemon import identities, tls
from daemon.config import Hl7Destination
from daemon.outcomes import (
    CONNECTION_TIMEOUT_SECONDS,
    RESPONSE_TIMEOUT_SECONDS,
    Accepted,
    NotTaken,
    PeerRefused,
    PeerUnavailable,
)
from storage.deliveries import Delivery

START, END = b"\x0b", b"\x1c\r"
MOST_ANSWER_BYTES = 64 << 10
MOST_REASON_CHARACTERS = 200
# HL7 table 0008: in original mode and, of a receiver that keeps to enhanced mode, of its accept level.
TAKEN = ("AA", "CA")
REFUSED = ("AE", "AR", "CE", "CR")
# By HL7 table 0211.
_CODECS = {"UNICODE UTF-8": "utf-8", "8859/1": "iso8859_1", "ASCII": "ascii"}


class _Channel:
    """A connection to a listener."""

    def __init__(self, connection: socket.socket, character_set: str) -> None:
        self._connection = connection
        self._character_set = character_set

    def send(self, _one: Delivery, path: Path) -> Accepted:
        message = path.read_bytes().decode("utf-8")
        encoded = in_character_set(message, self._character_set)
        try:
            self._connection.settimeout(RESPONSE_TIMEOUT_SECONDS)
            self._connection.sendall(START + encoded + END)
            answer = self._answer()
        except TimeoutError as error:
            raise NotTaken(f"no acknowledgement within {RESPONSE_TIMEOUT_SECONDS:g} s") from error
        except NotTaken:
            raise
        except OSError as error:
            raise NotTaken(f"no acknowledgement: {error.strerror or type(error).__name__}") from error
        return judge(answer.decode(_CODECS[self._character_set], "replace"), message)

    def _answer(self) -> bytes:
        """The next message of the peer, without its frame, in `RESPONSE_TIMEOUT_SECONDS` at most."""
        limit, received = time.monotonic() + RESPONSE_TIMEOUT_SECONDS, b""
        while END not in received:
            self._connection.settimeout(max(0.001, limit - time.monotonic()))
            chunk = self._connection.recv(4096)
            received += chunk
            if not chunk:
                raise NotTaken("the connection ended without an acknowledgement")
            if len(received) > MOST_ANSWER_BYTES:
                raise NotTaken(f"an acknowledgement of more than {MOST_ANSWER_BYTES >> 10} KiB")
        return received.partition(END)[0].lstrip(b"\r\n").removeprefix(START)

    def serves(self, _sop_class_uids: Collection[str]) -> bool:
        return False  # a listener says nothing when it ends a connection that rests

    def close(self) -> None:
        self._connection.close()


def open_channel(to: Hl7Destination) -> _Channel:
    """A connection by TCP, with `tls` by TLS; `daemon.channels` says the rest."""
    try:
        secure = tls.client_arguments(to)
    except tls.TlsUnusable as error:
        raise PeerUnavailable(str(error)) from error
    connection = None
    try:
        connection = socket.create_connection((to.host, to.port), CONNECTION_TIMEOUT_SECONDS)
        if secure:
            context, host = secure
            connection = context.wrap_socket(connection, server_hostname=host)
    except OSError as error:
        if connection is not None:
            connection.close()
        why = error.strerror or error
        raise PeerUnavailable(f"no connection with {to.host}:{to.port}: {why}") from error
    return _Channel(connection, to.character_set)


def check(to: Hl7Destination) -> str:
    """Connect; a listener has nothing that could be asked."""
    open_channel(to).close()
    return f"{to.host}:{to.port} takes connections"


def in_character_set(message: str, character_set: str) -> bytes:
    """A message as a destination wants it, MSH-18 included.

    Raises
    ------
    PeerRefused
        If it has letters that the character set lacks: a name is not sent with others in their place.
    """
    header, _, rest = message.partition("\r")
    fields = header.split("|")
    fields[17] = character_set
    try:
        return f"{'|'.join(fields)}\r{rest}".encode(_CODECS[character_set])
    except UnicodeEncodeError:
        raise PeerRefused(f"not sent: it has letters that {character_set} lacks") from None


def judge(answer: str, message: str) -> Accepted:
    """What an acknowledgement means (HL7 v2.5.1 2.9.2 and 2.15.8 MSA).

    Parameters
    ----------
    answer : str
        Without its frame.
    message : str
        That it should acknowledge.

    Returns
    -------
    Accepted
        For AA and CA; without a status, which is a number in DICOM only.

    Raises
    ------
    PeerRefused
        For AE, AR, CE and CR, with what MSA and ERR say, shortened and without what the message says of
        its patient.
    NotTaken
        For an answer to another message, or one that is no acknowledgement.
    """
    segments = [segment.split(answer[3:4] or "|") for segment in re.split(r"[\r\n]+", answer)]
    acknowledgement = next((fields for fields in segments if fields[0] == "MSA"), None)
    if not answer.startswith("MSH") or acknowledgement is None:
        raise NotTaken("the answer is no acknowledgement")
    _, code, control_id, text, *_ = (*acknowledgement, *[""] * 3)
    if control_id != message.split("|", 10)[9]:
        raise NotTaken("the acknowledgement is of another message")
    if code in TAKEN:
        return Accepted(None, "")
    if code not in REFUSED:
        raise NotTaken("the acknowledgement has no code of table 0008")
    said = [text]
    for fields in segments:
        if fields[0] == "ERR":
            # Error location of older versions; location, code, application code, diagnosis, user message.
            said += [fields[number] for number in (1, 2, 3, 5, 7, 8) if number < len(fields)]
    raise PeerRefused(f"{code} {_told(' '.join(filter(None, said)), message)}".strip())


def _told(text: str, message: str) -> str:
    """What is kept of a peer's text."""
    patient = next((one for one in message.split("\r") if one.startswith("PID|")), "").split("|")
    patient += [""] * 6
    values = {identifier.partition("^^^")[0] for identifier in patient[3].split("~")}
    for name in patient[5].split("~"):
        values.update(re.split(r"[\^ -]", "^".join(name.split("^")[:5])))
    text = identities.without(text, values - {""})
    # Birth dates, and what looks like another's identifier.
    text = re.sub(r"\d[\d./-]{5,}", "[...]", text)
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable[:MOST_REASON_CHARACTERS].rstrip()
