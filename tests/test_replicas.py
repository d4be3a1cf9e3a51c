"""A training whose batches are parted has the losses of one that is not.

Replicas are logical processors of one, or processes on this machine; none of these tests needs a GPU, and
none says anything of one.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from model.training import replicas

SCRIPT = Path(__file__).with_name("parted_training.py")
# Sums of gradients in another order: other last digits, which the updates that follow carry on.
RELATIVE = 1e-3
SECONDS = 280


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, arguments)],
        cwd=SCRIPT.parents[1],
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def curves(process: subprocess.Popen) -> list[dict[str, float]]:
    said, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    return json.loads(said)


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=RELATIVE, abs=2e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> list[dict[str, float]]:
    return curves(start("steps", tmp_path_factory.mktemp("alone"), 2))


def test_two_replicas_have_the_losses_of_one_also_when_resumed(alone, tmp_path):
    first = curves(start("steps", tmp_path, 1, "mirrored"))
    assert_same(first, alone[:1])
    assert_same(curves(start("steps", tmp_path, 2, "mirrored")), alone)


def test_two_machines_have_the_losses_of_one_and_one_of_them_writes(alone, tmp_path):
    with socket.socket() as one, socket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        workers = ["{}:{}".format(*listener.getsockname()) for listener in (one, other)]
    tasks = [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    passing = [tmp_path / f"passing{index}" for index in range(2)]
    for folder in passing:
        folder.mkdir()
    machines = [
        start("steps", tmp_path / "kept", 2, "multi-worker", TF_CONFIG=task, TMPDIR=str(folder))
        for task, folder in zip(tasks, passing, strict=True)
    ]
    for machine in machines:
        assert_same(curves(machine), alone)
    state = json.loads((tmp_path / "kept" / "progress.json").read_text())
    kept = {f"epoch{state[which]}.keras" for which in ("epoch", "best_epoch")}
    assert {file.name for file in (tmp_path / "kept").iterdir()} == kept | {"progress.json"}


def test_normalisation_and_losses_over_a_batch_are_over_all_replicas(tmp_path):
    expected = curves(start("batchwise", tmp_path / "alone", 2))
    assert_same(curves(start("batchwise", tmp_path / "parted", 2, "mirrored")), expected)


def test_a_strategy_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="found 'ring', expected one of mirrored, multi-worker"):
        replicas.scope({"strategy": "ring"}, 8)
