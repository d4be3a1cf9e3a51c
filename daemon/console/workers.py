"""Processes that decode and read for the console: bytes of films are hostile, and TensorFlow is large."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from daemon import decoder

IDLE_SECONDS = 300.0


class Busy(RuntimeError):
    """More is asked of the workers than they get done."""


class WorkerEnded(RuntimeError):
    """A worker ran out of time or memory, or crashed, on what it was given."""


class Workers:
    """Up to so many processes, started at need and ended when idle; each does one thing at a time.

    Parameters
    ----------
    processes : int
    seconds : int
        Most time for one piece of work; a worker that takes longer is ended.
    most_waiting : int
        Pieces of work asked for at once, those in work among them.
    """

    def __init__(self, processes: int, seconds: int, most_waiting: int) -> None:
        self._seconds = seconds
        self._most_waiting = most_waiting
        self._turn = asyncio.Semaphore(processes)
        # A pool of one process each: one that dies takes down no other's work.
        self._resting: list[ProcessPoolExecutor] = []
        self._asked = 0
        self._end: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among those who wait; before what is to be worked on is taken into memory.

        Raises
        ------
        Busy
        """
        if self._asked >= self._most_waiting:
            raise Busy("too many films at once; try again in a moment")
        self._asked += 1
        if self._end is not None:
            self._end.cancel()
        try:
            yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._end = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.close)

    async def run(self, work: Callable, *arguments: object) -> Any:
        """As `work`, with a place of its own."""
        async with self.place():
            return await self.work(work, *arguments)

    async def work(self, work: Callable, *arguments: object) -> Any:
        """What `work` returns or raises, in a worker.

        Raises
        ------
        WorkerEnded
        """
        async with self._turn:
            return await self._work(work, arguments)

    async def _work(self, work: Callable, arguments: tuple[object, ...]) -> Any:
        pool = self._resting.pop() if self._resting else _new_pool()
        try:
            answer, _ = await asyncio.wrap_future(
                pool.submit(decoder.bounded, self._seconds, work, *arguments)
            )
        except BrokenProcessPool as error:
            pool.shutdown(wait=False)
            raise WorkerEnded(f"the worker process died or took more than {self._seconds} s") from error
        except BaseException:
            self._resting.append(pool)
            raise
        self._resting.append(pool)
        return answer

    def close(self) -> None:
        """End the processes that have nothing to do."""
        with contextlib.suppress(IndexError):
            while True:
                self._resting.pop().shutdown(wait=False)


def _new_pool() -> ProcessPoolExecutor:
    # forkserver: a fork of the console would carry its threads' locks.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([decoder.__name__])
    return ProcessPoolExecutor(1, context, initializer=decoder.start_worker)
