"""Who is logged in to the console. A session is a row: without it, what a browser shows is worth nothing."""

import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, or_, select, update

from storage.states import Role
from storage.tables import user_account, user_session


def open_by_password(
    engine: Engine, digest: str, name: str, password_hash: str, now: datetime.datetime
) -> Role | None:
    """A session of a local user whose password was found to fit `password_hash`.

    Returns
    -------
    Role or None
        None, and no session, if the password was changed or the user removed since.
    """
    with engine.begin() as connection:
        logged_in = connection.execute(
            update(user_account)
            .where(user_account.c.name == name, user_account.c.password_hash == password_hash)
            .values(login_at=now)
        )
        if logged_in.rowcount == 0:
            return None
        role = connection.execute(select(user_account.c.role).where(user_account.c.name == name)).scalar_one()
        _insert(connection, digest, name, role, "", now)
    return Role[role.upper()]


def open_by_issuer(
    engine: Engine, digest: str, name: str, role: Role, issuer: str, now: datetime.datetime
) -> None:
    """A session of a user that `issuer` vouched for."""
    with engine.begin() as connection:
        _insert(connection, digest, name, str(role), issuer, now)


def _insert(
    connection: Connection, digest: str, name: str, role: str, issuer: str, now: datetime.datetime
) -> None:
    connection.execute(
        user_session.insert().values(
            digest=digest, user_name=name, role=role, issuer=issuer, opened_at=now, seen_at=now
        )
    )


def find(
    connection: Connection, digest: str, opened_after: datetime.datetime, seen_after: datetime.datetime
) -> Row[Any] | None:
    """The session of a digest, unless it is too old or idle for too long."""
    return connection.execute(
        select(user_session).where(
            user_session.c.digest == digest,
            user_session.c.opened_at > opened_after,
            user_session.c.seen_at > seen_after,
        )
    ).one_or_none()


def touch(engine: Engine, digest: str, now: datetime.datetime) -> None:
    """Note that a session is in use."""
    with engine.begin() as connection:
        connection.execute(update(user_session).where(user_session.c.digest == digest).values(seen_at=now))


def close(engine: Engine, digest: str) -> None:
    """End a session, if it is there."""
    with engine.begin() as connection:
        connection.execute(delete(user_session).where(user_session.c.digest == digest))


def remove_ended(engine: Engine, opened_before: datetime.datetime, seen_before: datetime.datetime) -> None:
    """Remove the sessions that `find` would not give any more."""
    with engine.begin() as connection:
        connection.execute(
            delete(user_session).where(
                or_(user_session.c.opened_at <= opened_before, user_session.c.seen_at <= seen_before)
            )
        )
