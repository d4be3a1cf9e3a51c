"""Login and logout."""

import logging
import secrets
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from daemon import accounts, service
from daemon.console import audit, identity, oidc, pages
from daemon.console.access import User, Viewer
from daemon.console.site import Database, NodeConfig
from storage import sessions

router = APIRouter(include_in_schema=False)
_LOGGER = logging.getLogger("firstread.console")


@router.get("/login")
def show(request: Request, next: str = "/") -> Response:
    """The form."""
    if request.state.user is not None:
        return RedirectResponse(_path_of_ours(next), 303)
    return _form(request, next)


@router.post("/login")
def log_in(
    request: Request,
    config: NodeConfig,
    engine: Database,
    user: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Open a session, if the password fits."""
    name, address = user.strip().lower(), identity.address_of(request)
    try:
        request.app.state.limits.take(address, name)
    except HTTPException as error:
        audit.authentication_failed(request, name)
        return _form(request, next, name, error.detail.capitalize(), error.status_code, error.headers)
    found = accounts.fitting_hash(engine, name, password)
    browser, now = secrets.token_urlsafe(32), service.now()
    role = found and sessions.open_by_password(engine, accounts.digest(browser), name, found, now)
    if not role:
        _LOGGER.warning("login from %s refused", address)
        audit.authentication_failed(request, name)
        return _form(request, next, name, "This name and password do not belong together.", 403)
    request.app.state.limits.forgive(address, name)
    return entered(request, User(name, role), browser, next)


@router.get("/login/oidc")
async def go_to_provider(request: Request, next: str = "/") -> Response:
    """Off to the provider, which sends the browser back."""
    return await request.app.state.oidc.go(request, _path_of_ours(next))


@router.get("/login/oidc/callback", name="oidc_callback")
async def come_from_provider(request: Request, config: NodeConfig, engine: Database) -> Response:
    """Open a session for whom the provider vouches for."""
    try:
        name, role, target = await request.app.state.oidc.come_back(request)
    except oidc.NotVouchedFor as error:
        _LOGGER.warning("login by the OpenID provider refused: %s", error)
        audit.authentication_failed(request, error.name)
        return _form(request, "/", "", str(error), 403)
    browser = secrets.token_urlsafe(32)
    sessions.open_by_issuer(engine, accounts.digest(browser), name, role, config.oidc.issuer, service.now())
    return entered(request, User(name, role), browser, target)


@router.post("/logout")
def log_out(request: Request, user: Viewer, engine: Database) -> Response:
    """End the session."""
    sessions.close(engine, accounts.digest(request.state.browser))
    audit.logged_out(request, user.name)
    return RedirectResponse("/login", 303)


def entered(request: Request, user: User, browser: str, target: str) -> Response:
    """The way in, with a value that the browser did not have before; the old one is worth nothing."""
    engine, config = request.app.state.engine, request.app.state.config
    sessions.close(engine, accounts.digest(request.state.browser))
    sessions.remove_ended(engine, *identity.ends(config, service.now()))
    audit.logged_in(request, user.name)
    response = RedirectResponse(_path_of_ours(target), 303)
    identity.set_browser(request, response, browser)
    return response


def _form(
    request: Request,
    target: str,
    name: str = "",
    fault: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    page = pages.page(
        request, None, "login.html", target=_path_of_ours(target), name=name, fault=fault,
        has_provider=bool(request.app.state.config.oidc.issuer),
    )  # fmt: skip
    page.status_code = status
    page.headers.update(headers or {})
    return page


def _path_of_ours(target: str) -> str:
    """Where to go after the login: never to another site, whatever the address said."""
    # Browsers take a backslash for a slash, and two of them for the start of a host's name.
    is_ours = target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable()
    return target if is_ours else "/"
