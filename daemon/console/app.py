"""The console as one ASGI application."""

from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.staticfiles import StaticFiles

from daemon.audit_trail import Trail
from daemon.config import Config
from daemon.console import (
    accounts,
    film,
    guard,
    identity,
    jobs,
    jobs_api,
    live,
    login,
    node,
    oidc,
    problems,
    triage,
    trial,
    users,
)
from daemon.results import kept
from storage.database import Engine
from storage.spool import Spool

# Longest body of a request but a film to try.
MOST_BODY_BYTES = 1 << 20
_STATIC = Path(__file__).with_name("static")
_SUMMARY = "Research use only: not for diagnosis."


def make(config: Config, engine: Engine, spool: Spool) -> FastAPI:
    """The application of one node.

    Parameters
    ----------
    config : Config
    engine : Engine
        Of a database at this release's schema.
    spool : Spool
        Films and results, read only.

    Raises
    ------
    OSError
        If the folder of table ``[audit]``, a certificate or a secret cannot be used.
    """
    app = FastAPI(
        title="Firstread", description=_SUMMARY,
        docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        max_body_size=MOST_BODY_BYTES,
        # The first two say in the schema how one is known; that one is, is the guard's.
        dependencies=[
            Depends(HTTPBearer(auto_error=False)), Depends(APIKeyCookie(name="firstread", auto_error=False)),
            Depends(guard.require_own_form),
        ],
        responses={status: {"model": problems.Problem} for status in problems.STATUSES},
    )  # fmt: skip
    kept.install(config.model.version, config.model.shadow)
    app.state.config, app.state.engine, app.state.spool = config, engine, spool
    app.state.feed = live.Feed(engine)
    app.state.trail, app.state.oidc = Trail(config), oidc.Provider(config.oidc)
    app.state.limits = identity.Limits()
    app.add_middleware(guard.Guard, config=config)
    problems.install(app)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    for part in (login, users, accounts, live, triage, jobs, jobs_api, film, node):
        app.include_router(part.router)
    app.include_router(trial.router, max_body_size=(config.node.most_film_mib << 20) + MOST_BODY_BYTES)
    app.openapi = lambda: _schema(app)
    return app


def _schema(app: FastAPI) -> dict[str, Any]:
    """The API alone, without the pages."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=_SUMMARY, routes=app.routes)
        schema["paths"] = {path: one for path, one in schema["paths"].items() if path.startswith("/api/")}
        told = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for operations in schema["paths"].values():
            for operation in operations.values():
                # A route that says in its own words when it refuses does so in the one shape too.
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        response.setdefault("content", told)
        app.openapi_schema = schema
    return app.openapi_schema
