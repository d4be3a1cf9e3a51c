"""``firstread run``: the node's processes on one machine, each restarted when it dies."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from daemon import service

ROLES = ("receive", "read", "send")
YOUNG_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 30.0
STOP_SECONDS = 60.0
_LOGGER = logging.getLogger("firstread.run")


class Child:
    """One role's process."""

    def __init__(self, role: str, config_path: Path) -> None:
        self.role = role
        self._command = [sys.executable, "-m", "daemon.cli", "--config", str(config_path), role]
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
            _LOGGER.error(
                "%s ended with %s after %.0f s; starting it again in %.0f s",
                self.role, self.process.returncode, lived, wait,
            )  # fmt: skip
            self._start_at = now + wait
            self.process = None
        if self.process is None and now >= self._start_at:
            self._started_at = now
            # systemd watches this process alone; what a child told it would be logged as a stranger's.
            environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
            self.process = subprocess.Popen(self._command, env=environment)
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


def run(config_path: Path) -> None:
    """Start all roles and keep them alive until SIGTERM or SIGINT; then let each finish what it has."""
    stop = service.stop_on_signals()
    children = [Child(role, config_path) for role in ROLES]
    service.announce_ready("run")
    while not stop.is_set():
        now = time.monotonic()
        for child in children:
            child.keep_alive(now)
        service.notify_systemd("WATCHDOG=1")
        stop.wait(0.5)
    for child in children:
        if child.process is not None:
            child.process.terminate()
    limit = time.monotonic() + STOP_SECONDS
    for child in children:
        child.stop(limit)
