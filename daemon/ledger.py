"""What became of the objects that were sent, committed while the next one is on its way."""

import concurrent.futures
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import Engine

from storage import deliveries
from storage.deliveries import Finished

# So many objects may be sent a second time, with the UIDs they have, after a crash or without a database.
MOST_UNWRITTEN = 4


class Ledger:
    """Commits the ends of deliveries in a thread of its own, those that wait together in one transaction.

    A commit lasts as long as sending a small object; waiting for each would halve the rate.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    claimant : str
        Who sends.
    tell : callable
        Is given each end afterwards, and whether it was the claimant's and so is committed.
    """

    def __init__(self, engine: Engine, claimant: str, tell: Callable[[Finished, bool], None]) -> None:
        self._engine = engine
        self._claimant = claimant
        self._tell = tell
        self._unwritten: deque[Finished] = deque()
        self._writes: deque[Future] = deque()
        self._writer = ThreadPoolExecutor(1)

    def enter(self, one: Finished) -> None:
        """Have an end committed; waits while more than `MOST_UNWRITTEN` are not.

        Raises
        ------
        SQLAlchemyError
            If this one or one before it was not committed.
        """
        self._unwritten.append(one)
        self._writes.append(self._writer.submit(self._write))
        while self._writes and (len(self._writes) > MOST_UNWRITTEN or self._writes[0].done()):
            self._writes.popleft().result()

    def settle(self) -> None:
        """Wait until all that was entered is committed.

        Raises
        ------
        SQLAlchemyError
            If some of it was not.
        """
        writes, self._writes = self._writes, deque()
        concurrent.futures.wait(writes)
        for write in writes:
            write.result()

    def close(self) -> None:
        """End the thread."""
        self._writer.shutdown()

    def _write(self) -> None:
        some = [self._unwritten.popleft() for _ in range(len(self._unwritten))]
        if some:
            lost = deliveries.finish(self._engine, self._claimant, some)
            for one in some:
                self._tell(one, one not in lost)
