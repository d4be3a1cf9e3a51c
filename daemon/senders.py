"""The senders of a process, one thread for each destination, kept to what the config says."""

import logging
import threading
from collections.abc import Callable

from daemon.config import Config, Destination
from daemon.send import SendLoop
from storage.database import Engine
from storage.spool import Spool

_LOGGER = logging.getLogger("firstread.send")


class _Sender:
    """A thread that delivers to one destination until its own stop."""

    def __init__(self, loop: SendLoop, about: tuple[str, Destination], once: bool, beat: Callable) -> None:
        self.about = about
        self.loop = loop
        self.stop = threading.Event()
        self.thread = threading.Thread(target=loop.run, args=(self.stop, once, beat), daemon=True)
        self.thread.start()


class Senders:
    """Senders of all destinations.

    Parameters
    ----------
    config : Config
    engine : sqlalchemy.Engine
    spool : Spool
    once : bool
        Whether each ends when nothing is due.
    beat : callable
        Called after each pass of each.
    """

    def __init__(
        self, config: Config, engine: Engine, spool: Spool, once: bool, beat: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._once = once
        self._beat = beat
        self._running: dict[str, _Sender] = {}
        self.take(config)
        for name in self._wanted:
            self._start(name)

    def take(self, config: Config) -> None:
        """Name the destinations anew; `tend` brings the senders there without waiting for any of them."""
        self._wanted = {one.name: (config.node.ae_title, one) for one in config.destination}
        for one in self._running.values():
            one.loop.reconnect()

    def tend(self) -> None:
        """End senders whose destination is gone or another, and start those that are missing.

        One that ends finishes the object in hand first, and puts back what it claimed: only then does the
        next one of its name begin.

        Raises
        ------
        RuntimeError
            If a sender ended by itself, which none does.
        """
        for name, one in list(self._running.items()):
            if one.about != self._wanted.get(name):
                one.stop.set()
            if one.thread.is_alive():
                continue
            if not one.stop.is_set():
                raise RuntimeError(f"the sender of {name} ended")
            del self._running[name]
            if name not in self._wanted:
                _LOGGER.info("%s: no longer a destination; what waits for it stays PENDING", name)
        for name in self._wanted.keys() - self._running.keys():
            self._start(name)

    def join(self) -> None:
        """Wait for their end."""
        for one in self._running.values():
            one.thread.join()

    def stop(self) -> None:
        """Have each finish the object in hand, and wait for that."""
        for one in self._running.values():
            one.stop.set()
        self.join()

    def _start(self, name: str) -> None:
        ae_title, destination = self._wanted[name]
        loop = SendLoop(ae_title, destination, self._engine, self._spool)
        self._running[name] = _Sender(loop, (ae_title, destination), self._once, self._beat)
