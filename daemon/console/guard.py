"""What every request passes before its route: whose it is, where it comes from, what its answer carries."""

import hmac
import ipaddress
import socket
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from daemon.config import Config
from daemon.console import identity, problems
from storage.database import SQLAlchemyError

# What may be had without having said who one is.
PUBLIC = ("/static/", "/login", "/login/oidc", "/login/oidc/callback")
SAFE = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Other sites hear nothing; with no-referrer browsers would hide the origin of our own forms from us.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """The middleware around the whole application."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app = app
        named = (socket.gethostname(), "localhost", config.console.host, *config.console.host_names)
        self._host_names = {name.lower() for name in named}
        proxies = list(config.console.trusted_proxies)
        self._inner = ProxyHeadersMiddleware(self._guarded, proxies) if proxies else self._guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The proxy's own address: what it forwards takes its place.
        client = scope.get("client")
        scope.setdefault("state", {})["peer"] = client[0] if client else ""
        await self._inner(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        browser, is_known = identity.browser_of(request)
        request.state.user, request.state.by_token, request.state.by_session = None, False, False
        request.state.browser, request.state.csrf_token = browser, identity.csrf_token(browser)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._complete(request, MutableHeaders(scope=message), is_known)
            await send(message)

        try:
            refusal = await self._refusal(request)
        except HTTPException as error:
            refusal = problems.answer(request, error.status_code, error.detail, error.headers)
        except SQLAlchemyError as error:
            refusal = problems.database_away(error)
        await (refusal or self._app)(scope, receive, send_with_headers)

    async def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that goes no further; its body has not been looked at."""
        if not self._is_ours(request.headers.get("host", "")):
            # A name that somebody made point at us (DNS rebinding).
            raise HTTPException(
                421, "found a host name that is not ours, expected one of [console] host_names"
            )
        if request.method not in SAFE and not _is_same_site(request):
            raise HTTPException(403, "found a request from a page of another site, expected one of ours")
        path = request.url.path
        if path.startswith(PUBLIC[0]):
            return None
        found = await run_in_threadpool(identity.identify, request)
        request.state.user = found.user
        request.state.by_token, request.state.by_session = found.by_token, found.by_session
        if found.user is not None or path in PUBLIC:
            return None
        if problems.wants_page(request) and request.method in SAFE:
            target = path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(target)}", 303)
        raise HTTPException(
            401, "found no login, expected a session or a token", {"WWW-Authenticate": "Bearer"}
        )

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._host_names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        # Whoever made a page at an address has that address.
        return True

    def _complete(self, request: Request, headers: MutableHeaders, is_known: bool) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        is_static = request.url.path.startswith(PUBLIC[0])
        headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
        is_page = headers.get("content-type", "").startswith("text/html")
        if is_page and not is_known and "set-cookie" not in headers:
            marked = Response()
            identity.set_browser(request, marked, request.state.browser)
            headers.append("set-cookie", marked.headers["set-cookie"])


async def require_own_form(request: Request) -> None:
    """Dependency of every route: what changes something comes from a page of ours in the same browser.

    Raises
    ------
    fastapi.HTTPException
        403 without what the page has in ``csrf-token``, as header ``X-CSRF-Token`` or field ``csrf_token``.
    """
    if request.method in SAFE or request.state.by_token:
        return
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").partition(";")[0].strip() in _FORMS:
        given = (await request.form()).get("csrf_token")
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode(), request.state.csrf_token.encode()
    ):
        raise HTTPException(403, "found no token of this browser's own page; reload the page and try again")


def _is_same_site(request: Request) -> bool:
    """Whether a browser says of itself that the request comes from our own page; programs say nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
