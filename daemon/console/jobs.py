"""Every film received, and where its results are."""

import datetime
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from daemon import service
from daemon.console import answer, job_table, pages, signs
from daemon.console.access import Role, Viewer
from daemon.console.jobs_api import REASONS
from daemon.console.jobs_search import PAGE_ROWS, Asked, day_of, find
from daemon.console.site import Database, NodeConfig
from storage import database, destinations, events, search
from storage.database import Connection, Engine
from storage.states import FilmState

router = APIRouter()

CSV_ROWS = 1000


def _page(connection: Connection, config: NodeConfig, asked: Asked, now: datetime.datetime) -> dict[str, Any]:
    """What the templates need."""
    found = find(connection, asked, now, PAGE_ROWS + 1)
    going_back = asked.newer_than is not None
    is_more = len(found.jobs) > PAGE_ROWS
    jobs = found.jobs[-PAGE_ROWS:] if going_back else found.jobs[:PAGE_ROWS]
    down = {row.name: destinations.in_words(row) for row in destinations.down(connection)}
    loaded = search.load(connection, jobs)
    said = None
    if asked.words and len(loaded) == 1:
        [(film, sent)] = loaded
        said = answer.answer(film, sent, events.of_film(connection, film.id), down, now)
    return {
        "asked": asked,
        "found": found,
        "same": urlencode(
            asked.model_dump(mode="json", exclude={"older_than", "newer_than"}, exclude_defaults=True)
        ),
        "rows": [job_table.line(film, sent, down, now) for film, sent in loaded],
        "answer": said,
        "text": said.text(loaded[0][0], now) if said else "",
        "film": loaded[0][0] if said else None,
        "has_older": going_back or is_more,
        "has_newer": is_more if going_back else asked.older_than is not None,
        "clock": lambda at: signs.clock(at, now),
        "legend": job_table.LEGEND,
        "reasons": REASONS,
        "config": config,
    }


@router.get("/jobs", response_class=HTMLResponse, include_in_schema=False)
def jobs(
    request: Request, user: Viewer, config: NodeConfig, engine: Database, asked: Annotated[Asked, Query()]
) -> HTMLResponse:
    """The page."""
    now, begun = service.now(), time.perf_counter()
    with database.reading(engine) as connection:
        values = _page(connection, config, asked, now)
        day = day_of(asked, now)
        counts, failed = search.count_between(connection, *day) if day and not asked.words else ({}, 0)
        senders = search.senders(connection)
        first = search.first_received(connection)
    return pages.page(
        request, user, "jobs.html",
        counts=counts, failed_deliveries=failed, day=day, senders=senders, first=first,
        may_requeue=user.role >= Role.READER,
        milliseconds=round(1000 * (time.perf_counter() - begun)),
        states=list(FilmState), film_signs=signs.FILM_SIGNS, **values,
    )  # fmt: skip


@router.get("/jobs/list", response_class=HTMLResponse, include_in_schema=False)
def rows(user: Viewer, config: NodeConfig, engine: Database, asked: Annotated[Asked, Query()]) -> str:
    """The table alone, when something has moved."""
    with database.reading(engine) as connection:
        values = _page(connection, config, asked, service.now())
    return pages.part("jobs_list.html", may_requeue=user.role >= Role.READER, **values)


@router.get("/jobs.csv", include_in_schema=False)
def csv(_user: Viewer, engine: Database, asked: Annotated[Asked, Query()]) -> StreamingResponse:
    """All jobs asked for, as a table for a spreadsheet; written while it is read."""
    now = service.now()
    headers = {
        "Content-Disposition": f'attachment; filename="firstread-jobs-{now.astimezone():%Y%m%d-%H%M}.csv"'
    }
    return StreamingResponse(job_table.csv(_all(engine, asked, now)), media_type="text/csv", headers=headers)


def _all(engine: Engine, asked: Asked, now: datetime.datetime) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Every job asked for with its deliveries, page by page, so that no transaction stays open."""
    older_than = None
    while True:
        going_on = asked.model_copy(update={"older_than": older_than, "newer_than": None})
        with database.reading(engine) as connection:
            found = find(connection, going_on, now, CSV_ROWS)
            loaded = search.load(connection, found.jobs)
        yield from loaded
        if len(found.jobs) < CSV_ROWS:
            return
        older_than = found.jobs[-1]
