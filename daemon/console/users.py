"""The local users, for admins; and who oneself is."""

import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, Field

from daemon import accounts
from daemon.console import audit
from daemon.console.access import Admin, Viewer
from daemon.console.site import Database
from storage import database, users
from storage.states import Role

router = APIRouter()
Name = Annotated[str, Path(min_length=1, max_length=64)]
RoleName = Annotated[str, Field(pattern=f"^({'|'.join(map(str, Role))})$")]


class Me(BaseModel):
    """Who asks."""

    name: str
    role: RoleName


class Account(BaseModel):
    """A local user."""

    name: str
    role: RoleName
    has_token: bool
    created_at: datetime.datetime
    login_at: datetime.datetime | None


class NewUser(BaseModel):
    """A user to add."""

    name: str
    role: RoleName
    password: str


class NewPassword(BaseModel):
    """A password in the place of another."""

    password: str


class NewRole(BaseModel):
    """A role in the place of another."""

    role: RoleName


class Token(BaseModel):
    """A token for programs; it is shown this once."""

    token: str


@router.get("/api/me")
def me(user: Viewer) -> Me:
    """Who asks, and as what."""
    return Me(name=user.name, role=str(user.role))


@router.get("/api/users")
def list_all(_admin: Admin, engine: Database) -> list[Account]:
    """Every local user."""
    with database.reading(engine) as connection:
        return [_account(row) for row in users.all_by_name(connection)]


@router.post("/api/users", status_code=201)
def add(request: Request, admin: Admin, engine: Database, new: NewUser) -> Account:
    """Add a local user."""
    trail, by, role = request.app.state.trail, audit.person(request, admin.name), Role[new.role.upper()]
    name = accounts.add(engine, trail, new.name, role, new.password, by)
    with database.reading(engine) as connection:
        return _account(users.get(connection, name))


@router.put("/api/users/{name}/role", status_code=204)
def set_role(request: Request, admin: Admin, engine: Database, name: Name, new: NewRole) -> None:
    """Change a user's role; the user has to log in again."""
    role = Role[new.role.upper()]
    if role != Role.ADMIN:
        _require_another_admin(engine, name)
    accounts.set_role(engine, request.app.state.trail, name, role, audit.person(request, admin.name))


@router.put("/api/users/{name}/password", status_code=204)
def set_password(request: Request, admin: Admin, engine: Database, name: Name, new: NewPassword) -> None:
    """Change a user's password; the user has to log in again, and has no token any more."""
    by = audit.person(request, admin.name)
    accounts.set_password(engine, request.app.state.trail, name, new.password, by)


@router.post("/api/users/{name}/token", status_code=201)
def make_token(request: Request, admin: Admin, engine: Database, name: Name) -> Token:
    """Make a token for a user's programs, in the place of the one before."""
    by = audit.person(request, admin.name)
    return Token(token=accounts.make_token(engine, request.app.state.trail, name, by))


@router.delete("/api/users/{name}", status_code=204)
def remove(request: Request, admin: Admin, engine: Database, name: Name) -> None:
    """Remove a user."""
    _require_another_admin(engine, name)
    accounts.remove(engine, request.app.state.trail, name, audit.person(request, admin.name))


def _require_another_admin(engine: database.Engine, name: str) -> None:
    """Whoever takes the last admin away here could not undo it here."""
    with database.reading(engine) as connection:
        admins = [row.name for row in users.all_by_name(connection) if row.role == str(Role.ADMIN)]
    if admins == [name.lower()]:
        raise HTTPException(409, f"{name} is the only admin; expected another one first")


def _account(row: Any) -> Account:
    return Account(
        name=row.name, role=row.role, has_token=row.token_digest is not None,
        created_at=row.created_at, login_at=row.login_at,
    )  # fmt: skip
