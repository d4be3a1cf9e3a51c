"""Processes that do the same work on the same open ports: the one that was started, and those it forks."""

import logging
import os
import signal
import time

from daemon import service

# As WatchdogSec of the unit, which hears of the first process only.
HUNG_SECONDS = 180
_POLL_SECONDS = 0.1
_LOGGER = logging.getLogger("firstread")


class Siblings:
    """The others of so many processes, for the one that was started; a forked one has none.

    To be made before there are threads and connections to a database, which a fork would break.

    Parameters
    ----------
    number : int
        Of processes in all.
    """

    def __init__(self, number: int) -> None:
        self._pids: list[int] = []
        first, self._is_forked = os.getpid(), False
        for _ in range(number - 1):
            if not (pid := os.fork()):
                self._pids, self._is_forked = [], True
                _begin(first)
                return
            self._pids.append(pid)

    def beat(self) -> bool:
        """Call after each finished pass; False once another one is no more, and all had better begin anew."""
        if self._is_forked:
            signal.alarm(HUNG_SECONDS)
        for pid in list(self._pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._pids.remove(pid)
                _LOGGER.error(
                    "process %d beside this one ended with %d", pid, os.waitstatus_to_exitcode(status)
                )
                return False
        return True

    def tell(self, number: signal.Signals) -> None:
        """Send the others a signal that this process was sent."""
        for pid in self._pids:
            os.kill(pid, number)

    def join(self, seconds: float) -> None:
        """Wait for the end of the others, who have been told to end; kill who takes longer."""
        limit = time.monotonic() + seconds
        while self._pids and time.monotonic() < limit:
            self._pids = [pid for pid in self._pids if os.waitpid(pid, os.WNOHANG) == (0, 0)]
            time.sleep(_POLL_SECONDS)
        self.tell(signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)


def _begin(first: int) -> None:
    """In a forked process: it does not outlive the first one, which alone speaks with systemd."""
    service.end_with_parent(signal.SIGKILL)
    if os.getppid() != first:
        os._exit(1)
    os.environ.pop("NOTIFY_SOCKET", None)
