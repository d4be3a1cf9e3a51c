"""Machines of a test: namespaces with a network and process numbers of their own, on one bridge."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import foreign
import servers
from node import Node
from pydicom.dataset import FileDataset
from pynetdicom import AE

NETWORK = "10.213.77"
ROLES = ("receive", "read", "send")


class Machine(Node):
    """A node's processes on a machine of their own; all machines have one host name.

    Parameters
    ----------
    number : int
        Of its address and namespace.
    """

    def __init__(self, folder: Path, number: int, **settings: object) -> None:
        super().__init__(folder, **settings)
        self.address = f"{NETWORK}.{number}"
        self._namespace, self._link = _names(number)
        self._init: subprocess.Popen | None = None

    def start(self) -> None:
        """Start all roles; `wait_until_ready` waits for them."""
        inside = f'hostname firstread; for role in {" ".join(ROLES)}; do "$@" $role & done; wait'
        with self.log.open("ab") as log:
            self._init = subprocess.Popen(
                ["ip", "netns", "exec", self._namespace, "unshare", "--uts", "--pid", "--fork",
                 "--mount-proc", "--kill-child", "sh", "-c", inside, "sh", *self.command()],
                stderr=log,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        ready = [f"{role} ready" for role in ROLES]
        servers.wait_until(lambda: all(one in self.log_text() for one in ready), 300, f"{self.address} ready")

    def kill(self) -> None:
        """End all of it at once."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()

    def signal(self, role: str, number: signal.Signals) -> None:
        """Send a signal to the process of a role."""
        (first,) = _children(self._init.pid)
        for process in _children(first):
            if Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").rpartition("\0")[2] == role:
                os.kill(process, number)

    def place(self) -> str:
        """What its claimants are called behind the role."""
        (first,) = _children(self._init.pid)
        code = "from daemon import service; print(service.claimant('x'))"
        found = subprocess.run(
            ["nsenter", "-t", str(first), "-p", "-m", "-u", sys.executable, "-c", code],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return found.partition("@")[2].partition(":")[0]

    def link(self, state: str) -> None:
        """Cut the machine off (``down``), or put it back (``up``)."""
        _ip("link", "set", self._link, state)

    def take(self, *films: FileDataset) -> list[FileDataset]:
        """Store on an association of a modality; the films that were acknowledged."""
        ae = AE(ae_title="MODALITY")
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        for sop_class, syntax in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in films}:
            ae.add_requested_context(sop_class, syntax)
        assoc, taken = ae.associate(self.address, self.port, ae_title="FIRSTREAD"), []
        for ds in films:
            if assoc.is_established and assoc.send_c_store(ds).get("Status") == 0:
                taken.append(ds)
        if assoc.is_established:
            assoc.release()
        return taken


@contextlib.contextmanager
def bridge(machines: int) -> Iterator[str]:
    """A bridge with that many namespaces on it, all gone afterwards; yields our own address on it."""
    if os.geteuid():
        foreign.missing("only root may make network namespaces")
    foreign.require("ip", "iproute2")
    _remove(machines)
    try:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{NETWORK}.1/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for number in range(2, machines + 2):
            namespace, link = _names(number)
            _ip("netns", "add", namespace)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", link, "master", _BRIDGE, "up")
            for command in (
                ["address", "add", f"{NETWORK}.{number}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                _ip("-n", namespace, *command)
        yield f"{NETWORK}.1"
    finally:
        _remove(machines)


_BRIDGE = "frbridge"


def _children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _names(number: int) -> Sequence[str]:
    return f"firstread-{number}", f"frlink{number}"


def _remove(machines: int) -> None:
    """Also what a run left that was killed."""
    for number in range(2, machines + 2):
        namespace, link = _names(number)
        subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
    subprocess.run(["ip", "link", "del", _BRIDGE], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        foreign.missing(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
