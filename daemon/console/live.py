"""One event stream a page: what moved, and whether the node lives.

One poller for all pages of this process looks at the history while there is a page; each page has a queue of
its own, and one that does not keep up is let go: its browser comes back and loads its list anew.
"""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from daemon import service
from daemon.console import banner, identity, pages
from daemon.console.access import Viewer
from storage import database, events, heartbeats
from storage.database import Engine, SQLAlchemyError

router = APIRouter()

POLL_SECONDS = 0.25
POLLS_A_PULSE = 4
MOST_EVENTS = 1000
# Moves that a transaction running beside newer ones may still commit.
LOOK_BACK = 200
QUEUE_LENGTH = 2 * MOST_EVENTS


class Feed:
    """What happens in the node, for every page that listens.

    Parameters
    ----------
    engine : Engine
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: set[asyncio.Queue[ServerSentEvent | None]] = set()
        self._poller: asyncio.Task[None] | None = None
        self._last = 0
        self._seen: set[int] = set()
        self._banner = ""
        self._is_closed = False

    async def listen(self) -> AsyncGenerator[ServerSentEvent]:
        """Events from now on: ``job`` as one moves, ``pulse`` each second, ``banner`` when it changes."""
        queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(QUEUE_LENGTH)
        self._listeners.add(queue)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """End every stream soon, so that none holds up the end of the process; from any thread."""
        self._is_closed = True

    async def _poll(self) -> None:
        self._last, polls = -1, 0
        while self._listeners and not self._is_closed:
            # A database away is silence: each page says since when it is not live.
            with contextlib.suppress(SQLAlchemyError):
                self._tell(await asyncio.to_thread(self._look, polls % POLLS_A_PULSE == 0))
            polls += 1
            await asyncio.sleep(POLL_SECONDS)
        for queue in list(self._listeners):
            self._let_go(queue)

    def _look(self, with_pulse: bool) -> list[ServerSentEvent]:
        """What happened since the last look."""
        with database.reading(self._engine) as connection:
            if self._last < 0:
                self._last = events.last(connection)
                self._seen = {row.id for row in events.since(connection, self._last - LOOK_BACK, MOST_EVENTS)}
            rows = events.since(connection, self._last - LOOK_BACK, MOST_EVENTS)
            beats = heartbeats.latest(connection) if with_pulse else {}
        told = [
            ServerSentEvent(
                event="job",
                data={
                    "job": row.film_id,
                    "what": "film" if row.delivery_id is None else "delivery",
                    "state": row.to_state,
                },
            )
            for row in rows
            if row.id not in self._seen
        ]
        self._seen = {row.id for row in rows}
        self._last = max(self._seen, default=self._last)
        if with_pulse:
            told += [_pulse(beats, service.now()), *self._changed_banner()]
        return told

    def _changed_banner(self) -> Iterable[ServerSentEvent]:
        html = pages.part("banner.html", banner=banner.worst(self._engine))
        if html != self._banner:
            self._banner = html
            yield ServerSentEvent(event="banner", data={"html": html})

    def _tell(self, told: list[ServerSentEvent]) -> None:
        for queue in list(self._listeners):
            try:
                for event in told:
                    queue.put_nowait(event)
            except asyncio.QueueFull:
                self._let_go(queue)

    def _let_go(self, queue: asyncio.Queue[ServerSentEvent | None]) -> None:
        self._listeners.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def _pulse(beats: dict[str, heartbeats.Beat], now: datetime.datetime) -> ServerSentEvent:
    age = round((now - beats["read"].at).total_seconds()) if "read" in beats else None
    return ServerSentEvent(
        event="pulse", data={"clock": now.astimezone().strftime("%H:%M:%S"), "reader_age_seconds": age}
    )


@router.get("/live", response_class=EventSourceResponse, include_in_schema=False)
async def live(request: Request, _user: Viewer) -> AsyncIterator[ServerSentEvent]:
    """The stream of one page; it ends with the page, or with the session or token that it was asked by."""
    async with contextlib.aclosing(request.app.state.feed.listen()) as told:
        async for event in told:
            if event.event == "pulse" and not await run_in_threadpool(identity.is_still_known, request):
                return
            yield event
