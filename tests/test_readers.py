"""Several readers on one machine, the GPUs they take, and workers that go on while the networks run."""

import threading
import time

import numpy as np
import pytest
from conftest import make_film
from node import Node

from daemon import bench_model, config, read, supervise
from model.gpus import GpuMissing, Share
from model.reader import Reader, prepare
from model.scope import ScopeRules
from storage.spool import Spool

TOLERANCE = 1e-4  # of scores, between a GPU and the processors


def test_readers_take_the_gpus_in_turn_and_share_them_where_there_are_fewer():
    assert [Share(reader).chosen(2) for reader in (1, 2, 3)] == [0, 1, 0]
    assert [Share(reader, (1, 3)).chosen(4) for reader in (1, 2, 3)] == [1, 3, 1]
    assert [Share(reader, (1,)).chosen(2) for reader in (1, 2)] == [1, 1]
    assert Share().chosen(0) is None
    with pytest.raises(GpuMissing, match=r"found GPUs 0 to 1, expected GPU 2, 3 of \[model\] gpus"):
        Share(1, (3, 0, 2)).chosen(2)


def test_run_starts_so_many_readers_each_with_its_number():
    many = config.parse({"model": {"readers": 3, "gpus": [1], "gpu_memory_mib": 4096}}, "source")
    assert supervise.roles(many)[-2:] == ("read --reader 2", "read --reader 3")
    assert many.model.share(3) == Share(3, (1,), 4096)


def test_a_gpu_that_is_not_there_is_named_and_ends_the_reader(node):
    node.config.write_text(node.config.read_text() + "\n[model]\ngpus = [63]\n")
    done = node.firstread("read", "--once", "--reader", "2")
    assert done.returncode == 1
    assert "expected GPU 63 of [model] gpus" in done.stderr
    assert "Traceback" not in done.stderr


class Patient(Reader):
    """Goes on only once a film has been decoded while it had others in hand."""

    loop: read.ReadLoop
    met = 0

    def read(self, films):
        working = list(self.loop._working)
        limit = time.monotonic() + 60
        while working and not any(future.done() for future in working):
            assert time.monotonic() < limit, "no film was decoded while the network ran"
            time.sleep(0.01)
        self.met += bool(working)
        return super().read(films)


def test_films_are_decoded_while_the_networks_run(tmp_path, film, chest):
    node = Node(tmp_path, {}, tables={"model": {"version": "gao-2020", "batch_size": 2}})
    with node.running("receive"):
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(8)])
    settings = config.load(node.config)
    reader = Patient("gao-2020", 2)
    loop = reader.loop = read.ReadLoop(settings, node.engine, Spool(tmp_path / "spool"), reader, lambda: None)
    loop.run(threading.Event(), True, lambda _: None)
    assert {row.state for row in node.films()} == {"READ"}
    assert reader.met
    node.engine.dispose()


def test_bench_tells_the_rates_of_each_batch_and_which_is_large_enough(node):
    done = node.firstread("bench-model", "--model", "gao-2020")
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0].startswith("gao-2020 0.1.0 with lungs-1")
    rows = [[float(cell) for cell in line.split()] for line in told[3:7]]
    assert [row[0] for row in rows] == list(bench_model.BATCH_SIZES)
    for _, lungs, network, both, milliseconds in rows:
        assert 0 < both < min(lungs, network)
        assert milliseconds > 0
    enough = int(told[-1].split()[3])
    rates = {row[0]: row[3] for row in rows}
    assert rates[enough] >= bench_model.WORTH * max(rates.values()) * 0.999  # what is printed is rounded


def test_scores_on_a_gpu_are_those_of_the_processors(chest):
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        pytest.skip(
            "TensorFlow sees no GPU: not checked are its scores, the memory it takes, and its share of it"
        )
    for version in ("gao-2020", "firstread-1"):
        reader = Reader(version, 4, Share(memory_mib=8192))
        film = prepare(make_film(pixels=chest), ScopeRules(), reader.input_sizes)
        (on_gpu,) = reader.read([film])
        with tf.device("/CPU:0"):
            (on_processors,) = Reader(version, 4).read([film])
        assert np.abs(np.subtract(on_gpu.step1.scores, on_processors.step1.scores)).max() < TOLERANCE
        assert np.abs(on_gpu.activation - on_processors.activation).max() < TOLERANCE
