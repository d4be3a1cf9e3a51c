"""daemon/store_scu.py and the channel on it, against pynetdicom and against peers that answer badly."""

import contextlib
import struct
import threading

import pytest
import servers
from conftest import make_film
from node import Pacs
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, StoragePresentationContexts, evt

from daemon import channels, outcomes, peer
from daemon.config import DimseDestination
from storage.deliveries import Delivery

CLASSES = {str(SecondaryCaptureImageStorage)}


def destination(port):
    return DimseDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)


def delivery(uid):
    return Delivery(1, 1, "SC", "pacs", str(SecondaryCaptureImageStorage), uid, "", 1, None)


@pytest.fixture
def result(tmp_path):
    """The file of a Secondary Capture of 94 fragments at pynetdicom's own length of PDU."""
    ds = make_film(SOPClassUID=SecondaryCaptureImageStorage, SOPInstanceUID="2.25.4711", ImageComments="odd")
    path = tmp_path / "result.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


class Listening:
    """A Storage SCP that keeps the PDUs of messages as they came."""

    def __init__(self, most_pdu_bytes):
        self.pdus = []
        ae = AE(ae_title="PACS")
        ae.supported_contexts = StoragePresentationContexts
        ae.maximum_pdu_size = most_pdu_bytes
        handlers = [(evt.EVT_DATA_RECV, self._keep), (evt.EVT_C_STORE, lambda _event: 0x0000)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def _keep(self, event):
        if event.data[0] == 0x04:
            self.pdus.append(event.data)

    def close(self):
        self._server.shutdown()


@pytest.mark.parametrize("most_pdu_bytes", [16382, 131072])
def test_what_is_sent_is_byte_for_byte_what_pynetdicom_sends(result, most_pdu_bytes):
    with contextlib.closing(Listening(most_pdu_bytes)) as scp:
        assoc = peer.associate("FIRSTREAD", destination(scp.port), CLASSES)
        assert assoc.send_c_store(result).Status == 0x0000
        assoc.release()
        expected, scp.pdus = scp.pdus, []
        with contextlib.closing(peer.open_channel("FIRSTREAD", destination(scp.port), CLASSES)) as channel:
            assert channel.send(delivery("2.25.4711"), result) == outcomes.Accepted(0x0000, "")
        assert scp.pdus == expected
        assert max(map(len, expected)) == most_pdu_bytes + 6


def test_a_peer_without_a_longest_pdu_gets_what_pynetdicom_sends_it_in_more_pdus(result):
    with contextlib.closing(Listening(0)) as scp:
        assoc = peer.associate("FIRSTREAD", destination(scp.port), CLASSES)
        assert assoc.send_c_store(result).Status == 0x0000
        assoc.release()
        expected, scp.pdus = scp.pdus, []
        with contextlib.closing(peer.open_channel("FIRSTREAD", destination(scp.port), CLASSES)) as channel:
            channel.send(delivery("2.25.4711"), result)
        assert b"".join(pdu[12:] for pdu in scp.pdus) == b"".join(pdu[12:] for pdu in expected)
        assert max(map(len, scp.pdus)) == (1 << 17) + 6


def test_an_association_that_has_rested_and_ends_unseen_is_replaced_once(result):
    with contextlib.closing(Pacs()) as pacs:
        channel = peer.open_channel("FIRSTREAD", destination(pacs.port), CLASSES)
        channel.send(delivery("2.25.4711"), result)
        assert channel.serves(CLASSES)
        pacs.answer = lambda _ds: pacs.abort_all() or 0x0000
        with pytest.raises(outcomes.NotTaken, match="ended without a status"):
            channel.send(delivery("2.25.4711"), result)
        assert (pacs.associations, len(pacs.received)) == (2, 3)
        assert not channel.serves(CLASSES)
        channel.close()


def test_an_association_that_is_in_use_and_ends_is_not_replaced(result):
    with contextlib.closing(Pacs()) as pacs:
        channel = peer.open_channel("FIRSTREAD", destination(pacs.port), CLASSES)
        pacs.answer = lambda _ds: pacs.abort_all() or 0x0000
        with pytest.raises(outcomes.NotTaken, match="ended without a status"):
            channel.send(delivery("2.25.4711"), result)
        assert pacs.associations == 1
        channel.close()


def pdu(kind, body):
    return struct.pack(">BxL", kind, len(body)) + body


def pdv(control, message, length=None):
    return struct.pack(">LBB", len(message) + 2 if length is None else length, 1, control) + message


def element(number, *values):
    return struct.pack("<HHL", 0, number, 2 * len(values)) + struct.pack(f"<{len(values)}H", *values)


def response(field=0x8001, responded_to=1, status=(0,)):
    return element(0x0100, field) + element(0x0120, responded_to) + element(0x0900, *status)


NO_ANSWER, ENDED = "no C-STORE-RSP", "ended without a status"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (pdu(0x04, pdv(3, response(responded_to=2))), NO_ANSWER),
        (pdu(0x04, pdv(3, response(field=0x8030))), NO_ANSWER),
        (pdu(0x04, pdv(3, response(status=()))), NO_ANSWER),
        (pdu(0x04, pdv(3, response()[:-11])), NO_ANSWER),
        (pdu(0x04, pdv(3, b"\1\2\3")), NO_ANSWER),
        (pdu(0x04, pdv(2, response())), NO_ANSWER),
        (pdu(0x04, b"\0\0\0"), NO_ANSWER),
        (pdu(0x04, pdv(3, response(), length=0)), NO_ANSWER),
        (struct.pack(">BxL", 0x04, 1 << 31), NO_ANSWER),
        (5 * pdu(0x04, pdv(1, bytes(16000))), NO_ANSWER),
        (pdu(0x05, bytes(4)), ENDED),
        (pdu(0x07, bytes(4)), ENDED),
        (pdu(0x02, bytes(4)), ENDED),
        (b"", ENDED),
    ],
)
def test_a_peer_that_answers_something_else_has_not_taken_the_object(result, answer, why):
    with contextlib.closing(Pacs()) as pacs:

        def answer_so(_ds):
            (assoc,) = pacs.active_associations
            connection = assoc.dul.socket.socket
            connection.sendall(answer)
            connection.shutdown(1)
            return 0x0000

        pacs.answer = answer_so
        channel = peer.open_channel("FIRSTREAD", destination(pacs.port), CLASSES)
        with pytest.raises(outcomes.NotTaken, match=why):
            channel.send(delivery("2.25.4711"), result)
        assert not channel.serves(CLASSES)
        channel.close()


def test_an_answer_in_pieces_is_one_answer(result):
    with contextlib.closing(Pacs()) as pacs:
        whole = response(status=(0xB006,))

        def answer_so(_ds):
            (assoc,) = pacs.active_associations
            pieces = pdu(0x04, pdv(1, whole[:7]) + pdv(1, whole[7:20])) + pdu(0x04, pdv(3, whole[20:]))
            for byte in pieces:
                assoc.dul.socket.socket.sendall(bytes([byte]))
            return 0x0000

        pacs.answer = answer_so
        with contextlib.closing(peer.open_channel("FIRSTREAD", destination(pacs.port), CLASSES)) as channel:
            said = channel.send(delivery("2.25.4711"), result)
        assert said == outcomes.Accepted(0xB006, "warning, status 0xB006")


def test_a_peer_that_does_not_read_or_answer_is_waited_for_no_longer_than_the_limit(result, monkeypatch):
    monkeypatch.setattr("daemon.store_scu.RESPONSE_TIMEOUT_SECONDS", 0.5)
    is_over = threading.Event()
    with contextlib.closing(Pacs()) as pacs:
        pacs.answer = lambda _ds: is_over.wait(30) and 0x0000
        channel = peer.open_channel("FIRSTREAD", destination(pacs.port), CLASSES)
        with pytest.raises(outcomes.NotTaken, match="did not go on"):
            channel.send(delivery("2.25.4711"), result)
        is_over.set()
        channel.close()


def test_a_channel_that_rests_too_long_is_released(monkeypatch):
    with contextlib.closing(Pacs()) as pacs:
        kept = channels.Kept("FIRSTREAD", destination(pacs.port))
        for _ in range(2):
            with kept.open(CLASSES):
                pass
        assert (pacs.associations, pacs.releases) == (1, 0)
        monkeypatch.setattr(channels, "REST_SECONDS", 0.0)
        kept.tend()
        servers.wait_until(lambda: pacs.releases == 1)


def test_a_channel_that_lacks_a_class_makes_way_for_one_that_has_it():
    with contextlib.closing(Pacs()) as pacs:
        kept = channels.Kept("FIRSTREAD", destination(pacs.port))
        with kept.open(CLASSES):
            pass
        with kept.open({*CLASSES, "1.2.840.10008.5.1.4.1.1.88.33"}):
            pass
        with kept.open(CLASSES):
            pass
        assert (pacs.associations, pacs.releases) == (2, 1)
        kept.close()
