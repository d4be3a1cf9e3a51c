"""storage/heartbeats.py, and what is told of processes on several hosts of which one dies."""

import contextlib
import datetime
import os
import re
import signal
import subprocess
from pathlib import Path

import foreign
import hosts
import requests
import servers
from node import Node
from sqlalchemy import update

from daemon import housekeeping, service
from daemon.console import banner, overview
from storage import database, heartbeats
from storage.spool import Spool
from storage.tables import heartbeat

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=1)
XR1, XR2 = "xr1.0a1b2c3d:4711:1", "xr2.0a1b2c3d:4711:1"


def told(engine) -> dict[tuple[str, str], datetime.datetime]:
    with database.reading(engine) as connection:
        return {(one.process, one.instance): one.at for one in heartbeats.all_of(connection)}


def never_gone(_claimant: str) -> bool:
    return False


def test_each_process_has_its_latest_pass_and_each_role_its_latest_process(engine):
    heartbeats.beat(engine, "read", XR1, NOW)
    heartbeats.beat(engine, "read", XR2, NOW, "idle")
    heartbeats.beat(engine, "read", XR1, LATER, "busy")
    assert told(engine) == {("read", XR1): LATER, ("read", XR2): NOW}
    with database.reading(engine) as connection:
        (last,) = heartbeats.latest(connection).values()
    assert (last.instance, last.note, last.host) == (XR1, "busy", "xr1.0a1b2c3d")
    assert str(last) == "read@xr1.0a1b2c3d:4711"


def test_a_process_takes_the_place_of_one_that_is_gone_with_its_chores_and_of_no_more(engine):
    dead, deader = "xr1.0a1b2c3d:10:1", "xr1.0a1b2c3d:11:1"
    for process, instance, at in [
        ("send", dead, LATER), ("sweep", dead, LATER), ("send", deader, NOW), ("sweep", deader, NOW),
        ("send", XR2, NOW),
    ]:  # fmt: skip
        heartbeats.beat(engine, process, instance, at)
    gone = {f"send@{dead}", f"send@{deader}"}
    heartbeats.begin(engine, "send", XR1, gone.__contains__, LATER)
    assert set(told(engine)) == {("send", dead), ("sweep", dead), ("send", XR1), ("send", XR2)}


def test_the_row_of_a_process_that_ends_goes_unless_it_is_the_last_of_its_role(engine):
    for process, instance in [("read", XR1), ("sweep", XR1), ("read", XR2)]:
        heartbeats.beat(engine, process, instance, NOW)
    heartbeats.end(engine, XR1)
    assert set(told(engine)) == {("sweep", XR1), ("read", XR2)}
    heartbeats.beat(engine, "sweep", XR2, LATER)
    heartbeats.end(engine, XR2)
    assert set(told(engine)) == {("sweep", XR2), ("read", XR2)}
    # On another host, where nobody knows of the first that it is gone.
    heartbeats.begin(engine, "read", XR1, never_gone, LATER)
    heartbeats.forget(engine, NOW - datetime.timedelta(days=1))
    assert set(told(engine)) == {("sweep", XR2), ("read", XR1)}


def test_dead_processes_are_forgotten_after_a_day_but_the_last_of_a_role(engine):
    heartbeats.beat(engine, "read", XR1, NOW - datetime.timedelta(days=3))
    heartbeats.beat(engine, "receive", XR1, NOW - housekeeping.DEAD_FOR - datetime.timedelta(seconds=1))
    heartbeats.beat(engine, "receive", XR2, NOW)
    heartbeats.beat(engine, "send", XR1, NOW - housekeeping.DEAD_FOR + datetime.timedelta(seconds=1))
    heartbeats.beat(engine, "send", XR2, NOW)
    heartbeats.forget(engine, NOW - housekeeping.DEAD_FOR)
    assert set(told(engine)) == {("read", XR1), ("receive", XR2), ("send", XR1), ("send", XR2)}


def test_a_process_that_ended_well_leaves_no_row_beside_another(node):
    with node.running("send"):
        servers.wait_until(lambda: "send" in {process for process, _ in told(node.engine)}, 120)
        with node.running("send"):
            servers.wait_until(lambda: [process for process, _ in told(node.engine)].count("send") == 2, 120)
        assert [process for process, _ in told(node.engine)].count("send") == 1
    assert [process for process, _ in told(node.engine)].count("send") == 1


class Host:
    """A receiver on a host of its own name, with its own process numbers."""

    def __init__(self, name: str, node: Node) -> None:
        inside = f'hostname {name}; "$@" & wait'
        with node.log.open("ab") as log:
            self._init = subprocess.Popen(
                ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", inside,
                 "sh", *node.command("receive")],
                stderr=log,
            )  # fmt: skip
        servers.wait_until(lambda: "receive ready" in node.log_text(), 120, f"{name} ready")

    def kill_receiver(self) -> None:
        (shell,) = hosts._children(self._init.pid)
        (receiver,) = [
            one for one in hosts._children(shell) if b"receive" in Path(f"/proc/{one}/cmdline").read_bytes()
        ]
        os.kill(receiver, signal.SIGKILL)

    def close(self) -> None:
        self._init.kill()
        self._init.wait()


def grow_old(node: Node, host: str) -> None:
    """As if a host's last beats had been four minutes ago."""
    with node.engine.begin() as connection:
        for instance in connection.scalars(heartbeat.select().with_only_columns(heartbeat.c.instance)).all():
            if instance.startswith(f"{host}."):
                old = service.now() - datetime.timedelta(minutes=4)
                theirs = heartbeat.c.instance == instance
                connection.execute(update(heartbeat).where(theirs).values(at=old))


def test_of_two_hosts_receivers_that_which_was_killed_is_named(tmp_path, postgresql_url):
    if os.geteuid():
        foreign.missing("only root may make namespaces")
    foreign.require("unshare", "util-linux")
    url = servers.fresh_database(postgresql_url)
    nodes = []
    with contextlib.ExitStack() as stack:
        receivers = []
        for name in ("xr1", "xr2"):
            (tmp_path / name).mkdir()
            one = Node(tmp_path / name, {"pacs": servers.free_port()}, database_url=url)
            stack.callback(one.engine.dispose)
            receivers.append(stack.enter_context(contextlib.closing(Host(name, one))))
            nodes.append(one)
        node = nodes[0]
        servers.wait_until(lambda: len(told(node.engine)) == 2, 120)
        [well] = [line for line in node.firstread("check").stdout.splitlines() if " processes: " in line]
        receivers[1].kill_receiver()
        grow_old(node, "xr2")
        # The other goes on.
        before = told(node.engine)
        servers.wait_until(lambda: sum(told(node.engine)[one] > before[one] for one in before) == 1, 120)
        done = node.firstread("check")
        [said] = [line for line in done.stdout.splitlines() if " processes: " in line]
        seen = overview.look(node_config(node), node.engine, Spool(tmp_path / "spool"), service.now())
        warned = banner.worst(node.engine)
        with node.running("console"):
            scraped = requests.get(f"http://127.0.0.1:{node.console_port}/metrics", timeout=60).text
            page = requests.get(f"http://127.0.0.1:{node.console_port}/node", timeout=60).text
    assert well.startswith("ok")
    assert re.search(r"PROBLEM processes: no sign of life of receive@xr2\.[0-9a-f]{8}:\d+ for 60 s \(", said)
    assert "receive@xr1." in said.partition("(")[2]
    assert {(one.host.partition(".")[0], one.is_stale) for one in seen.processes_of("receive")} == {
        ("xr1", False), ("xr2", True),
    }  # fmt: skip
    assert warned.level == "caution"
    assert warned.effect.startswith("receive@xr2.")
    assert "; 1 of its kind works" in warned.effect
    ages = dict(re.findall(r'heartbeat_age_seconds\{host="(xr\d)\.[^"]+",process="receive"\} (\S+)', scraped))
    assert float(ages["xr1"]) < 30
    assert float(ages["xr2"]) > 200
    assert "1 silent" in page
    assert re.search(r"silent for \d+ min \d\d s</span> on xr2\.", page)


def node_config(node: Node):
    from daemon import config

    return config.load(node.config)
