"""One film: picture, heat map, reading, history, deliveries."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from daemon import decoder, service
from daemon.console import audit, cards, film_actions, history, jobs_api, picture, reading, urgency
from daemon.console.access import User, Viewer
from daemon.console.pages import page
from daemon.console.site import Database, Films, NodeConfig
from daemon.console.workers import Busy, WorkerEnded, Workers
from daemon.results.kept import installed_cascade
from model.decode import UnreadableFilm
from model.scope import OutOfScope
from model.weights import available
from storage import database, deliveries, events, film_maps, films, shadow, verdicts
from storage.database import Engine
from storage.film_maps import FilmMap
from storage.spool import SpoolUnavailable
from storage.states import DeliveryState, Role
from storage.today import Listed

DECODERS, MOST_WAITING = 2, 16
MOST_PICTURES = 8  # kept, of 2 MB each
MOST_JOB = 2**63 - 1
NO_STORE = {"Cache-Control": "no-store"}
Job = Annotated[int, Path(ge=1, le=MOST_JOB)]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    workers = Workers(DECODERS, app.state.config.model.film_timeout_seconds, MOST_WAITING)
    yield {"decoders": workers, "pictures": OrderedDict()}
    workers.close()


router = APIRouter(lifespan=_lifespan)
router.include_router(film_actions.router)
router.include_router(cards.router)


@router.get("/film/{job}", response_class=HTMLResponse, include_in_schema=False)
async def film(
    request: Request, job: Job, user: Viewer, config: NodeConfig, engine: Database, spool: Films
) -> HTMLResponse:
    """The page of one film; a view of a patient's film, so that it is audited."""
    found = await run_in_threadpool(_look_up, engine, job)
    row = found["film"]
    await run_in_threadpool(audit.film_used, request, user, "R", row)
    shown = reading.of_film(row, found["film_map"])
    listed = Listed(row, found["sent"], next(iter(found["verdicts"]), None))
    now = service.now()
    placed = urgency.place([listed], config.triage, now)
    cascade = installed_cascade(config.model.version)
    answer = page(
        request,
        user,
        "film.html",
        patient=await _patient(request, user, spool, row.spool_name),
        shown=shown,
        entry=urgency.entry(placed[0], (), now) if placed else None,
        is_reader=user.role >= Role.READER,
        has_card=shown.model in available(),
        not_assessed=reading.not_assessed(cascade),
        answers=reading.answers(cascade),
        is_trial=False,
        **found,
    )
    answer.headers.update(NO_STORE)
    return answer


@router.get("/film/{job}/picture", response_class=Response, include_in_schema=False)
async def film_picture(
    request: Request, job: Job, user: Viewer, config: NodeConfig, engine: Database, spool: Films,
    full: bool = False,
) -> Response:  # fmt: skip
    """What the browser draws, at a screen's size or, with `full`, at the film's own."""
    row, film_map = await run_in_threadpool(_film_and_map, engine, job)
    key = (job, row.changed_at)
    kept: OrderedDict[tuple[object, ...], bytes] = request.state.pictures
    body = None if full else kept.get(key)
    if body is None:
        side = picture.FULL_SIDE if full else picture.LONGEST_SIDE
        has_place = reading.points_at_a_place(row, film_map)
        body = await _in_worker(request, row, spool, picture.of_film, config.scope, film_map, has_place, side)
        if not full:
            kept[key] = body
            while len(kept) > MOST_PICTURES:
                kept.popitem(last=False)
    return Response(body, media_type="application/octet-stream", headers=NO_STORE)


@router.get("/film/{job}/texture", include_in_schema=False)
async def film_texture(
    request: Request, job: Job, user: Viewer, config: NodeConfig, engine: Database, spool: Films
) -> dict[str, dict[str, float]]:
    """Texture figures of each lung, by side."""
    row, film_map = await run_in_threadpool(_film_and_map, engine, job)
    if film_map is None:
        raise HTTPException(404, "no lungs are known of this film")
    return await _in_worker(request, row, spool, picture.texture, config.scope, film_map)


async def _in_worker(request: Request, row: Any, spool: Films, work: Any, *arguments: object) -> Any:
    if row.files_removed_at is not None:
        raise HTTPException(410, "the film's files have been removed by retention")
    try:
        return await request.state.decoders.run(decoder.on_file, spool, row.spool_name, work, *arguments)
    except FileNotFoundError as error:
        raise HTTPException(410, "the film's file is missing in the spool") from error
    except SpoolUnavailable as error:
        raise HTTPException(503, str(error)) from error
    except (OutOfScope, UnreadableFilm) as error:
        raise HTTPException(422, str(error)) from error
    except WorkerEnded as error:
        raise HTTPException(422, f"the film cannot be shown: {error}") from error
    except Busy as error:
        raise HTTPException(503, str(error)) from error


async def _patient(request: Request, user: User, spool: Films, name: str) -> dict[str, str] | None:
    """Whose film it is, for who may know; read at this moment, and kept nowhere."""
    if not user.sees_patients:
        return None
    try:
        return await request.state.decoders.run(decoder.on_file, spool, name, picture.identity)
    except (OSError, UnreadableFilm, WorkerEnded, Busy):
        return {}


def _film_and_map(engine: Engine, job: int) -> tuple[Any, FilmMap | None]:
    with database.reading(engine) as connection:
        try:
            return films.get(connection, job), film_maps.of_film(connection, job)
        except films.NoSuchJob as error:
            raise HTTPException(404, str(error)) from error


def _look_up(engine: Engine, job: int) -> dict[str, Any]:
    """All that the page shows of the job database."""
    row, film_map = _film_and_map(engine, job)
    with database.reading(engine) as connection:
        sent = deliveries.of_film(connection, job)
        moves = events.of_film(connection, job)
        said = verdicts.of_film(connection, job)
        newer, older = films.neighbours(connection, job)
        shadows = shadow.of_film(connection, job)
    return {
        "film": row,
        "film_map": film_map,
        "sent": sent,
        "deliveries": [history.delivery(one) for one in sent],
        "failed": sum(one.state == DeliveryState.FAILED for one in sent),
        "history": history.moves(row, moves),
        "verdicts": said,
        "shadows": [reading.in_shadow(one) for one in shadows],
        "findings": reading.findings(row),
        "requeue_reasons": jobs_api.REASONS,
        "rejections": film_actions.REJECTIONS,
        "newer": newer,
        "older": older,
        "can_requeue": film_actions.can_requeue(row),
        "can_withdraw": film_actions.can_withdraw(row, sent),
    }
