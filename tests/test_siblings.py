"""Two processes that take films on one port."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import servers
from bench import processes
from conftest import make_film
from node import Node
from pydicom.dataset import FileDataset

from storage import database, heartbeats


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path, tables={"node": {"receivers": 2}})
    yield node
    node.engine.dispose()


def others(process: subprocess.Popen) -> list[int]:
    return [pid for pid in processes.family(process.pid) if pid != process.pid]


def is_taken_without(pid: int, node: Node, film: FileDataset) -> bool:
    """Whether the node takes a film while one of its processes does nothing."""
    os.kill(pid, signal.SIGSTOP)
    # Its threads stop one after the other, and until then take a connection.
    servers.wait_until(lambda: states(pid) == {"T"}, what="halt")
    try:
        with node.association(film) as assoc:
            return assoc.send_c_store(film).Status == 0x0000
    finally:
        os.kill(pid, signal.SIGCONT)


def states(pid: int) -> set[str]:
    """Of a process's threads (proc(5))."""
    stats = [path.read_text(encoding="utf-8") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def beats(node: Node) -> list[heartbeats.Beat]:
    with database.reading(node.engine) as connection:
        return [one for one in heartbeats.all_of(connection) if one.process == "receive"]


def test_each_takes_films_while_the_other_does_nothing_and_both_end_in_good_order(node):
    with node.running("receive") as [first]:
        servers.wait_until(lambda: node.log_text().count("receive ready") == 2, 60, "both ready")
        [second] = others(first)
        for halted, film in ((first.pid, make_film()), (second, make_film())):
            # One that is halted within a transaction keeps the other from taking films until it goes on.
            servers.wait_until(lambda halted=halted, film=film: is_taken_without(halted, node, film))
        assert len(node.films()) == len(node.spooled("films")) == 2
        servers.wait_until(lambda: len(beats(node)) == 2, 30, "two heartbeats")
        first.send_signal(signal.SIGHUP)
        servers.wait_until(lambda: node.log_text().count("config reloaded") == 2, 30, "both reloaded")
        first.terminate()
        assert first.wait(60) == 0
        assert not is_there(second)
        # Of those that ended in good order the last word of one stays.
        assert len(beats(node)) == 1


@pytest.mark.parametrize("which", [0, 1], ids=["the first", "the other"])
def test_none_goes_on_when_one_is_killed(node, which):
    with node.running("receive") as [first]:
        servers.wait_until(lambda: node.log_text().count("receive ready") == 2, 60, "both ready")
        [second] = others(first)
        os.kill((first.pid, second)[which], signal.SIGKILL)
        assert first.wait(60) == (-signal.SIGKILL, 1)[which]
        servers.wait_until(lambda: not is_there(second), 30, "the other's end")
    assert (f"process {second} beside this one ended with -9" in node.log_text()) == bool(which)
    node.log.write_text("")
    with node.running("receive"), node.association(film := make_film()) as assoc:
        assert assoc.send_c_store(film).Status == 0x0000
