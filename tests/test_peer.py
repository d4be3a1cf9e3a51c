"""Associations that we open."""

import gc
import pathlib
import socket
import struct
import threading

import pytest
from pynetdicom.sop_class import Verification

from daemon import outcomes, peer
from daemon.config import DimseDestination


@pytest.fixture
def resetting():
    """Port of a peer that resets each connection once something has come."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(10)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_connections_that_the_peer_resets_are_closed(resetting):
    to = DimseDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=resetting)

    def descriptors():
        return len(list(pathlib.Path("/proc/self/fd").iterdir()))

    # What the garbage collector closes in its own time was open until then.
    gc.collect()
    gc.disable()
    try:
        before = descriptors()
        for _ in range(10):
            with pytest.raises(outcomes.PeerUnavailable, match="no association with PACS"):
                peer.associate("FIRSTREAD", to, {Verification})
        assert descriptors() <= before
    finally:
        gc.enable()
