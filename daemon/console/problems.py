"""What is said of a request that was not done: ``{"detail": ...}`` to programs, a page to people."""

import logging
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as AnyHttpException

from daemon import service
from daemon.console import pages
from storage.database import SQLAlchemyError
from storage.films import NoSuchJob
from storage.states import IllegalMove
from storage.users import BadAccount, NoSuchUser, UserExists

# Every answer of the API but the good one; beside each route's own, so that the schema is true of all.
STATUSES = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_STATUS_OF = {NoSuchJob: 404, NoSuchUser: 404, UserExists: 409, IllegalMove: 409, BadAccount: 422}
_LOGGER = logging.getLogger("firstread.console")


class Problem(BaseModel):
    """Why a request was not done: what was found, what was expected."""

    detail: str


def answer(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer, in the words and the shape that whoever asks can use."""
    if not wants_page(request):
        return JSONResponse({"detail": detail}, status, headers)
    page = pages.page(
        request, request.state.user, "problem.html", heading=HTTPStatus(status).phrase, detail=detail
    )
    page.status_code = status
    page.headers.update(headers or {})
    return page


def wants_page(request: Request) -> bool:
    """Whether a person with a browser asks."""
    is_api = request.url.path.startswith(("/api/", "/static/"))
    return not is_api and "text/html" in request.headers.get("accept", "")


async def _told(status: int, request: Request, error: Exception) -> Response:
    return answer(request, status, str(error))


def install(app: FastAPI) -> None:
    """Answer in this way whatever goes wrong."""

    @app.exception_handler(AnyHttpException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # The place and the rule, not the value: it may be a name.
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return answer(request, 422, "; ".join(faults))

    for kind, status in _STATUS_OF.items():
        app.add_exception_handler(kind, partial(_told, status))

    @app.exception_handler(SQLAlchemyError)
    async def without_database(request: Request, error: SQLAlchemyError) -> Response:
        return database_away(error)


def database_away(error: SQLAlchemyError) -> Response:
    """The answer while the database does not; a page would ask it too."""
    said = service.first_line(error)
    _LOGGER.error("database: %s", said)
    return JSONResponse({"detail": f"database: {said}"}, 503, {"Retry-After": "10"})
