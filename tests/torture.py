"""``make torture``: the real node under faults; afterwards no film is lost and no result doubled.

Processes are killed, the disk fills, the database is locked or away, the PACS refuses, stalls, hangs up and
dies between capture and report, at moments drawn from a seed that is printed. Senders do as modalities do:
they keep what was not acknowledged and send it again. When the faults are over, everything is counted.
``make soak`` leaves the faults out and watches the reader's memory.
"""

import argparse
import collections
import contextlib
import os
import queue
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import servers
from conftest import make_film
from faulty import FaultyPacs
from node import Node
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from model.pixels import display_picture
from storage import database, heartbeats
from storage.tables import delivery

LEFTOVER_SECONDS = 30.0
SENDERS = 3
MOST_ON_ONE_ASSOCIATION = 4
# A reader has finished a film, or had so long for it, before it is killed: else nothing is ever in hand.
PROGRESS_SECONDS = 25.0
VICTIMS = {"receive": 5, "read": 5, "send": 5, "decoder": 2, "run": 2}
DISTURBANCES = ("disk", "database", "pacs", "pacs")
RESULTS = [str(SecondaryCaptureImageStorage), str(Comprehensive3DSRStorage)]


class Modalities:
    """Senders that keep each film until it is acknowledged.

    `allow` lets more of the films be sent; `acknowledged` has the UIDs that the node said success for.
    """

    def __init__(self, node: Node, films: int, seed: int) -> None:
        self._node = node
        self._seed = seed
        self._films = films
        self._allowed = 0
        self._waiting: queue.Queue[int] = queue.Queue()
        picture, _ = display_picture(pydicom.dcmread(get_testdata_file("RG1_UNCI.dcm", download=False)))
        self._chest = picture[::3, ::3].astype(np.uint16) * 16
        self.uids = [f"2.25.{seed}.{number + 1}" for number in range(films)]
        self.acknowledged: set[str] = set()
        self.refusals: collections.Counter[str] = collections.Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def allow(self, films: int) -> None:
        """Let so many more films be sent."""
        until = min(self._films, self._allowed + films)
        for number in range(self._allowed, until):
            self._waiting.put(number)
        self._allowed = until

    def end(self) -> None:
        """End the senders."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _film(self, number: int) -> FileDataset:
        """The same bytes each time, and other bytes for each number."""
        noise = np.random.default_rng((self._seed, number)).integers(0, 8, self._chest.shape, np.uint16)
        uid = self.uids[number]
        return make_film(
            pixels=self._chest + noise, SOPInstanceUID=uid, StudyInstanceUID=f"{uid}.1",
            SeriesInstanceUID=f"{uid}.2",
        )  # fmt: skip

    def _send(self) -> None:
        while not self._stop.is_set():
            numbers = []
            with contextlib.suppress(queue.Empty):
                numbers.append(self._waiting.get(timeout=0.2))
                while len(numbers) < MOST_ON_ONE_ASSOCIATION:
                    numbers.append(self._waiting.get_nowait())
            if numbers:
                self._send_some(numbers)

    def _send_some(self, numbers: list[int]) -> None:
        films = [self._film(number) for number in numbers]
        statuses: list[object] = []
        # An association whose peer dies raises whatever the moment makes of it.
        with contextlib.suppress(RuntimeError, OSError, ValueError), self._node.association(*films) as assoc:
            for film in films:
                if not assoc.is_established:
                    break
                statuses.append(assoc.send_c_store(film).get("Status"))
        statuses += [None] * (len(films) - len(statuses))
        for number, status in zip(numbers, statuses, strict=True):
            if status == 0x0000:
                self.acknowledged.add(self.uids[number])
            else:
                self.refusals["no answer" if status is None else f"0x{status:04X}"] += 1
                self._waiting.put(number)
        if None in statuses:
            time.sleep(0.3)


class Supervised:
    """``firstread run`` and its processes, found by the config they were started with."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._run: subprocess.Popen | None = None
        self.sessions: list[int] = []
        self.starts = 0

    def start(self) -> None:
        """Start the supervisor in a session of its own, by which whoever outlives it is found."""
        with self._node.log.open("ab") as log:
            self._run = subprocess.Popen(self._node.command("run"), stderr=log, start_new_session=True)
        self.sessions.append(self._run.pid)

    def stop(self) -> None:
        """Ask it to end and wait."""
        servers.end(self._run, 120)

    def pids(self, role: str) -> list[int]:
        """Processes of a role; decoders are children of the readers' fork servers."""
        if role == "decoder":
            readers = self.pids("read")
            return [child for reader in readers for fork in children(reader) for child in children(fork)]
        ending = b"\0".join([b"--config", str(self._node.config).encode(), role.encode()]) + b"\0"
        return [pid for pid, command in commands() if command.endswith(ending)]

    def kill(self, role: str) -> int:
        """SIGKILL to all processes of a role; ``run`` is everybody at once, and starts anew. How many."""
        roles = ["run", "receive", "read", "send", "console"] if role == "run" else [role]
        found = [pid for one in roles for pid in self.pids(one)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if role == "run":
            self._run.wait()
            self.start()
        return len(found)

    def left(self) -> list[int]:
        """Processes of sessions whose supervisor is gone."""
        return [pid for pid, _ in commands() if (stat := status(pid)) and int(stat[3]) in self.sessions]


def commands() -> Iterator[tuple[int, bytes]]:
    """Number and command line of every process."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes()


def status(pid: int) -> list[str]:
    """Fields of proc(5) stat from the third on; empty if there is no such process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    return [one for one, _ in commands() if (stat := status(one)) and int(stat[1]) == pid]


class Faults:
    """What goes wrong at random moments; one of each kind at a time."""

    def __init__(self, node: Node, pacs: FaultyPacs, disk: Path | None, seed: int) -> None:
        self._node = node
        self._pacs = pacs
        self._disk = disk
        self._random = random.Random(seed)
        self._running: dict[str, threading.Thread] = {}
        self.counts: collections.Counter[str] = collections.Counter()

    def disturb(self) -> None:
        """Begin a fault that ends by itself, unless one of its kind goes on."""
        kind = self._random.choice(DISTURBANCES)
        seconds = self._random.choice([0.5, 1.5, 4.0, 12.0 if kind == "database" else 3.0])
        mode = self._random.choice(FaultyPacs.MODES[1:])
        running = self._running.get(kind)
        if (running and running.is_alive()) or (kind == "disk" and self._disk is None):
            return
        work = {"disk": self._fill, "database": self._take_database, "pacs": self._spoil_pacs}[kind]
        self.counts[f"{kind} {mode}" if kind == "pacs" else kind] += 1
        self._running[kind] = threading.Thread(target=work, args=(seconds, mode))
        self._running[kind].start()

    def end(self) -> None:
        """Wait for what goes on."""
        for thread in self._running.values():
            thread.join()

    def _fill(self, seconds: float, _mode: str) -> None:
        ballast = self._disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:  # to the last byte, whatever is freed meanwhile
                file.write(bytes(1 << 20))
        time.sleep(seconds)
        ballast.unlink()

    def _take_database(self, seconds: float, _mode: str) -> None:
        if self._node.url.startswith("sqlite"):
            with (
                contextlib.suppress(sqlite3.OperationalError),
                contextlib.closing(
                    sqlite3.connect(self._node.folder / "firstread.db", timeout=5, isolation_level=None)
                ) as connection,
            ):
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                connection.execute("ROLLBACK")
            return
        with servers.database_away(self._node.url):
            time.sleep(seconds)

    def _spoil_pacs(self, seconds: float, mode: str) -> None:
        self._pacs.behave(mode)
        time.sleep(seconds)
        self._pacs.behave("well")


class Torture:
    """One run: node, PACS, senders, faults, and the count."""

    def __init__(self, options: argparse.Namespace, folder: Path, disk: Path | None, url: str | None) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._pacs = FaultyPacs()
        self._node = Node(
            disk or folder, {"pacs": self._pacs.port}, url,
            {
                "storage": {"leftover_seconds": LEFTOVER_SECONDS},
                # More deaths of readers than any site sees: a film in hand at three of them would be FAILED.
                "model": {"version": "gao-2020-small", "attempts": 10},
                "results": {"longest_side": 512},
            },
        )  # fmt: skip
        # Beside the disk that fills: what is told of a full disk is told somewhere.
        self._node.log = folder / "node.log"
        self._node.log.touch()
        self._processes = Supervised(self._node)
        self._faults = Faults(self._node, self._pacs, disk, options.seed)
        self._killed: collections.Counter[str] = collections.Counter()
        self._memory: list[int] = []
        self._began = time.monotonic()

    def run(self) -> list[str]:
        """What is not as it must be."""
        self._processes.start()
        servers.wait_until(lambda: self._log().count(" ready") >= 4, 120, "first start")
        senders = Modalities(self._node, self._options.films, self._options.seed)
        try:
            self._torment(senders) if self._options.kills else self._soak(senders)
            self._say("faults are over; waiting for the rest")
            senders.allow(self._options.films)
            limit = 180 + self._options.films
            servers.wait_until(
                lambda: len(senders.acknowledged) == len(senders.uids), limit, "acknowledgements"
            )
            self._say("all acknowledged")
            servers.wait_until(self._is_over, limit, "ends")
            self._say("all at an end; waiting until leftovers are old enough to be swept")
        except TimeoutError as error:
            return [str(error), *self._count(senders)]
        finally:
            senders.end()
            self._sweep()
            self._pacs.behave("down")
        return self._count(senders)

    def _torment(self, senders: Modalities) -> None:
        last_read = 0
        for _ in range(self._options.kills):
            senders.allow(-(-self._options.films // self._options.kills))
            victim = self._random.choices([*VICTIMS], [*VICTIMS.values()])[0]
            if self._random.random() < 0.6:
                self._faults.disturb()
            if victim in ("read", "run", "decoder"):
                with contextlib.suppress(TimeoutError):
                    servers.wait_until(lambda: self._read() > last_read, PROGRESS_SECONDS)  # noqa: B023
            time.sleep(self._random.uniform(0.05, 1.5))
            # A process that died a moment ago may not be back yet: a kill that hits nobody is none.
            with contextlib.suppress(TimeoutError):
                servers.wait_until(lambda: self._processes.kill(victim), PROGRESS_SECONDS)  # noqa: B023
                self._killed[victim] += 1
            last_read = self._read()
        self._faults.end()

    def _soak(self, senders: Modalities) -> None:
        step = max(1, self._options.films // 20)
        for done in range(step, self._options.films + 1, step):
            senders.allow(step)
            servers.wait_until(lambda: self._read() >= done, 600, f"{done} films read")  # noqa: B023
            [reader] = self._processes.pids("read")
            self._memory.append(int(status(reader)[21]) * os.sysconf("SC_PAGESIZE") >> 20)
            self._say(f"{done} films, reader {self._memory[-1]} MiB")

    def _read(self) -> int:
        """Films at an end now."""
        with contextlib.suppress(SQLAlchemyError):
            return sum(row.state in ("READ", "SKIPPED", "FAILED") for row in self._node.films())
        return 0

    def _is_over(self) -> bool:
        """Whether all is at an end; what waits for its next attempt is due now, which only saves time."""
        try:
            with self._node.engine.begin() as connection:
                connection.execute(
                    update(delivery)
                    .where(delivery.c.state == "PENDING")
                    .values(next_attempt_at=service.now())
                )
            return self._read() == self._options.films and {one.state for one in self._node.deliveries()} <= {
                "SENT", "COMMITTED", "FAILED"
            }  # fmt: skip
        except SQLAlchemyError:
            return False
        finally:
            time.sleep(1)

    def _sweep(self) -> None:
        """Start the node once more when leftovers are old enough, for its sweep."""
        self._processes.stop()
        time.sleep(LEFTOVER_SECONDS + 1 if self._options.kills else 0)
        started = service.now()
        self._processes.start()
        try:
            servers.wait_until(lambda: self._has_swept_since(started), 120, "sweep")
        finally:
            self._processes.stop()
            with contextlib.suppress(TimeoutError):  # fork servers end a moment after their readers
                servers.wait_until(lambda: not self._processes.left(), 30)

    def _has_swept_since(self, then):
        with database.reading(self._node.engine) as connection:
            last = heartbeats.latest(connection).get("sweep")  # a node that was killed early may never have
        return last is not None and last.at > then

    def _count(self, senders: Modalities) -> list[str]:
        films, deliveries = self._node.films(), self._node.deliveries()
        states = collections.Counter(row.state for row in films)
        of_film: dict[str, list[str]] = collections.defaultdict(list)
        for sop_class, source in self._pacs.sources.values():
            of_film[source].append(sop_class)
        many = [uid for uid, contents in self._pacs.contents.items() if len(contents) > 1]
        numbers = {
            "films acknowledged": len(senders.acknowledged),
            "jobs": len(films),
            **{f"films {state}": count for state, count in sorted(states.items())},
            "most attempts at a film": max((row.attempts for row in films), default=0),
            "results at the PACS": len(self._pacs.contents),
            "stored there, doubles counted": self._pacs.stores,
            "seconds": round(time.monotonic() - self._began),
        }
        faults = [f"{row.sop_instance_uid}: {row.state} {row.reason}" for row in films if row.state != "READ"]
        faults += [f"{uid} has several contents" for uid in many]
        faults += [
            f"{uid}: {sorted(of_film[uid])} at the PACS"
            for uid in senders.acknowledged
            if sorted(of_film[uid]) != sorted(RESULTS)
        ]
        faults += [
            f"job {one.film_id}: {one.kind} {one.state} {one.reason}"
            for one in deliveries
            if one.state != "SENT"
        ]
        if sorted(row.sop_instance_uid for row in films) != sorted(senders.uids):
            faults.append("jobs and films sent are not the same")
        known = {row.spool_name for row in [*films, *deliveries]}
        spool = self._node.folder / "spool"
        present = {
            str(path.relative_to(spool))
            for path in spool.rglob("*")
            if path.is_file() and path.parent != spool / "metrics"
        }
        faults += [f"file of no job: {name}" for name in sorted(present - known)]
        faults += [f"job without its file: {name}" for name in sorted(known - present)]
        faults += [f"process {pid} is left" for pid in self._processes.left()]
        faults += self._growth()
        self._report(numbers, senders)
        return faults

    def _growth(self) -> list[str]:
        """The reader's memory in the last quarter of a soak against its second: the first fills caches."""
        quarter = len(self._memory) // 4
        if not quarter:
            return []
        before, after = (
            statistics.median(self._memory[quarter : 2 * quarter]), statistics.median(self._memory[-quarter:])
        )  # fmt: skip
        return [f"the reader grew from {before} to {after} MiB"] if after > 1.05 * before + 8 else []

    def _report(self, numbers: dict[str, int], senders: Modalities) -> None:
        told = collections.Counter(
            line
            for line in self._log().splitlines()
            if line and line[0].isalpha() and "Error" in line.split(":")[0]
        )
        for line, times in told.most_common(12):
            print(f"  exception in the log, {times} times: {line[:150]}")
        print(f"seed {self._options.seed}, {self._options.films} films, {self._node.engine.dialect.name}")
        for title, counts in (
            ("killed", self._killed), ("faults", self._faults.counts), ("not acknowledged", senders.refusals),
        ):  # fmt: skip
            print(
                f"{title}: "
                + (", ".join(f"{name} {times}" for name, times in sorted(counts.items())) or "none")
            )
        for name, number in numbers.items():
            print(f"{name}: {number}")
        if self._memory:
            print(f"reader's resident size in MiB: {' '.join(map(str, self._memory))}")

    def _log(self) -> str:
        return self._node.log.read_text(encoding="utf-8", errors="replace")

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._began:6.0f} s  {words}", flush=True)

    def close(self) -> None:
        """Let go of the database."""
        self._node.engine.dispose()


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path | None]:
    """A file system of its own that can be filled, where we may mount one; else none."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", folder], capture_output=True, check=False
    )
    if done.returncode:
        print("no file system may be mounted here: the disk is not filled")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


def main() -> int:
    """Run it; 0 only if nothing is lost, doubled or left over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20, help="0 is a soak: no fault at all")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--postgresql", action="store_true", help="in place of SQLite")
    options = parser.parse_args()
    options.seed = random.randrange(1, 1 << 30) if options.seed is None else options.seed
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="fr-torture-"))
    with contextlib.ExitStack() as stack:
        url = (
            servers.fresh_database(stack.enter_context(servers.postgresql())) if options.postgresql else None
        )
        disk = stack.enter_context(small_disk(folder / "disk", 128 + 2 * options.films))
        torture = Torture(options, folder, disk, url)
        stack.callback(torture.close)
        faults = torture.run()
    for fault in faults[:40]:
        print(f"FAULT: {fault}", file=sys.stderr)
    print(
        f"{len(faults)} FAULTS, log in {folder}"
        if faults
        else "nothing lost, nothing doubled, nothing left over"
    )
    if not faults:
        shutil.rmtree(folder)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
