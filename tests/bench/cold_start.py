"""How long ``firstread read`` takes to be ready, and ``firstread tail`` to answer."""

import os
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import servers
from bench import figures
from node import Node

TAILS = 5
START_SECONDS = 180.0


def measure(repetitions: int) -> dict[str, object]:
    """Seconds from a process's start to ``READY=1`` (sd_notify(3)), and to the end of ``firstread tail``.

    The reader is the default one, the database there already; of ``tail`` it is the median of several.
    """
    ready, tail = [], []
    with tempfile.TemporaryDirectory(prefix="fr-bench-") as name:
        node = Node(Path(name))
        node.migrate()
        for _ in range(repetitions):
            ready.append(_seconds_to_ready(node))
            tail.append(statistics.median(_seconds_of_tail(node) for _ in range(TAILS)))
        node.engine.dispose()
    return {
        "firstread read, to READY": figures.figure(ready, "seconds"),
        "firstread tail": figures.figure(tail, "seconds"),
    }


def _seconds_to_ready(node: Node) -> float:
    address = node.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, node.log.open("ab") as log:
        notify.bind(str(address))
        notify.settimeout(START_SECONDS)
        began = time.monotonic()
        environment = os.environ | {"NOTIFY_SOCKET": str(address)}
        process = subprocess.Popen(node.command("read"), env=environment, stderr=log)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            return time.monotonic() - began
        finally:
            servers.end(process, 60)
            address.unlink()


def _seconds_of_tail(node: Node) -> float:
    began = time.monotonic()
    subprocess.run(node.command("tail"), check=True, capture_output=True)
    return time.monotonic() - began
