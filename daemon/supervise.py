"""``firstread run``: the node's processes on one machine, each restarted when it dies."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from daemon import service
from daemon.config import Config
from daemon.reload import Reload

ROLES = ("receive", "read", "send", "console")
SHADOW = "shadow"
YOUNG_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 30.0
STOP_SECONDS = 60.0
_LOGGER = logging.getLogger("firstread.run")


class Child:
    """One role's process."""

    def __init__(self, role: str, config_path: Path) -> None:
        self.role = role
        self._command = [sys.executable, "-m", "daemon.cli", "--config", str(config_path), *role.split()]
        self._early_deaths = 0
        self._start_at = 0.0
        self._started_at = 0.0
        self.process: subprocess.Popen | None = None

    def keep_alive(self, now: float) -> None:
        """Start the process if it is not there: at once, or after growing waits while it dies young."""
        if self.process is not None and self.process.poll() is not None:
            lived = now - self._started_at
            self._early_deaths = self._early_deaths + 1 if lived < YOUNG_SECONDS else 0
            wait = min(LONGEST_WAIT_SECONDS, 2.0**self._early_deaths - 1)
            _LOGGER.log(
                logging.ERROR if self.process.returncode else logging.INFO,
                "%s ended with %s after %.0f s; starting it again in %.0f s",
                self.role, self.process.returncode, lived, wait,
            )  # fmt: skip
            self._start_at = now + wait
            self.process = None
        if self.process is None and now >= self._start_at:
            self._started_at = now
            # systemd watches this process alone; what a child told it would be logged as a stranger's.
            environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
            self.process = subprocess.Popen(
                self._command,
                env=environment,
                preexec_fn=_begin_child,  # noqa: PLW1509 - one thread
            )
            _LOGGER.info("%s started as process %d", self.role, self.process.pid)

    def stop(self, limit: float) -> None:
        """Wait for the end of a process that was asked to end, until `limit` (monotonic seconds)."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            _LOGGER.error("%s did not end in %.0f s; killed", self.role, STOP_SECONDS)
            self.process.kill()
            self.process.wait()


def roles(config: Config) -> tuple[str, ...]:
    """The processes that a node of this config has, each as its verb and what follows it."""
    readers = tuple(f"read --reader {number}" for number in range(2, config.model.readers + 1))
    return (*ROLES, SHADOW, *readers) if config.model.shadow else (*ROLES, *readers)


def _begin_child() -> None:
    service.end_with_parent(signal.SIGTERM)
    # Until the child listens for it: then it has yet to read its config.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def run(config_path: Path, config: Config, reload: Reload) -> None:
    """Start all roles and keep them alive until SIGTERM or SIGINT; then let each finish what it has.

    A config without fault is passed on by SIGHUP to each, which takes it over or, console and shadow, ends
    and is started again; one with faults is told once, and to nobody.
    """
    stop = service.stop_on_signals()
    children = [Child(role, config_path) for role in roles(config)]
    service.announce_ready("run")
    while not stop.is_set():
        now = time.monotonic()
        for child in children:
            child.keep_alive(now)
        if new := reload.look(config):
            config = new
            for role in set(roles(config)) - {child.role for child in children}:
                children.append(Child(role, config_path))
            for child in children:
                if child.process is not None:
                    child.process.send_signal(signal.SIGHUP)
            reload.done()
        service.notify_systemd("WATCHDOG=1")
        stop.wait(0.5)
    for child in children:
        if child.process is not None:
            child.process.terminate()
    limit = time.monotonic() + STOP_SECONDS
    for child in children:
        child.stop(limit)
