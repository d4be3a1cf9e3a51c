"""Try a film: a file read, nothing kept."""

import dataclasses
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from daemon.console import audit, reading, trying
from daemon.console.access import Reader, User
from daemon.console.pages import page, part
from daemon.console.site import NodeConfig
from daemon.console.trying import Tried
from daemon.console.workers import Busy, WorkerEnded, Workers
from daemon.results import wording
from daemon.results.kept import installed_cascade
from daemon.results.notification import figures
from model.decode import UnreadableFilm
from model.findings import Reading

LOADING_SECONDS = 60  # more than that the networks do not take to load
MOST_WAITING = 3
NO_STORE = {"Cache-Control": "no-store"}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"description": "Larger than `[node] most_film_mib`."},
    422: {"description": "Not a film that can be read."},
    503: {"description": "Others are trying films."},
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "A DICOM Part 10 file, PNG or JPEG.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Refusal(BaseModel):
    """Why a film is not read."""

    code: str
    found: str
    expected: str


class TrialAnswer(BaseModel):
    """What the model says of a film that is nowhere kept."""

    research_use_only: str
    headline: str
    subline: str
    figures: dict[str, Any] | None
    refusal: Refusal | None


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    # One process of its own: TensorFlow comes in at the first film and goes after some idle minutes.
    seconds = app.state.config.model.film_timeout_seconds + LOADING_SECONDS
    reader = Workers(1, seconds, MOST_WAITING)
    yield {"reader": reader}
    reader.close()


router = APIRouter(lifespan=_lifespan)


@router.get("/try", response_class=HTMLResponse, include_in_schema=False)
def trial(request: Request, user: Reader, config: NodeConfig) -> HTMLResponse:
    """The page that takes a film."""
    return page(request, user, "trial.html", most_mib=config.node.most_film_mib)


@router.post("/try", response_class=Response, include_in_schema=False)
async def try_film(request: Request, user: Reader, config: NodeConfig) -> Response:
    """For the page: length of the HTML as 32 bits, the HTML, and what the browser draws."""
    tried = await _tried(request, user, config)
    cascade = installed_cascade(config.model.version)
    html = part(
        "trial_result.html",
        shown=_shown(tried),
        has_picture=bool(tried.picture),
        not_assessed=reading.not_assessed(cascade),
        answers=reading.answers(cascade),
        is_trial=True,
        entry=None,
    ).encode()
    body = struct.pack("<L", len(html)) + html + tried.picture
    return Response(body, media_type="application/octet-stream", headers=NO_STORE)


@router.post("/api/try", tags=["try"], responses=_REFUSALS, openapi_extra=_BODY)
async def api_try(request: Request, user: Reader, config: NodeConfig) -> TrialAnswer:
    """Read a film; nothing of it is kept."""
    tried = await _tried(request, user, config)
    shown, answer = _shown(tried), tried.answer
    is_read = isinstance(answer, Reading)
    return TrialAnswer(
        research_use_only=wording.COMMENT,
        headline=shown.headline,
        subline=shown.subline,
        figures=figures(answer) if is_read else None,
        refusal=None if is_read else Refusal(code=answer.code, found=answer.found, expected=answer.expected),
    )


def _shown(tried: Tried) -> reading.Shown:
    if isinstance(tried.answer, Reading):
        return reading.of_reading(tried.answer)
    return dataclasses.replace(reading.of_refusal(tried.answer), remedy="")


async def _tried(request: Request, user: User, config: NodeConfig) -> Tried:
    """Take the film into memory, have it read, and tell that a person gets to see it."""
    workers: Workers = request.state.reader
    try:
        async with workers.place():
            content = await _content(request, config.node.most_film_mib)
            tried = await workers.work(trying.read, content, config)
    except UnreadableFilm as error:
        raise HTTPException(422, f"unreadable: {error}") from error
    except WorkerEnded as error:
        raise HTTPException(422, f"the film cannot be read: {error}") from error
    except Busy as error:
        raise HTTPException(503, str(error)) from error
    await run_in_threadpool(audit.film_tried, request, user)
    return tried


async def _content(request: Request, most_mib: int) -> bytes:
    """The body, at most so large; never written to a disk."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most_mib << 20:
            raise HTTPException(413, f"found more than {most_mib} MiB, expected {most_mib} at most")
    if not content:
        raise HTTPException(422, "found nothing, expected a DICOM file, PNG or JPEG")
    return bytes(content)
