"""Local users: what a name, a password and a token have to be, and argon2 (RFC 9106)."""

import hashlib
import ipaddress
import re
import secrets
import threading

import argon2

from daemon import audit_messages, service
from daemon.audit_trail import Trail
from daemon.config import Config
from daemon.config_file import BadConfig
from storage import database, users
from storage.database import Engine
from storage.states import Role
from storage.users import BadAccount, NoSuchUser

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_HASHER = argon2.PasswordHasher()
# Hashing takes 64 MiB each time, so that it is not done by any number of strangers at once.
_HASHING = threading.BoundedSemaphore(2)
_OF_NOBODY = _HASHER.hash(secrets.token_hex())


class NoLogin(BadConfig):
    """The console would be open to whoever can reach its port."""


def add(engine: Engine, trail: Trail, name: str, role: Role, password: str, by: audit_messages.Person) -> str:
    """Add a user; the name as it is kept, in lower case.

    Parameters
    ----------
    by : audit_messages.Person
        Whom the audit message names.

    Raises
    ------
    storage.users.BadAccount, storage.users.UserExists
    """
    name = name.lower()
    if not _NAME.fullmatch(name):
        raise BadAccount(f"name {name!r}, expected 1 to 64 letters, digits and . _ - @")
    users.add(engine, name, role, _hash(name, password), service.now())
    _tell(trail, by, name, f"added as {role}", audit_messages.SECURITY_ATTRIBUTES_CHANGED)
    return name


def set_password(engine: Engine, trail: Trail, name: str, password: str, by: audit_messages.Person) -> str:
    """Change a user's password; sessions and token end. The hash that is kept from now on.

    Raises
    ------
    storage.users.BadAccount, storage.users.NoSuchUser
    """
    kept = _hash(name, password)
    users.set_password(engine, name.lower(), kept, service.now())
    _tell(trail, by, name, "password changed", audit_messages.SECURITY_ATTRIBUTES_CHANGED)
    return kept


def set_role(engine: Engine, trail: Trail, name: str, role: Role, by: audit_messages.Person) -> None:
    """Change a user's role; sessions end.

    Raises
    ------
    storage.users.NoSuchUser
    """
    users.set_role(engine, name.lower(), role, service.now())
    _tell(trail, by, name, f"role {role}", audit_messages.SECURITY_ROLES_CHANGED)


def remove(engine: Engine, trail: Trail, name: str, by: audit_messages.Person) -> None:
    """Remove a user; sessions and token end.

    Raises
    ------
    storage.users.NoSuchUser
    """
    users.remove(engine, name.lower())
    _tell(trail, by, name, "removed", audit_messages.SECURITY_ATTRIBUTES_CHANGED)


def make_token(engine: Engine, trail: Trail, name: str, by: audit_messages.Person) -> str:
    """A new token for a user's programs, in the place of the one before; nobody can look it up later.

    Raises
    ------
    storage.users.NoSuchUser
    """
    token = f"firstread_{secrets.token_urlsafe(32)}"
    users.set_token(engine, name.lower(), digest(token), service.now())
    _tell(trail, by, name, "token made", audit_messages.SECURITY_ATTRIBUTES_CHANGED)
    return token


def digest(token: str) -> str:
    """What is kept of a random token: SHA-256, hexadecimal; it needs no slow hash, as a password does."""
    return hashlib.sha256(token.encode()).hexdigest()


def fitting_hash(engine: Engine, name: str, password: str) -> str | None:
    """The hash that is kept of a user's password, if `password` is it.

    A name that nobody has takes as long as a wrong password. Parameters of an older release are renewed.
    """
    try:
        with database.reading(engine) as connection:
            kept = users.get(connection, name).password_hash
    except NoSuchUser:
        kept = _OF_NOBODY
    try:
        with _HASHING:
            _HASHER.verify(kept, password)
    except argon2.exceptions.VerifyMismatchError:
        return None
    if _HASHER.check_needs_rehash(kept):
        with _HASHING:
            renewed = _HASHER.hash(password)
        users.renew_hash(engine, name, kept, renewed)
        return renewed
    return kept


def require_login(config: Config, engine: Engine) -> None:
    """See that nobody on another machine gets at the console without having been asked who he is.

    Raises
    ------
    NoLogin
    """
    if not is_open(config, engine) or is_loopback(config.console.host):
        return
    raise NoLogin(
        f"[console] host: {config.console.host} is reached from other machines and nobody can log in; "
        "expected 127.0.0.1, a user (firstread users add NAME --role admin), [oidc] issuer, or "
        "[console] proxy_user_header"
    )


def is_open(config: Config, engine: Engine) -> bool:
    """Whether there is no user, and no one who vouches for users."""
    if config.oidc.issuer or config.console.proxy_user_header:
        return False
    with database.reading(engine) as connection:
        return not users.are_there(connection)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hash(name: str, password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadAccount(
            f"a password of {len(password)} characters, expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
        )
    if name.lower() in password.lower() and len(password) - len(name) < SHORTEST_PASSWORD // 2:
        raise BadAccount("a password that is hardly more than the name, expected another")
    with _HASHING:
        return _HASHER.hash(password)


def _tell(trail: Trail, by: audit_messages.Person, name: str, what: str, kind: audit_messages.Code) -> None:
    trail.record(audit_messages.security_alert(trail.source, by, name.lower(), what, kind, service.now()))
