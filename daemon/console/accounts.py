"""Pages of the local users: an admin's list of them, and everybody's own password."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from daemon import accounts, service
from daemon.console import audit, identity, login, pages, users
from daemon.console.access import Admin, User, Viewer
from daemon.console.site import Database
from storage import database, sessions
from storage.states import Role
from storage.users import BadAccount, NoSuchUser, UserExists, all_by_name

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form()]


@router.get("/users", response_class=HTMLResponse)
def show(request: Request, admin: Admin, engine: Database) -> Response:
    """Every local user, and the forms to change them."""
    return _list(request, admin, engine)


@router.post("/users")
def change(
    request: Request,
    admin: Admin,
    engine: Database,
    action: Text,
    name: Text,
    role: Text = str(Role.VIEWER),
    password: Text = "",
) -> Response:
    """Do what the API does, and show the list again."""
    if role.upper() not in Role.__members__:
        raise HTTPException(422, f"found role {role!r}, expected one of {', '.join(map(str, Role))}")
    try:
        match action:
            case "add":
                users.add(request, admin, engine, users.NewUser(name=name, role=role, password=password))
            case "role":
                users.set_role(request, admin, engine, name, users.NewRole(role=role))
            case "password":
                users.set_password(request, admin, engine, name, users.NewPassword(password=password))
            case "remove":
                users.remove(request, admin, engine, name)
            case _:
                raise HTTPException(422, f"found action {action!r}, expected add, role, password or remove")
    except (BadAccount, UserExists, NoSuchUser) as error:
        return _list(request, admin, engine, f"{name}: {error}", 422)
    except HTTPException as error:
        return _list(request, admin, engine, error.detail, error.status_code)
    return RedirectResponse("/users", 303)


@router.get("/account", response_class=HTMLResponse)
def show_own(request: Request, user: Viewer) -> Response:
    """The form for one's own password."""
    return pages.page(request, user, "account.html", fault="")


@router.post("/account")
def change_own(
    request: Request, user: Viewer, engine: Database, old: Text, new: Text, again: Text
) -> Response:
    """Change one's own password; other sessions of this user end, and the token."""
    if new != again:
        return _own(request, user, "The new password was not the same twice.")
    address = identity.address_of(request)
    request.app.state.limits.take(address, user.name)
    if accounts.fitting_hash(engine, user.name, old) is None:
        audit.authentication_failed(request, user.name)
        return _own(request, user, "The old password is not that of this user.")
    request.app.state.limits.forgive(address, user.name)
    try:
        kept = accounts.set_password(
            engine, request.app.state.trail, user.name, new, audit.person(request, user.name)
        )
    except BadAccount as error:
        return _own(request, user, f"Found {error}.")
    browser = secrets.token_urlsafe(32)
    sessions.open_by_password(engine, accounts.digest(browser), user.name, kept, service.now())
    return login.entered(request, user, browser, "/")


def _own(request: Request, user: User, fault: str) -> Response:
    page = pages.page(request, user, "account.html", fault=fault)
    page.status_code = 422
    return page


def _list(request: Request, admin: User, engine: Database, fault: str = "", status: int = 200) -> Response:
    with database.reading(engine) as connection:
        rows = all_by_name(connection)
    page = pages.page(
        request, admin, "users.html", rows=rows, roles=list(map(str, Role)), fault=fault,
        shortest=accounts.SHORTEST_PASSWORD,
    )  # fmt: skip
    page.status_code = status
    return page
