"""Storage SCU on an association that pynetdicom opened: from the file to the socket (PS3.7 9.1.1, PS3.8 9.3).

pynetdicom's two threads look for work a thousand times a second while an association is open. Here they end
once it is established, and what is left is a request and its answer in the caller's thread: an association
that rests costs nothing.
"""

import contextlib
import select
import struct
import time
from collections.abc import Iterator
from typing import BinaryIO

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from daemon.outcomes import RESPONSE_TIMEOUT_SECONDS, NotTaken, PeerUnavailable

# PS3.8 9.3.5 to 9.3.8.
_P_DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = 0x04, 0x05, 0x06, 0x07
_PDU_HEADER = struct.Struct(">BxL")
# Item length, presentation context, message control header (PS3.8 9.3.5.1 and annex E.2).
_PDV_HEADER = struct.Struct(">LBB")
_IS_COMMAND, _IS_LAST = 0x01, 0x02
# Where the peer sets no maximum, or a larger one; and what is read from the file at once.
_MOST_FRAGMENT_BYTES = 1 << 17
_BLOCK_BYTES = 1 << 20
# Group 0000: element numbers and values (PS3.7 6.3.1, 9.3.1 and annex E.1).
_ELEMENT_HEADER = struct.Struct("<HHL")
_GROUP_LENGTH, _SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x0000, 0x0002, 0x1000
_COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO, _PRIORITY = 0x0100, 0x0110, 0x0120, 0x0700
_DATA_SET_TYPE, _STATUS, _ERROR_COMMENT = 0x0800, 0x0900, 0x0902
_C_STORE_RQ, _C_STORE_RSP, _LOW, _DATA_SET_FOLLOWS = 0x0001, 0x8001, 0x0002, 0x0001
_MOST_COMMAND_BYTES = 1 << 16
_RELEASE_SECONDS = 5.0


class AssociationEnded(NotTaken):
    """The association ended without a status for this object."""

    def __init__(self) -> None:
        super().__init__("the association ended without a status for this object")


class StoreAssociation:
    """An association taken over from pynetdicom, for C-STORE and release.

    Parameters
    ----------
    assoc : Association
        Established; of no use to anybody else from now on.

    Attributes
    ----------
    contexts : dict of (str, str) to int
        IDs of the accepted presentation contexts, by abstract and transfer syntax.

    Raises
    ------
    PeerUnavailable
        If it has ended meanwhile.
    """

    def __init__(self, assoc: Association) -> None:
        self.contexts = {
            (one.abstract_syntax, one.transfer_syntax[0]): one.context_id for one in assoc.accepted_contexts
        }
        self._most_received = assoc.requestor.maximum_length
        most = assoc.acceptor.maximum_length or _MOST_FRAGMENT_BYTES
        self._fragment_bytes = max(1, min(most, _MOST_FRAGMENT_BYTES) - _PDV_HEADER.size)
        self._message_id = 0
        assoc.dul.kill_dul()
        assoc.dul.join()
        assoc.kill()
        self._connection = assoc.dul.socket.socket
        if self._connection is None:
            raise PeerUnavailable("the association ended as soon as it was established")

    def c_store(
        self, context_id: int, sop_class_uid: str, sop_instance_uid: str, encoded: BinaryIO
    ) -> Dataset:
        """Send one object and wait for its answer.

        Parameters
        ----------
        context_id : int
        sop_class_uid, sop_instance_uid : str
        encoded : BinaryIO
            The data set in the context's transfer syntax, from where it stands to the end.

        Returns
        -------
        Dataset
            *Status*, and *Error Comment* if there is one (PS3.7 annex C).

        Raises
        ------
        AssociationEnded
        NotTaken
            If the peer does not read the object in `RESPONSE_TIMEOUT_SECONDS`, or does not answer in as many,
            or answers something else; the association is aborted.
        """
        if self._connection is None:
            raise AssociationEnded
        self._message_id = self._message_id % 0xFFFF + 1
        try:
            request = _request(self._message_id, sop_class_uid, sop_instance_uid)
            self._send(context_id, request, encoded)
            return _answer(self._command_set(), self._message_id)
        except BaseException:
            self._abort()
            raise

    def is_quiet(self) -> bool:
        """Whether the association is open and the peer has sent nothing that would end it."""
        if self._connection is None:
            return False
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return not poll.poll(0)

    def release(self) -> None:
        """Release the association (PS3.8 7.2), or close what is left of it."""
        if self._connection is None:
            return
        limit, is_ours = time.monotonic() + _RELEASE_SECONDS, self.is_quiet()
        with contextlib.suppress(NotTaken):
            if is_ours:
                self._write(_PDU_HEADER.pack(_RELEASE_RQ, 4) + bytes(4), limit)
            while (pdu_type := self._next_pdu(limit)[0]) not in (_RELEASE_RP, _ABORT):
                if pdu_type == _RELEASE_RQ:
                    self._write(_PDU_HEADER.pack(_RELEASE_RP, 4) + bytes(4), limit)
                if not is_ours:
                    break
        self._close()

    def _send(self, context_id: int, request: bytes, encoded: BinaryIO) -> None:
        limit = time.monotonic() + RESPONSE_TIMEOUT_SECONDS
        block_bytes = max(1, _BLOCK_BYTES // self._fragment_bytes) * self._fragment_bytes
        parts = [*self._fragments(context_id, _IS_COMMAND, request, True)]
        block = encoded.read(block_bytes)
        while block:
            following = encoded.read(block_bytes)
            parts += self._fragments(context_id, 0, block, not following)
            self._write(b"".join(parts), limit)
            parts, block = [], following

    def _fragments(self, context_id: int, kind: int, message: bytes, is_whole: bool) -> Iterator[bytes]:
        """P-DATA-TF PDUs of one PDV each, as long as the peer takes them, header by header and in turn."""
        view = memoryview(message)
        for begin in range(0, len(view), self._fragment_bytes):
            fragment = view[begin : begin + self._fragment_bytes]
            is_last = is_whole and begin + self._fragment_bytes >= len(view)
            yield _PDU_HEADER.pack(_P_DATA, len(fragment) + _PDV_HEADER.size)
            yield _PDV_HEADER.pack(len(fragment) + 2, context_id, kind | (_IS_LAST if is_last else 0))
            yield fragment

    def _command_set(self) -> bytes:
        """The peer's next message, which has no data set."""
        limit, command = time.monotonic() + RESPONSE_TIMEOUT_SECONDS, bytearray()
        while True:
            pdu_type, body = self._next_pdu(limit)
            if pdu_type == _RELEASE_RQ:
                self._write(_PDU_HEADER.pack(_RELEASE_RP, 4) + bytes(4), limit)
            if pdu_type != _P_DATA:
                raise AssociationEnded
            begin = 0
            while begin < len(body):
                if begin + _PDV_HEADER.size > len(body):
                    raise _no_answer()
                length, _context_id, control = _PDV_HEADER.unpack_from(body, begin)
                command += body[begin + _PDV_HEADER.size : begin + 4 + length]
                if not control & _IS_COMMAND or len(command) > _MOST_COMMAND_BYTES:
                    raise _no_answer()
                if control & _IS_LAST:
                    return bytes(command)
                begin += 4 + length

    def _next_pdu(self, limit: float) -> tuple[int, bytes]:
        pdu_type, length = _PDU_HEADER.unpack(self._read(_PDU_HEADER.size, limit))
        if length > self._most_received:
            raise _no_answer()
        return pdu_type, self._read(length, limit)

    def _read(self, length: int, limit: float) -> bytes:
        received = bytearray()
        with _in_our_words():
            while len(received) < length:
                self._connection.settimeout(_seconds_to(limit))
                part = self._connection.recv(length - len(received))
                if not part:
                    raise AssociationEnded
                received += part
        return bytes(received)

    def _write(self, content: bytes, limit: float) -> None:
        left = memoryview(content)
        with _in_our_words():
            while left:
                self._connection.settimeout(_seconds_to(limit))
                left = left[self._connection.send(left) :]

    def _abort(self) -> None:
        # Whoever does not read it is not waited for.
        with contextlib.suppress(OSError):
            self._connection.settimeout(0)
            self._connection.send(_PDU_HEADER.pack(_ABORT, 4) + bytes(4))
        self._close()

    def _close(self) -> None:
        self._connection.close()
        self._connection = None


def _seconds_to(limit: float) -> float:
    if (left := limit - time.monotonic()) <= 0:
        raise TimeoutError
    return left


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except NotTaken:
        raise
    except TimeoutError as error:
        raise NotTaken(f"the peer did not go on within {RESPONSE_TIMEOUT_SECONDS:g} s") from error
    except OSError as error:
        raise AssociationEnded from error


def _request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Command set of a C-STORE-RQ (PS3.7 table 9.3-1)."""
    values = {
        _SOP_CLASS_UID: _padded(sop_class_uid),
        _COMMAND_FIELD: struct.pack("<H", _C_STORE_RQ),
        _MESSAGE_ID: struct.pack("<H", message_id),
        _PRIORITY: struct.pack("<H", _LOW),
        _DATA_SET_TYPE: struct.pack("<H", _DATA_SET_FOLLOWS),
        _SOP_INSTANCE_UID: _padded(sop_instance_uid),
    }
    elements = b"".join(_ELEMENT_HEADER.pack(0, tag, len(value)) + value for tag, value in values.items())
    return _ELEMENT_HEADER.pack(0, _GROUP_LENGTH, 4) + struct.pack("<L", len(elements)) + elements


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def _answer(command: bytes, message_id: int) -> Dataset:
    """What a C-STORE-RSP to a request says (PS3.7 table 9.3-2)."""
    values, begin = {}, 0
    try:
        while begin < len(command):
            _group, element, length = _ELEMENT_HEADER.unpack_from(command, begin)
            begin += _ELEMENT_HEADER.size
            values[element] = command[begin : begin + length]
            begin += length
        field, responded_to, status = (
            struct.unpack("<H", values[element])[0] for element in (_COMMAND_FIELD, _RESPONDED_TO, _STATUS)
        )
    except (struct.error, LookupError) as error:
        raise _no_answer() from error
    if (field, responded_to) != (_C_STORE_RSP, message_id):
        raise _no_answer()
    answer = Dataset()
    answer.Status = status
    if comment := values.get(_ERROR_COMMENT):
        answer.ErrorComment = comment.decode("ascii", "replace").strip("\0 ")
    return answer


def _no_answer() -> NotTaken:
    return NotTaken("the peer answered something that is no C-STORE-RSP to this object; association aborted")
