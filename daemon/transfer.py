"""Data transfer (PS3.8 9.3.5): a data set goes from the socket through one buffer into its file.

pynetdicom has two threads for an association, each of which looks for work a thousand times a second, and
copies a P-DATA-TF six times before its values reach a file. Here both threads sleep until there is something
for them, and values of a data set that goes to a file are written from the buffer, next to each other. All
else, and the end of each data set, passes through pynetdicom; tests/test_transfer.py holds both ways to the
same outcome, and tells when a release of pynetdicom changes what is replaced here.
"""

import logging
import queue
import struct
import threading
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from daemon.connection import DOZE_SECONDS, P_DATA_TF, PDU_HEADER, Bell, Connection
from daemon.incoming import Incoming

# A command set has a dozen short elements; of what is no C-STORE the data set too is held in memory.
_MOST_BYTES_IN_MEMORY = 256 << 10
# Length, presentation context ID (PS3.8 table 9-23) and message control header (annex E.2).
_VALUE_HEADER = struct.Struct(">LBB")
_COMMAND, _LAST = 0x01, 0x02
# Group, element and length, in implicit VR little endian (PS3.7 6.3.1).
_ELEMENT = struct.Struct("<HHL")
# Command Field and Command Data Set Type (PS3.7 annex E).
_C_STORE_RSP, _NO_DATA_SET = b"\x01\x80", b"\x01\x01"
# PS3.8 table 9-10.
_READY_FOR_DATA_TRANSFER = "Sta6"
_LOGGER = logging.getLogger("firstread.receive")


class NotValues(ValueError):
    """A P-DATA-TF whose lengths contradict each other."""


class _Queue(queue.Queue):
    """A queue whose reader is woken."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()


class _Checkpoint(threading.Event):
    """Where the association's thread halts on each round: for want of work, and while it is held up."""

    def __init__(self, has_work: Callable[[], bool]) -> None:
        super().__init__()
        self.set()
        self._has_work = has_work
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._rung.clear()
        if not self._has_work():
            self._rung.wait(DOZE_SECONDS)
        return super().wait(timeout)


class Provider(DULServiceProvider):
    """The upper layer of an association that a peer opened, awake only while there is work.

    Takes the place of the one that `assoc` was made with; wants to be given a `Connection` before it starts.
    """

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        assoc.dul = self
        self.artim_timer.timeout = assoc.acse_timeout
        self._idle_timer.timeout = assoc.network_timeout
        # It sleeps where the connection waits for bytes.
        self._run_loop_delay = 0
        self.bell = Bell()
        self.to_provider_queue = _Queue(self.bell.ring)
        checkpoint = _Checkpoint(self._has_work)
        self.to_user_queue = _Queue(checkpoint.ring)
        assoc.dimse = Dimse(assoc)
        assoc.dimse.msg_queue = _Queue(checkpoint.ring)
        assoc._reactor_checkpoint = checkpoint
        self._pdu_left = self._value_left = 0
        # The control header of the value in hand and, unless it goes to a file, as much of it as has come.
        self._value: bytearray | None = None
        self._context_id = 0

    @property
    def is_amid_message(self) -> bool:
        """Whether a PDU or a message has begun whose end is still to come."""
        return self.state_machine.current_state == _READY_FOR_DATA_TRANSFER and (
            self._pdu_left > 0 or self._value is not None or self.assoc.dimse.message is not None
        )

    def _has_work(self) -> bool:
        return not (self.assoc.dimse.msg_queue.empty() and self.to_user_queue.empty())

    def _read_pdu_data(self) -> None:
        """Values up to the end of a message, or one PDU of another type."""
        connection: Connection = self.socket
        try:
            if self.state_machine.current_state != _READY_FOR_DATA_TRANSFER:
                self._read_after_transfer(connection)
                return
            while self._read_some(connection) and self.is_amid_message and not self.to_provider_queue.queue:
                pass
        except NotValues:
            self.event_queue.put("Evt19")
        except OSError:
            self.event_queue.put("Evt17")
        except Exception as error:
            # pynetdicom aborts the association, and would say nothing of why.
            _LOGGER.error("an association ended by %s in a message", type(error).__name__)
            raise

    def _read_after_transfer(self, connection: Connection) -> None:
        if not self._pdu_left:
            connection.put_back()
            super()._read_pdu_data()
        elif connection.has(1):
            # The rest of a PDU within which, or because of which, we aborted.
            rest = len(connection.peek(self._pdu_left))
            connection.skip(rest)
            self._pdu_left -= rest

    def _read_some(self, connection: Connection) -> bool:
        """A header, or of a value what is there; False where there is something else to do."""
        if self._value is None:
            return self._begin_value(connection) if self._pdu_left else self._begin_pdu(connection)
        file = self._file()
        while self._value_left:
            if not self._has(connection, 1):
                return False
            part = connection.peek(self._value_left)
            if file is None:
                self._value += part
                connection.skip(len(part))
            else:
                connection.gather(len(part))
            self._value_left -= len(part)
            self._pdu_left -= len(part)
        self._end_value(file)
        return True

    def _has(self, connection: Connection, count: int) -> bool:
        """As `Connection.has`, once the file has what this would overwrite."""
        message = self.assoc.dimse.message
        if not connection.holds(count) and message is not None and message._data_set_file is not None:
            message._data_set_file.take(connection.gathered())
        return connection.has(count)

    def _begin_pdu(self, connection: Connection) -> bool:
        message = self.assoc.dimse.message
        if message is not None and message._data_set_file is not None:
            connection.gather_values()
            self._require_limits(message._data_set_file, 0)
        if not self._has(connection, PDU_HEADER.size):
            return False
        pdu_type, length = PDU_HEADER.unpack(connection.peek(PDU_HEADER.size))
        if pdu_type != P_DATA_TF:
            connection.put_back()
            super()._read_pdu_data()
            return False
        connection.require_length(length)
        connection.skip(PDU_HEADER.size)
        self._pdu_left = length
        return not length or self._begin_value(connection)

    def _begin_value(self, connection: Connection) -> bool:
        if self._pdu_left < _VALUE_HEADER.size:
            raise NotValues
        if not self._has(connection, _VALUE_HEADER.size):
            return False
        length, self._context_id, control = _VALUE_HEADER.unpack(connection.peek(_VALUE_HEADER.size))
        # It counts context ID and control header too, but not itself.
        if not 2 <= length <= self._pdu_left - 4:
            raise NotValues
        connection.skip(_VALUE_HEADER.size)
        self._pdu_left -= _VALUE_HEADER.size
        self._value, self._value_left = bytearray([control]), length - 2
        return True

    def _file(self) -> Incoming | None:
        """Where the value in hand goes, if it is of a data set that goes to a file."""
        message = self.assoc.dimse.message
        return None if self._value[0] & _COMMAND or message is None else message._data_set_file

    def _end_value(self, file: Incoming | None) -> None:
        """Tell pynetdicom of the value; of a data set in a file, of its end."""
        value, self._value = bytes(self._value), None
        self._require_limits(file, len(value))
        if file is not None and value[0] & _LAST:
            file.take(self.socket.gathered())
        if file is None or value[0] & _LAST:
            primitive = P_DATA()
            primitive.presentation_data_value_list = [[self._context_id, value]]
            self.assoc.dimse.receive_primitive(primitive)

    def _require_limits(self, file: Incoming | None, value_bytes: int) -> None:
        """Abort the association whose message grows beyond the limit, on disk or in memory."""
        message, most_bytes = self.assoc.dimse.message, self.socket.limits.film_bytes
        if file is not None:
            is_within = file.tell() + self.socket.gathered_bytes <= most_bytes
        else:
            if message is not None:
                value_bytes += message.encoded_command_set.tell() + message.data_set.tell()
            is_within = value_bytes <= _MOST_BYTES_IN_MEMORY
        if is_within:
            return
        _LOGGER.warning(
            "association of %r aborted: message over %d MiB, or no film and over %d KiB",
            self.assoc.requestor.ae_title, most_bytes >> 20, _MOST_BYTES_IN_MEMORY >> 10,
        )  # fmt: skip
        self.assoc.abort(block=False)


class Dimse(DIMSEServiceProvider):
    """The DIMSE service of such an association: as pynetdicom's, but quick to say that a film was taken."""

    def send_msg(self, primitive: object, context_id: int) -> None:
        """Send a message; a C-STORE-RSP of success without making two data sets of it."""
        command = _success(primitive) if isinstance(primitive, C_STORE) else b""
        if not command or 0 < self.maximum_pdu_size < len(command) + _VALUE_HEADER.size:
            super().send_msg(primitive, context_id)
            return
        answer = P_DATA()
        answer.presentation_data_value_list = [[context_id, bytes([_COMMAND | _LAST]) + command]]
        self.dul.send_pdu(answer)


def _success(primitive: C_STORE) -> bytes:
    """The command set of a C-STORE-RSP (PS3.7 table 9.3-2); empty if the primitive is something else."""
    if primitive.Status != 0x0000 or primitive.MessageIDBeingRespondedTo is None:
        return b""
    elements = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value
        for element, value in (
            (0x0002, _uid(primitive.AffectedSOPClassUID)),
            (0x0100, _C_STORE_RSP),
            (0x0120, primitive.MessageIDBeingRespondedTo.to_bytes(2, "little")),
            (0x0800, _NO_DATA_SET),
            (0x0900, bytes(2)),
            (0x1000, _uid(primitive.AffectedSOPInstanceUID)),
        )
    )
    return _ELEMENT.pack(0, 0, 4) + len(elements).to_bytes(4, "little") + elements


def _uid(uid: str) -> bytes:
    """Encoded, of even length (PS3.5 9.1)."""
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)
