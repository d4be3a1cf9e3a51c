"""The unit files before systemd's own judge, and the processes in what the units make of their world."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import foreign
import pytest
import servers
from conftest import make_film
from node import Node

from daemon import cli, cli_processes, config, service, supervise
from daemon.config_file import BadConfig
from storage import database, destinations

UNITS = Path(__file__).parents[1] / "systemd"
ROLES = ("receive", "read", "send", "console", "shadow")
MOST_EXPOSURE = 2.0
# prctl(2): what MemoryDenyWriteExecute= forbids, forbidden by the kernel itself, and kept across exec.
WITHOUT_WRITABLE_CODE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit("PR_SET_MDWE")
os.execv(sys.argv[1], sys.argv[1:])
"""


def settings(role: str) -> dict[str, str]:
    """Keys of a service unit, of each the last line."""
    lines = (UNITS / f"firstread-{role}.service").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture
def installed_units(tmp_path) -> list[Path]:
    """The units beside a program where they expect one: verify looks for it."""
    program = tmp_path / "firstread"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    units = []
    for unit in [*UNITS.glob("*.service"), *UNITS.glob("*.target")]:
        units.append(tmp_path / unit.name)
        text = unit.read_text(encoding="utf-8")
        units[-1].write_text(text.replace("/opt/firstread/bin/firstread", str(program)), encoding="utf-8")
    return units


def test_systemd_finds_no_fault_in_the_units(installed_units):
    judge = foreign.require("systemd-analyze", "systemd")
    assert len(installed_units) == len(ROLES) + 1
    done = subprocess.run([judge, "verify", *installed_units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "firstread" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("role", ROLES)
def test_exposure_of_the_unit_is_low(role):
    judge = foreign.require("systemd-analyze", "systemd")
    done = subprocess.run(
        [judge, "security", "--offline=true", "--no-pager", UNITS / f"firstread-{role}.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure.group(1)) <= MOST_EXPOSURE, done.stdout


@pytest.mark.parametrize("role", ROLES)
def test_unit_starts_a_verb_that_the_command_has(role):
    program, verb = settings(role)["ExecStart"].split()
    assert program == "/opt/firstread/bin/firstread"
    assert cli._parser().parse_args([verb]).run is getattr(cli_processes, role)


@pytest.mark.parametrize("role", ROLES)
def test_unit_is_reloaded_by_the_signal_that_its_process_takes(role):
    assert settings(role)["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_target_wants_every_process_that_run_would_start():
    wanted = re.search(r"(?m)^Wants=(.*)$", (UNITS / "firstread.target").read_text(encoding="utf-8"))
    assert wanted is not None
    roles = supervise.roles(config.parse({"model": {"shadow": "gao-2020"}}, "source"))
    assert wanted.group(1).split() == [f"firstread-{role}.service" for role in roles]
    assert {path.name for path in UNITS.glob("*.service")} == set(wanted.group(1).split())


def test_a_reload_of_the_target_reaches_every_process_that_it_starts():
    lines = (UNITS / "firstread.target").read_text(encoding="utf-8").splitlines()
    keys = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert keys["PropagatesReloadTo"] == keys["Wants"]


@pytest.mark.parametrize("role", ROLES)
def test_every_loosened_line_says_why(role):
    lines = (UNITS / f"firstread-{role}.service").read_text(encoding="utf-8").splitlines()
    loosened = [number for number, line in enumerate(lines) if re.match(r"\w+=(no|all)$", line)]
    assert all(lines[number - 1].startswith("# Loosened: ") for number in loosened)
    assert role in ("read", "shadow", "console") or not loosened


def test_longest_film_timeout_that_the_config_takes_ends_before_the_watchdog():
    minutes = int(settings("read")["WatchdogSec"].removesuffix("min"))
    with pytest.raises(BadConfig):
        config.parse({"model": {"film_timeout_seconds": minutes * 60 - 30}}, "source")


class Manager:
    """The end of NOTIFY_SOCKET that systemd holds."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "notify"
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._socket.setblocking(False)

    def times_heard(self, message: str) -> int:
        """How often a state was told so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        return self.heard.count(message)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path_factory):
    manager = Manager(tmp_path_factory.mktemp("n"))
    yield manager
    manager.close()


@contextlib.contextmanager
def under(manager: Manager, node: Node, role: str):
    """A process of `node` as systemd would start it."""
    environment = os.environ | {"NOTIFY_SOCKET": str(manager.address)}
    with node.log.open("ab") as log:
        process = subprocess.Popen(node.command(role), stderr=log, env=environment)
        try:
            yield process
        finally:
            servers.end(process, 60)


@pytest.mark.parametrize("role", ["receive", "read", "send", "console", "run"])
def test_process_tells_systemd_that_it_is_ready_alive_and_stopping(role, manager, node):
    with under(manager, node, role) as process:
        servers.wait_until(lambda: manager.times_heard("READY=1"), 120, "READY=1")
        servers.wait_until(lambda: manager.times_heard("WATCHDOG=1") > 1, 60, "WATCHDOG=1 twice")
        assert process.poll() is None
        assert manager.times_heard("STOPPING=1") == 0
        process.terminate()
        assert process.wait(60) == 0
    assert manager.heard[0] == "READY=1"
    assert [manager.times_heard(state) for state in ("READY=1", "STOPPING=1")] == [1, 1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts another /proc")
def test_a_process_that_protectproc_hides_is_not_taken_for_one_that_is_gone():
    mount = foreign.require("unshare", "util-linux")
    gone = subprocess.Popen(["true"])
    gone.wait()
    ask = f"""
import os, sys
from pathlib import Path
from daemon import service
service.claimant("read")  # loads what it needs while the interpreter's own files can be read
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(Path("/proc/{os.getpid()}").exists(), *map(service.is_gone, sys.argv[1:]))
"""
    host = service.claimant("read").partition(":")[0]
    names = [service.claimant("read"), f"{host}:{gone.pid}:1"]
    script = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'
    done = subprocess.run(
        [mount, "--mount", "sh", "-c", script, "sh", sys.executable, "-c", ask, *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "mount" in done.stderr:
        pytest.skip("no /proc may be mounted here")
    assert (done.stdout, done.stderr) == ("False False True\n", "")


def test_sender_that_waits_for_a_dead_peer_still_feeds_the_watchdog(manager, tmp_path):
    with socket.socket() as dead:  # takes the connection and never answers
        dead.bind(("127.0.0.1", 0))
        dead.listen()
        dead.settimeout(60)
        node = Node(tmp_path, {"pacs": dead.getsockname()[1]})
        with node.running("receive"):
            assert [answer.Status for answer in node.store(make_film())] == [0x0000]
        assert node.firstread("read", "--once").returncode == 0
        with under(manager, node, "send") as process:
            connection, _ = dead.accept()
            before = manager.times_heard("WATCHDOG=1")
            servers.wait_until(lambda: manager.times_heard("WATCHDOG=1") > before + 1, 60, "two more beats")
            with database.reading(node.engine) as reader:
                assert destinations.get(reader, "pacs") is None  # it still waits
            process.kill()
            connection.close()
        node.engine.dispose()


def test_receive_and_send_need_no_memory_that_is_writable_and_executable(node, pacs, monkeypatch):
    plain, denied = node.command, [sys.executable, "-c", WITHOUT_WRITABLE_CODE]
    probe = subprocess.run([*denied, "/bin/true"], check=False)
    if probe.returncode != 0:
        pytest.skip("a kernel before Linux 6.3, without PR_SET_MDWE")
    assert (
        settings("receive")["MemoryDenyWriteExecute"] == settings("send")["MemoryDenyWriteExecute"] == "yes"
    )
    monkeypatch.setattr(node, "command", lambda *verb: [*denied, *plain(*verb)])
    with node.running("receive", "send"):
        assert [answer.Status for answer in node.store(make_film())] == [0x0000]
        monkeypatch.setattr(node, "command", plain)
        assert node.firstread("read", "--once").returncode == 0
        servers.wait_until(lambda: len(pacs.received) == 2, 60, "both results at the PACS")


def test_a_socket_that_takes_nothing_is_named_and_ends_no_process(tmp_path, monkeypatch, caplog):
    address = tmp_path / "nobody"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    service.notify_systemd("READY=1")
    assert f"NOTIFY_SOCKET {address}: No such file or directory; not told READY=1" in caplog.text
