"""Stops and starts of all processes while modalities send: what systemctl restart does."""

import random
import signal
import time

import pytest
import servers
from conftest import make_film
from faulty import FaultyPacs
from node import Node
from pynetdicom import evt
from torture import RESULTS, Modalities, Supervised

# pynetdicom leaves the socket of a connection that came to nothing to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

FILMS = 60
RESTARTS = 6
SEED = 11


def test_restarts_during_traffic_lose_and_double_nothing(tmp_path):
    pacs = FaultyPacs()
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"model": {"version": "gao-2020-small"}})
    node.log.touch()
    processes, chance = Supervised(node), random.Random(SEED)
    half = FILMS // RESTARTS // 2
    processes.start()
    servers.wait_until(lambda: node.log_text().count(" ready") >= 4, 120, "first start")
    senders = Modalities(node, FILMS, SEED)
    try:
        for _ in range(RESTARTS):
            senders.allow(half)
            # In the midst of receiving, and of reading and sending what came before.
            time.sleep(chance.uniform(0.05, 0.2))
            processes.stop()
            senders.allow(half)  # these find nobody
            processes.start()
            time.sleep(chance.uniform(0.0, 6.0))
        servers.wait_until(lambda: len(senders.acknowledged) == FILMS, 180, "acknowledgements")
        rows = node.wait_for_ends(FILMS, 180)
    finally:
        senders.end()
        processes.stop()
        pacs.stop()
    assert senders.refusals, "no sender met a stop: nothing was tried"
    assert sorted(row.sop_instance_uid for row in rows) == sorted(senders.uids)
    assert {(row.state, row.attempts) for row in rows} == {("READ", 1)}
    assert sorted(pacs.sources.values()) == sorted((kind, uid) for uid in senders.uids for kind in RESULTS)
    assert pacs.stores == 2 * FILMS
    assert {len(contents) for contents in pacs.contents.values()} == {1}
    assert "killed" not in node.log_text()
    node.engine.dispose()


def test_a_film_on_its_way_when_the_node_stops_is_taken_and_the_next_one_is_not(node):
    film = make_film()
    film.PixelData *= 192
    with node.running("receive") as [process], node.association(film) as assoc:
        stopping = []

        def stop_once_it_comes(_event):
            if not stopping and node.spooled("incoming"):
                process.send_signal(signal.SIGTERM)
                stopping.append(True)

        assoc.bind(evt.EVT_DATA_SENT, stop_once_it_comes)
        assert assoc.send_c_store(film).Status == 0x0000
        assert stopping
        assert process.wait(30) == 0
        servers.wait_until(lambda: not assoc.is_established, 30, "end of the association")
    assert [row.state for row in node.films()] == ["QUEUED"]
    assert node.spooled("incoming") == []
