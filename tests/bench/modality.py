"""A modality that costs the machine next to nothing: the data sets it sends are encoded already.

What is sent and what is answered is made and read with pynetdicom; the bytes go to the socket as they are, as
pynetdicom's own way takes as much time as a node does. All nodes that are compared get their films from it.
"""

import dataclasses
import itertools
import queue
import socket
import struct
import threading
import time
from collections.abc import Sequence
from io import BytesIO

from bench.films import Film
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, build_context, dsutils
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    A_RELEASE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

LONGEST_PDU = 131072
# Longest wait for an answer: who answers after all his work lets a modality wait.
ANSWER_SECONDS = 300.0
_CONTEXT = 1
_COMMAND, _PART, _LAST = 0x03, 0x00, 0x02  # PS3.8 table E.1-2


@dataclasses.dataclass(frozen=True)
class Sent:
    """One C-STORE.

    Parameters
    ----------
    began, last_byte, answered : float
        When its first byte and its last one were given to the network, and when its answer was there; POSIX
        seconds.
    """

    film: Film
    began: float
    last_byte: float
    answered: float


class Association:
    """An open association for films of one kind.

    Raises
    ------
    ConnectionError
        If the peer accepts no association, or not the context.
    """

    def __init__(self, port: int, ae_title: str, film: Film) -> None:
        self._messages = itertools.count(1)
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = A_ASSOCIATE()
        request.application_context_name = UID("1.2.840.10008.3.1.1.1")
        request.calling_ae_title, request.called_ae_title = "MODALITY", ae_title
        context = build_context(film.sop_class_uid, film.transfer_syntax_uid)
        context.context_id = _CONTEXT
        request.presentation_context_definition_list = [context]
        length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
        length.maximum_length_received = LONGEST_PDU
        implementation.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
        request.user_information = [length, implementation]
        self._socket.sendall(_encoded(A_ASSOCIATE_RQ, request))
        answer = self._receive()
        if answer[0] != 0x02:
            raise ConnectionError(f"found PDU {answer[0]:#04x} for an association, expected its acceptance")
        accepted = A_ASSOCIATE_AC()
        accepted.decode(answer)
        if accepted.presentation_context[0].result != 0:
            raise ConnectionError(f"found no context for {UID(film.transfer_syntax_uid).name}, expected one")
        longest = accepted.user_information.maximum_length or LONGEST_PDU
        self._fragment_bytes = min(longest, LONGEST_PDU) - 6

    def store(self, film: Film) -> Sent:
        """C-STORE of one film.

        Raises
        ------
        ConnectionError
            If it is answered with anything but success.
        """
        primitive = C_STORE()
        primitive.MessageID = next(self._messages) % 65536
        primitive.AffectedSOPClassUID = film.sop_class_uid
        primitive.AffectedSOPInstanceUID = film.sop_instance_uid
        primitive.Priority = 0x0002
        primitive.DataSet = BytesIO(film.header)
        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        began = time.time()
        self._socket.sendall(_data(_COMMAND, dsutils.encode(message.command_set, True, True)))
        pixels, size = memoryview(film.pixels), self._fragment_bytes
        first = size - len(film.header)
        self._socket.sendall(_data(_PART, film.header + pixels[:first]))
        for place in range(first, len(pixels), size):
            last = place + size >= len(pixels)
            self._socket.sendall(_data(_LAST if last else _PART, pixels[place : place + size]))
        last_byte = time.time()
        status = self._status()
        if status != 0x0000:
            raise ConnectionError(f"found status {status:#06x}, expected success")
        return Sent(film, began, last_byte, time.time())

    def release(self) -> None:
        """End it in order."""
        self._socket.sendall(_encoded(A_RELEASE_RQ, A_RELEASE()))
        self._receive()
        self._socket.close()

    def _status(self) -> int:
        answer = b""
        while True:
            pdu = P_DATA_TF()
            pdu.decode(self._receive())
            for item in pdu.presentation_data_value_items:
                answer += item.presentation_data_value[1:]
                if item.presentation_data_value[0] & _LAST:
                    return dsutils.decode(BytesIO(answer), True, True).Status

    def _receive(self) -> bytes:
        head = self._exactly(6)
        return head + self._exactly(struct.unpack(">I", head[2:])[0])

    def _exactly(self, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            more = self._socket.recv(length - len(found))
            if not more:
                raise ConnectionError("found an association that had ended, expected an answer")
            found += more
        return bytes(found)


def _encoded(pdu_class: type, primitive: object) -> bytes:
    pdu = pdu_class()
    pdu.from_primitive(primitive)
    return pdu.encode()


def _data(control: int, fragment: bytes | memoryview) -> bytes:
    """A P-DATA-TF with one fragment (PS3.8 9.3.5)."""
    length = len(fragment) + 2
    return b"".join([struct.pack(">BxIIBB", 0x04, length + 4, length, _CONTEXT, control), fragment])


def send(port: int, ae_title: str, films: Sequence[Film], associations: int) -> list[Sent]:
    """Send films as fast as they are taken, on so many associations."""
    return send_at(port, ae_title, [(0.0, film) for film in films], associations)


def send_at(port: int, ae_title: str, films: Sequence[tuple[float, Film]], associations: int) -> list[Sent]:
    """Send each film at its time, or as soon after it as an association is free.

    Parameters
    ----------
    films : sequence of (seconds, Film)
        When each is due, from the moment that all associations are open.

    Returns
    -------
    list of Sent
        In no order. What waited for a free association is told to have begun when it was due.
    """
    opened = [Association(port, ae_title, films[0][1]) for _ in range(associations)]
    due: queue.SimpleQueue[tuple[float, Film]] = queue.SimpleQueue()
    for one in films:
        due.put(one)
    start, sent, faults = time.time(), [], []

    def work(association: Association) -> None:
        try:
            while True:
                seconds, film = due.get_nowait()
                if (wait := start + seconds - time.time()) > 0:
                    time.sleep(wait)
                done = association.store(film)
                late = max(0.0, done.began - start - seconds) if seconds else 0.0
                sent.append(
                    dataclasses.replace(done, began=done.began - late, last_byte=done.last_byte - late)
                )
        except queue.Empty:
            association.release()
        except OSError as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=[one]) for one in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return sent
