"""The connection of an association: what its peer sends, through one buffer, limited in length and pace."""

import contextlib
import logging
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

PDU_HEADER = struct.Struct(">BxL")
P_DATA_TF = 0x04
# Of a P-DATA-TF (PS3.8 9.3.5) with its first value: type, length, that of the value, presentation context ID
# and message control header (annex E.2).
_P_DATA_HEADER = struct.Struct(">BxLLBB")
# Of the bytes behind the value's length, in the length of the PDU.
_VALUE_LENGTH_BYTES = 4
_DATA_SET_GOES_ON = 0x00
# What an association holds in memory of a film of any size.
_BUFFER_BYTES = 2 << 20
# How late an end is seen that rings no bell.
DOZE_SECONDS = 0.05
_POLL_SECONDS = 0.001
# Without an asynchronous operations window a peer has one operation outstanding (PS3.7 D.3.3.3).
_MOST_UNSERVED_MESSAGES = 2
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LOGGER = logging.getLogger("firstread.receive")


@dataclass(frozen=True)
class Limits:
    """What a peer may cost.

    Parameters
    ----------
    pdu_bytes : int
        Longest PDU, without its header.
    film_bytes : int
        Longest data set.
    waiting : int
        Connections that have not associated; one more ends the oldest.
    associations_a_host : int
        Open at once.
    associate_seconds : float
        From the connection to the last byte of the A-ASSOCIATE-RQ.
    message_seconds : float
        Time over which the pace of a message is measured, and longest wait for a peer that does not read.
    slowest_bytes_a_second : float
        Pace below which a message that has begun ends its association.
    """

    pdu_bytes: int
    film_bytes: int
    waiting: int
    associations_a_host: int
    associate_seconds: float
    message_seconds: float
    slowest_bytes_a_second: float


class Bell:
    """Wakes a thread that polls files."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), "r+b", buffering=0)

    def fileno(self) -> int:
        """For `select.poll`."""
        return self._file.fileno()

    def ring(self) -> None:
        """Wake the thread, or have it not fall asleep."""
        # Who rings for an association that has ended is not heard.
        with contextlib.suppress(OSError, ValueError):
            self._file.write(b"\1\0\0\0\0\0\0\0")

    def hush(self) -> None:
        """Take note of all that rang."""
        self._file.read(8)

    def close(self) -> None:
        """Ring no more."""
        self._file.close()


class Buffer:
    """Bytes that have come and are not used yet, in one piece of memory.

    Those of a data set are gathered at its begin, next to each other, where each PDU put a header between
    them: one digest and one write take them all.

    Parameters
    ----------
    size : int
        The most it holds.

    Attributes
    ----------
    gathered_bytes : int
        How many `gathered` would give.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = memoryview(bytearray(size))
        self.gathered_bytes = self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def peek(self, most: int) -> memoryview:
        """The next bytes, at most so many; good until `fill`."""
        return self._memory[self._start : min(self._end, self._start + most)]

    def skip(self, count: int) -> None:
        """Have done with bytes that are there."""
        self._start += count

    def gather(self, count: int) -> None:
        """Keep bytes that are there beside those gathered before."""
        self._memory[self.gathered_bytes : self.gathered_bytes + count] = self.peek(count)
        self.gathered_bytes += count
        self._start += count

    def gather_values(self, most_pdu_bytes: int) -> None:
        """Keep the values of P-DATA-TFs that are there whole, each with one of a data set that goes on.

        Stops before any other PDU, and before one that is too long.
        """
        memory, place, kept = self._memory, self._start, self.gathered_bytes
        while self._end - place >= _P_DATA_HEADER.size:
            pdu_type, pdu_bytes, value_bytes, _, control = _P_DATA_HEADER.unpack_from(memory, place)
            first, last = place + _P_DATA_HEADER.size, place + PDU_HEADER.size + pdu_bytes
            if (
                pdu_type != P_DATA_TF
                or control != _DATA_SET_GOES_ON
                or value_bytes != pdu_bytes - _VALUE_LENGTH_BYTES
                or not first <= last <= self._end
                or pdu_bytes > most_pdu_bytes
            ):
                break
            memory[kept : kept + last - first] = memory[first:last]
            kept += last - first
            place = last
        self._start, self.gathered_bytes = place, kept

    def gathered(self) -> memoryview:
        """What was gathered since the last call; good until `gather` and `fill`, which write over it."""
        found, self.gathered_bytes = self._memory[: self.gathered_bytes], 0
        return found

    def fill(self, receive: Callable[[memoryview], int]) -> int:
        """Have `receive` put bytes behind those that are there; how many it put."""
        if self._start:
            waiting = len(self)
            self._memory[:waiting] = self._memory[self._start : self._end]
            self._start, self._end = 0, waiting
        count = receive(self._memory[self._end :])
        self._end += count
        return count


class Connection(AssociationSocket):
    """A connection whose A-ASSOCIATE-RQ has been read, with limits on everything that follows."""

    def __init__(
        self, assoc: Association, client: socket.socket, begun: bytes, limits: Limits, bell: Bell
    ) -> None:
        super().__init__(assoc, client_socket=client)
        self.limits = limits
        self._begun = bytearray(begun)
        # Made once there is something for it: who only associates holds none.
        self._buffer = Buffer(0)
        self._bell = bell
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)
        self._poll.register(bell, select.POLLIN)
        self._last_byte = self._window_began = time.monotonic()
        self._window_bytes = 0

    @property
    def ready(self) -> bool:
        """Whether there is something to read and room for it; waits a moment for that or for the bell."""
        connection = self.socket
        # A peer that sends on without waiting for answers waits in its own buffers, not in our memory.
        if (
            connection is None
            or not self._is_connected
            or self.assoc.dimse.msg_queue.qsize() >= _MOST_UNSERVED_MESSAGES
        ):
            time.sleep(_POLL_SECONDS)
            return False
        if self._begun or self._buffer or self.assoc.dul.is_amid_message:
            return True
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            return self._doze()
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False

    @property
    def quiet_seconds(self) -> float:
        """How long the peer has sent nothing."""
        return time.monotonic() - self._last_byte

    def holds(self, count: int) -> bool:
        """Whether `has` would find `count` bytes without a look at the socket, and overwrite none."""
        return len(self._buffer) >= count

    def has(self, count: int) -> bool:
        """Whether `count` bytes are there for `peek`; waits a moment for them, or for the bell.

        Raises
        ------
        OSError
            If the connection has ended, or its peer takes more time than it may.
        """
        if self._buffer.size == 0:
            self._buffer = Buffer(_BUFFER_BYTES)
        while len(self._buffer) < count:
            if not self._buffer and not self.assoc.dul.is_amid_message:
                self._window_began, self._window_bytes = time.monotonic(), 0
            try:
                part = self._buffer.fill(self._receive)
            except _NOT_NOW:
                self._seconds_left()
                if not self._doze() or self.provider_queue.qsize():
                    return False
                continue
            if not part:
                raise ConnectionResetError("ended by the peer")
        return True

    def peek(self, most: int) -> memoryview:
        """The next bytes that are there, at most so many; good until the next call of `has`."""
        return self._buffer.peek(most)

    def skip(self, count: int) -> None:
        """Have done with bytes that are there."""
        self._buffer.skip(count)

    def gather(self, count: int) -> None:
        """Keep bytes that are there for `gathered`."""
        self._buffer.gather(count)

    def gather_values(self) -> None:
        """As `Buffer.gather_values`, within the limits."""
        self._buffer.gather_values(self.limits.pdu_bytes)

    def gathered(self) -> memoryview:
        """What was gathered since the last call; good until the next call of `gather` or `has`."""
        return self._buffer.gathered()

    @property
    def gathered_bytes(self) -> int:
        """How many `gathered` would give."""
        return self._buffer.gathered_bytes

    def put_back(self) -> None:
        """Leave to `recv` what is there."""
        self._begun = bytearray(self._buffer.peek(_BUFFER_BYTES)) + self._begun
        self._buffer.skip(len(self._buffer))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, or fewer where the connection ends.

        Raises
        ------
        OSError
            If the peer asks for more memory, or takes more time, than it may; the connection is closed.
        """
        self.require_length(nr_bytes)
        if self.assoc.dimse.message is None and nr_bytes == PDU_HEADER.size:
            self._window_began, self._window_bytes = time.monotonic(), 0
        received = self._begun[:nr_bytes]
        del self._begun[:nr_bytes]
        while len(received) < nr_bytes:
            self.socket.settimeout(self._seconds_left())
            try:
                part = self.socket.recv(min(nr_bytes - len(received), 1 << 16))
            except TimeoutError:
                continue
            if not part:
                break
            received += part
            self._count(len(part))
        return received

    def require_length(self, pdu_bytes: int) -> None:
        """Raise OSError for a PDU that is too long."""
        if pdu_bytes > self.limits.pdu_bytes:
            self._log_end(f"a PDU of {pdu_bytes} bytes")
            raise OSError("PDU too long")

    def send(self, bytestream: bytes) -> None:
        """Send, and end the connection of a peer that does not read for the length of a message."""
        if self.socket is not None:
            self.socket.settimeout(self.limits.message_seconds)
        super().send(bytestream)

    def _receive(self, memory: memoryview) -> int:
        if self._begun:
            part = self._begun[: len(memory)]
            memory[: len(part)] = part
            del self._begun[: len(part)]
            return len(part)
        if self.socket.gettimeout() != 0:
            self.socket.settimeout(0)
        count = self.socket.recv_into(memory)
        self._count(count)
        return count

    def _count(self, received: int) -> None:
        self._window_bytes += received
        self._last_byte = time.monotonic()

    def _doze(self) -> bool:
        """Wait a moment for bytes, or for the bell; whether there are any."""
        found = {descriptor for descriptor, _ in self._poll.poll(DOZE_SECONDS * 1000)}
        if self._bell.fileno() in found:
            self._bell.hush()
        return bool(found - {self._bell.fileno()})

    def _seconds_left(self) -> float:
        """Of the time over which the pace is measured, or of the next such time."""
        left = self._window_began + self.limits.message_seconds - time.monotonic()
        if left > 0:
            return left
        least = self.limits.slowest_bytes_a_second * self.limits.message_seconds
        if self._window_bytes < least:
            self._log_end(f"{self._window_bytes} bytes in {self.limits.message_seconds:g} s")
            raise TimeoutError("message too slow")
        self._window_began, self._window_bytes = time.monotonic(), 0
        return self.limits.message_seconds

    def _log_end(self, why: str) -> None:
        _LOGGER.warning(
            "association of %r from %s ended: %s",
            self.assoc.requestor.ae_title, self.assoc.requestor.address, why,
        )  # fmt: skip
