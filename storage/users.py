"""Local users of the console. What a change takes from somebody ends that user's sessions with it."""

import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from storage.states import Role
from storage.tables import user_account, user_session


class BadAccount(ValueError):
    """A name or password that cannot be taken."""


class NoSuchUser(LookupError):
    """A name that no local user has."""


class UserExists(ValueError):
    """A name that a local user has already."""


def add(engine: Engine, name: str, role: Role, password_hash: str, now: datetime.datetime) -> None:
    """Add a user.

    Raises
    ------
    UserExists
    """
    try:
        with engine.begin() as connection:
            connection.execute(
                user_account.insert().values(
                    name=name, role=str(role), password_hash=password_hash, created_at=now, changed_at=now
                )
            )
    except IntegrityError:
        raise UserExists(f"user {name} is there already, expected a new name") from None


def all_by_name(connection: Connection) -> Sequence[Row[Any]]:
    """Every user."""
    return connection.execute(select(user_account).order_by(user_account.c.name)).all()


def are_there(connection: Connection) -> bool:
    """Whether there is any user."""
    return connection.execute(select(user_account.c.name).limit(1)).first() is not None


def get(connection: Connection, name: str) -> Row[Any]:
    """The row of one user.

    Raises
    ------
    NoSuchUser
    """
    row = connection.execute(select(user_account).where(user_account.c.name == name)).one_or_none()
    if row is None:
        raise NoSuchUser(f"no user {name}")
    return row


def by_token(connection: Connection, digest: str) -> Row[Any] | None:
    """The user whose programs hold a token; `digest` is its SHA-256, hexadecimal."""
    return connection.execute(select(user_account).where(user_account.c.token_digest == digest)).one_or_none()


def set_password(engine: Engine, name: str, password_hash: str, now: datetime.datetime) -> None:
    """Give a user another password; the token goes with the old one.

    Raises
    ------
    NoSuchUser
    """
    _change(engine, name, now, password_hash=password_hash, token_digest=None)


def set_role(engine: Engine, name: str, role: Role, now: datetime.datetime) -> None:
    """Give a user another role.

    Raises
    ------
    NoSuchUser
    """
    _change(engine, name, now, role=str(role))


def set_token(engine: Engine, name: str, digest: str, now: datetime.datetime) -> None:
    """Give a user's programs a token in the place of the one before.

    Raises
    ------
    NoSuchUser
    """
    with engine.begin() as connection:
        _update(connection, name, token_digest=digest, changed_at=now)


def renew_hash(engine: Engine, name: str, old: str, new: str) -> None:
    """Keep the same password with other parameters, unless it was changed meanwhile."""
    with engine.begin() as connection:
        connection.execute(
            update(user_account)
            .where(user_account.c.name == name, user_account.c.password_hash == old)
            .values(password_hash=new)
        )


def remove(engine: Engine, name: str) -> None:
    """Remove a user.

    Raises
    ------
    NoSuchUser
    """
    with engine.begin() as connection:
        _end_sessions(connection, name)
        gone = connection.execute(delete(user_account).where(user_account.c.name == name))
        if gone.rowcount == 0:
            raise NoSuchUser(f"no user {name}")


def _change(engine: Engine, name: str, now: datetime.datetime, **values: object) -> None:
    with engine.begin() as connection:
        _update(connection, name, changed_at=now, **values)
        _end_sessions(connection, name)


def _update(connection: Connection, name: str, **values: object) -> None:
    changed = connection.execute(update(user_account).where(user_account.c.name == name).values(**values))
    if changed.rowcount == 0:
        raise NoSuchUser(f"no user {name}")


def _end_sessions(connection: Connection, name: str) -> None:
    connection.execute(
        delete(user_session).where(user_session.c.user_name == name, user_session.c.issuer == "")
    )
