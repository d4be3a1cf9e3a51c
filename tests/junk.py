"""Peers that mean no good, or know no better, byte by byte: what pynetdicom as SCU would never send."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification

CR = ComputedRadiographyImageStorage
CONTEXTS = ((1, Verification, ImplicitVRLittleEndian), (3, CR, ExplicitVRLittleEndian))


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(value)) + value


def associate_request(calling: bytes = b"JUNK", called: bytes = b"FIRSTREAD") -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2) for Verification (context 1) and CR (context 3)."""
    contexts = b"".join(
        item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + item(0x40, transfer.encode()))
        for number, abstract, transfer in CONTEXTS
    )
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    fixed = b"\0\1\0\0" + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(1, fixed + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)


def values(context: int, control: int, value: bytes) -> bytes:
    """A P-DATA-TF with one presentation data value; `control` 3 is a whole command, 0 and 2 data."""
    return pdu(4, struct.pack(">LBB", len(value) + 2, context, control) + value)


def command(**values: bytes) -> bytes:
    """A command set (PS3.7 6.3.1) with these very bytes; elements by number, as ``e0002``."""
    return b"".join(
        struct.pack("<HHL", 0, int(number[1:], 16), len(value) + len(value) % 2)
        + value
        + b"\0" * (len(value) % 2)
        for number, value in sorted(values.items())
    )


def store_command(sop_instance_uid: str, sop_class_uid: str = CR) -> bytes:
    """Of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    return command(
        e0002=sop_class_uid.encode(), e0100=b"\1\0", e0110=b"\1\0", e0700=b"\2\0", e0800=b"\1\0",
        e1000=sop_instance_uid.encode(),
    )  # fmt: skip


def echo_command() -> bytes:
    """Of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return command(e0002=Verification.encode(), e0100=b"\x30\0", e0110=b"\1\0", e0800=b"\1\1")


@contextlib.contextmanager
def connection(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 10, (source, 0)) as made:
        yield made


@contextlib.contextmanager
def association(port: int, calling: bytes = b"JUNK") -> Iterator[socket.socket]:
    """A connection whose association was accepted."""
    with connection(port) as made:
        made.sendall(associate_request(calling))
        assert receive(made)[0] == 2
        yield made


def receive(connection: socket.socket) -> bytes:
    """One PDU, or nothing where the peer has gone."""
    header = _exactly(connection, 6)
    return header + _exactly(connection, struct.unpack(">L", header[2:6])[0]) if header else b""


def has_ended(connection: socket.socket) -> bool:
    """Whether the node hangs up within the socket's timeout."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def status_of(answer: bytes) -> int:
    """Status (0000,0900) of the command set in a P-DATA-TF."""
    at = answer.index(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return struct.unpack_from("<H", answer, at + 8)[0]


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length and (part := connection.recv(length - len(received))):
        received += part
    return received


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
