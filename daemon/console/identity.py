"""Finding out who asks: a program's token, a proxy's header, a session, or nobody else on this machine."""

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import ipaddress
import math
import re
import secrets
import time
from typing import Any

from fastapi import HTTPException, Request, Response

from daemon import accounts, service
from daemon.config import Config
from daemon.console import audit
from daemon.console.access import User
from daemon.console.limiter import Limiter
from storage import database, sessions, users
from storage.database import SQLAlchemyError
from storage.states import Role

# Failed logins: five of a user, then one a minute; twenty of an address, then one every fifteen seconds.
OF_USER, OF_ADDRESS = (5, 60.0), (20, 15.0)
_TOUCH = datetime.timedelta(minutes=1)
_BROWSER = re.compile(r"[\w-]{43}")


@dataclasses.dataclass(frozen=True)
class Identity:
    """What was found out.

    Parameters
    ----------
    user : User or None
        None for nobody whom we know.
    by_token : bool
        A program's token, which no page of another site can make a browser send.
    by_session : bool
        Whether there is a session to end.
    """

    user: User | None
    by_token: bool = False
    by_session: bool = False


class Limits:
    """How often a login may fail."""

    def __init__(self) -> None:
        self._users = Limiter(*OF_USER, time.monotonic)
        self._addresses = Limiter(*OF_ADDRESS, time.monotonic)

    def take(self, address: str, user: str | None = None) -> None:
        """Count an attempt.

        Raises
        ------
        fastapi.HTTPException
            429 with *Retry-After*, if there were too many.
        """
        network = _network_of(address)
        wait = self._addresses.take(network)
        if not wait and user is not None and (wait := self._users.take(user)):
            self._addresses.give_back(network)
        if wait:
            seconds = math.ceil(wait)
            raise HTTPException(
                429, f"too many failed logins; try again in {seconds} s", {"Retry-After": str(seconds)}
            )

    def forgive(self, address: str, user: str) -> None:
        """Do not count an attempt that succeeded."""
        self._addresses.give_back(_network_of(address))
        self._users.give_back(user)


def browser_of(request: Request) -> tuple[str, bool]:
    """The random value by which we know a browser, and whether it has shown it to us.

    It names a session if its digest is that of one, and ties forms to the browser in any case.
    """
    shown = request.cookies.get(cookie_name(request), "")
    return (shown, True) if _BROWSER.fullmatch(shown) else (secrets.token_urlsafe(32), False)


def cookie_name(request: Request) -> str:
    """The browser itself refuses the prefix to other hosts, and without TLS."""
    return "__Host-firstread" if request.url.scheme == "https" else "firstread"


def set_browser(request: Request, response: Response, browser: str) -> None:
    """Have the browser show `browser` from now on, until it is closed."""
    response.set_cookie(
        cookie_name(request), browser, httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )


def csrf_token(browser: str) -> str:
    """What only a page of ours can tell of a browser's own value."""
    return hmac.new(browser.encode(), b"csrf", hashlib.sha256).hexdigest()


def identify(request: Request) -> Identity:
    """Find out who asks.

    Raises
    ------
    fastapi.HTTPException
        403 for a user whose role nobody knows; 429 after too many wrong tokens.
    """
    config: Config = request.app.state.config
    token = _bearer(request)
    if token is not None:
        return Identity(_of_token(request, token), by_token=True)
    named = _of_proxy(request, config)
    if named is not None:
        return Identity(named)
    session = _of_session(request, config)
    if session is not None:
        return Identity(session, by_session=True)
    if not accounts.is_loopback(config.console.host) or not accounts.is_open(
        config, request.app.state.engine
    ):
        return Identity(None)
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip")):
        raise HTTPException(
            403, "found a request through a proxy and no login; expected a user: firstread users add NAME"
        )
    return Identity(User("local", Role.ADMIN))


def is_still_known(request: Request) -> bool:
    """Whether a request that was let in would be still; asking is no use of its session and no attempt."""
    config: Config = request.app.state.config
    with contextlib.suppress(SQLAlchemyError):  # a database away ends nobody's session
        if request.state.by_token:
            return _row_of_token(request, _bearer(request)) is not None
        if request.state.by_session:
            return _row_of_session(request, config, service.now()) is not None
        return _of_proxy(request, config) is not None or accounts.is_open(config, request.app.state.engine)
    return True


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _row_of_token(request: Request, token: str) -> Any | None:
    with database.reading(request.app.state.engine) as connection:
        return users.by_token(connection, accounts.digest(token))


def _of_token(request: Request, token: str) -> User | None:
    row = _row_of_token(request, token)
    if row is not None:
        return User(row.name, Role[row.role.upper()])
    request.app.state.limits.take(address_of(request))
    audit.authentication_failed(request, "token")
    return None


def _of_proxy(request: Request, config: Config) -> User | None:
    header = config.console.proxy_user_header
    if not header or not _is_trusted(request.state.peer, config) or not request.headers.get(header):
        return None
    name, role = request.headers[header], request.headers.get(config.console.proxy_role_header, "")
    if role.upper() not in Role.__members__:
        expected = ", ".join(map(str, Role))
        raise HTTPException(403, f"found role {role!r} of {name}, expected {expected}")
    return User(name, Role[role.upper()])


def _row_of_session(request: Request, config: Config, now: datetime.datetime) -> Any | None:
    browser, is_known = browser_of(request)
    if not is_known:
        return None
    with database.reading(request.app.state.engine) as connection:
        return sessions.find(connection, accounts.digest(browser), *ends(config, now))


def _of_session(request: Request, config: Config) -> User | None:
    now = service.now()
    row = _row_of_session(request, config, now)
    if row is None:
        return None
    if now - row.seen_at > _TOUCH:
        # Where the database is busy the next request notes it.
        with contextlib.suppress(SQLAlchemyError):
            sessions.touch(request.app.state.engine, row.digest, now)
    return User(row.user_name, Role[row.role.upper()])


def ends(config: Config, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    """After which times a session has to have been opened, and last used, to be one."""
    settings = config.console
    return (
        now - datetime.timedelta(hours=settings.session_hours),
        now - datetime.timedelta(minutes=settings.idle_minutes),
    )


def address_of(request: Request) -> str:
    """IP address of who asks, as far as it is known."""
    return request.client.host if request.client else ""


def _is_trusted(peer: str, config: Config) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in config.console.trusted_proxies)


def _network_of(address: str) -> str:
    """Who has one IPv6 address has 2**64 of them."""
    with contextlib.suppress(ValueError):
        if (found := ipaddress.ip_address(address)).version == 6:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return address
