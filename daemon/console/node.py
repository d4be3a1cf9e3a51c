"""Does it run, and what must be done: the page Node, its API, and what Prometheus asks for."""

import dataclasses
import math
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from daemon import channels, service
from daemon.config import Config, Destination
from daemon.console import (
    banner,
    charts,
    diagnostics,
    drift,
    overview,
    pages,
    scrape,
    stations,
    versions,
)
from daemon.console.access import Admin, Viewer
from daemon.console.site import Database, Films, NodeConfig
from daemon.outcomes import NotTaken, PeerRefused, PeerUnavailable
from model.weights import available
from storage import destinations

router = APIRouter()


def _destination(name: str, config: NodeConfig) -> Destination:
    """A configured destination; 404 for any other name."""
    for one in config.destination:
        if one.name == name:
            return one
    raise HTTPException(404, "found no destination of this name, expected one of the config")


Named = Annotated[Destination, Depends(_destination)]


class Answer(BaseModel):
    """What came of it, in words."""

    answer: str


@router.get("/node", response_class=HTMLResponse, include_in_schema=False)
def node(request: Request, user: Viewer, config: NodeConfig, engine: Database, spool: Films) -> HTMLResponse:
    """The page."""
    seen_at = service.now()
    seen = drift.look(config, engine, seen_at)
    report = seen.report
    pair = next(iter(versions.look(engine, seen_at)), None)
    return pages.page(
        request,
        user,
        "node.html",
        **_now(config, engine, spool),
        seen=seen,
        drift=drift,
        histogram=charts.histogram(
            report.window.scores, report.reference.scores if report.reference else None
        )
        if report
        else None,
        pair=pair,
        scatter=charts.scatter(pair.points) if pair else None,
        versions=versions,
        has_card=pair is not None and pair.shadow["model"] in available(),
    )


@router.get("/node/now", response_class=HTMLResponse, include_in_schema=False)
def node_now(user: Viewer, config: NodeConfig, engine: Database, spool: Films) -> str:
    """The part of the page that changes while one looks."""
    return pages.part("node_now.html", user=user, **_now(config, engine, spool))


def _now(config: Config, engine: Database, spool: Films) -> dict[str, Any]:
    now = overview.look(config, engine, spool, service.now())
    readers = now.processes_of("read")
    return {
        "now": now,
        "stations": stations.stations(now),
        "day": stations.day(now, config.monitoring.goal_seconds),
        "circuit": stations.circuit,
        "last_answer": stations.last_answer,
        "seconds": stations.seconds_in_words,
        "clock": banner.clock,
        "duration": banner.duration,
        "counted": banner.counted,
        "reader": readers[0].note if readers else {},
        "version_name": config.model.version,
        "goal_seconds": config.monitoring.goal_seconds,
    }


@router.get("/api/node", tags=["node"])
def api_node(_user: Viewer, config: NodeConfig, engine: Database, spool: Films) -> overview.Overview:
    """Queues, rates, destinations, callers, volumes and processes as they are now."""
    return overview.look(config, engine, spool, service.now())


@router.get("/api/monitoring", tags=["node"])
def api_monitoring(_user: Viewer, config: NodeConfig, engine: Database) -> dict[str, Any]:
    """Scores and refusals against the reference, predictive values, and what readers said."""
    return _without_nan(dataclasses.asdict(drift.look(config, engine, service.now())))


@router.get("/api/shadow", tags=["node"])
def api_shadow(_user: Viewer, engine: Database) -> list[versions.Compared]:
    """Versions that read in the shadow of another and what the two say of the newest films of 30 days."""
    return versions.look(engine, service.now())


def _without_nan(value: Any) -> Any:
    """JSON has no word for the share of no films."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@router.post("/api/destinations/{name}/try", tags=["node"])
def try_now(_user: Admin, to: Named, engine: Database) -> Answer:
    """Make the next probe of a destination that is down due at once."""
    now = service.now()
    if not destinations.probe_now(engine, to.name, now):
        return Answer(answer=f"{to.name} takes results; nothing to try")
    destinations.wake_first(engine, to.name, now)
    return Answer(answer=f"{to.name} is tried now; what it answers stands in the table in a moment")


@router.post("/api/destinations/{name}/echo", tags=["node"])
async def echo(_user: Admin, to: Named, config: NodeConfig) -> Answer:
    """Ask a destination for an answer, with nothing to store: C-ECHO, or what its kind has for it."""
    try:
        return Answer(answer=await run_in_threadpool(channels.check, config.node.ae_title, to))
    except (PeerUnavailable, NotTaken, PeerRefused) as error:
        return Answer(answer=f"{to.name} does not answer well: {error}")


@router.get("/node/diagnostics", include_in_schema=False)
def download(_user: Admin, config: NodeConfig, engine: Database) -> Response:
    """What somebody who helps from afar needs; nothing of a patient, and no secret."""
    now = service.now()
    return Response(
        diagnostics.collect(config, engine, now),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="firstread-{now:%Y%m%d-%H%M%S}.json"'},
    )


@router.get("/metrics", include_in_schema=False)
def metrics(_user: Viewer, config: NodeConfig, engine: Database, spool: Films) -> Response:
    """Figures in Prometheus's text format; a program asks with the token of a user."""
    body, media_type = scrape.text(config, engine, spool)
    return Response(body, media_type=media_type)
