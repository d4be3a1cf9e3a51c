"""Today's films, most urgent first."""

import dataclasses
import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from daemon import predictive, priority, service
from daemon.console import pages, reading, signs, urgency
from daemon.console.access import Viewer
from daemon.console.site import Database, NodeConfig
from daemon.priority import Group
from daemon.results.kept import installed_cascade, installed_version
from storage import database, destinations, heartbeats, today
from storage.database import Engine

router = APIRouter()

# Of a day with more films than anybody looks through, the newest.
MOST_FILMS = 5000
# Who looks after midnight still finds the evening's films.
AT_LEAST = datetime.timedelta(hours=12)
ALIVE = datetime.timedelta(seconds=30)
ROWS = {Group.LOOK_FIRST: 50, Group.NEEDS_A_PERSON: 50, Group.LOOK_SOON: 50, Group.ROUTINE: 10}
MORE_ROWS = 50


class Shown(BaseModel):
    """What of the list is shown: one group, one sender, and how many rows of a group beyond the first."""

    model_config = ConfigDict(extra="ignore")
    group: Group | None = None
    sender: Annotated[str, Field(max_length=16, pattern=r"^[^\x00-\x1f]*$")] = ""
    more: Annotated[list[str], Field(max_length=200)] = []


@dataclasses.dataclass(frozen=True)
class Part:
    """One group of the list."""

    group: Group
    sign: signs.Sign
    note: str
    count: int
    rows: list[urgency.Entry]


@dataclasses.dataclass(frozen=True)
class Day:
    """The list as it is now."""

    at: datetime.datetime
    since: datetime.datetime
    films: list[urgency.Placed]
    down: set[str]
    skipped: int
    is_cut: bool
    being_read: int
    queued: int
    last: Any
    is_receiving: bool


def start_of(now: datetime.datetime) -> datetime.datetime:
    """From when on films are listed: midnight here, and 12 hours ago at least."""
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight, now.astimezone() - AT_LEAST)


def look(config: NodeConfig, engine: Engine, now: datetime.datetime) -> Day:
    """The list of this moment."""
    since = start_of(now)
    with database.snapshot(engine) as connection:
        listed = today.films_since(connection, since, MOST_FILMS)
        being_read, queued = today.in_work(connection)
        last = today.last_film(connection)
        down = {row.name for row in destinations.down(connection)}
        beats = heartbeats.latest(connection)
    placed = urgency.place(listed, config.triage, now)
    return Day(
        now, since, placed, down, len(listed) - len(placed), len(listed) == MOST_FILMS, being_read, queued,
        last, "receive" in beats and now - beats["receive"].at < ALIVE,
    )  # fmt: skip


def _values(config: NodeConfig, engine: Engine, shown: Shown) -> dict[str, Any]:
    """What the templates need."""
    day = look(config, engine, service.now())
    of_sender = [one for one in day.films if shown.sender in ("", one.listed.film.calling_ae_title)]
    parts, answers = [], reading.answers(installed_cascade(config.model.version))
    for group in Group:
        rows = [one for one in of_sender if one.group is group]
        most = ROWS[group] + MORE_ROWS * shown.more.count(group.name.lower())
        parts.append(
            Part(
                group,
                urgency.GROUP_SIGNS[group],
                urgency.GROUP_NOTES[group].format(answers=answers),
                len(rows),
                [urgency.entry(one, day.down, day.at) for one in rows[:most]],
            )
        )
    return {
        "day": day,
        "parts": parts,
        "total": len(of_sender),
        "shown": shown,
        "senders": sorted({one.listed.film.calling_ae_title for one in day.films}),
        "clock": lambda at: signs.clock(at, day.at),
        "config": config,
    }


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def triage(
    request: Request, user: Viewer, config: NodeConfig, engine: Database, shown: Annotated[Shown, Query()]
) -> HTMLResponse:
    """The page."""
    version = installed_version(config.model.version)
    return pages.page(
        request,
        user,
        "triage.html",
        formula=priority.FORMULA,
        model=f"{version.recipe['name']} {version.recipe['version']}",
        table=urgency.table(
            config.triage, config.model.version, version.cascade, version.manifest["thresholds"]
        ),
        threshold=urgency.threshold,
        fewest=predictive.FEWEST_FILMS,
        **_values(config, engine, shown),
    )


@router.get("/triage/list", response_class=HTMLResponse, include_in_schema=False)
def rows(_user: Viewer, config: NodeConfig, engine: Database, shown: Annotated[Shown, Query()]) -> str:
    """The moving parts of the page, when something has moved."""
    return pages.part("triage_list.html", **_values(config, engine, shown))


class Film(BaseModel):
    """One film of the triage list; no patient identity."""

    job: int
    group: Group
    priority: int | None = Field(description="0 to 100; none without a usable answer")
    said: str
    detail: str
    model_score: str | None = Field(description="0 to 100; not a probability")
    ppv_here: float | None = Field(description="positive predictive value at the site's prevalence, 0 to 1")
    accession_number: str
    sender: str
    received_at: datetime.datetime
    results: str
    verdict: str


@router.get("/api/triage", tags=["triage"])
def api_triage(_user: Viewer, config: NodeConfig, engine: Database) -> list[Film]:
    """Today's films, most urgent first."""
    day = look(config, engine, service.now())
    entries = [urgency.entry(one, day.down, day.at) for one in day.films]
    return [
        Film(
            job=one.job,
            group=one.group,
            priority=one.points,
            said=one.said,
            detail=one.detail,
            model_score=one.score.text if one.score else None,
            ppv_here=one.worth.ppv if one.worth else None,
            accession_number=one.accession_number,
            sender=one.sender,
            received_at=one.received_at,
            results=one.results.words,
            verdict=one.verdict.words,
        )
        for one in entries
    ]
