"""Verbs of ``firstread users``: who may log in to the console by a password."""

import argparse
import getpass
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from storage.states import Role

if TYPE_CHECKING:
    from daemon.audit_messages import Person
    from daemon.audit_trail import Trail
    from storage.database import Engine


def register(users: argparse.ArgumentParser, add_verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Give the verb ``users`` its own verbs, each by `add_verb` with text and example."""
    verbs = users.add_subparsers(required=True, metavar="VERB")
    roles = [str(role) for role in Role]

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        added = add_verb(verbs, name, run, text, f"users {name} {example}")
        added.add_argument("name", metavar="NAME")
        return added

    add_verb(verbs, "list", list_all, "every user, role, last login", "users list")
    text = "add a user; the password is asked for, or the first line of standard input"
    added = verb("add", add, text, "reading-desk-2 --role reader")
    added.add_argument("--role", choices=roles, required=True, help="a viewer sees no patient identity")
    verb("password", password, "change a password; the user's sessions and token end", "reading-desk-2")
    text = "change a role; the user's sessions end"
    verb("role", role, text, "reading-desk-2 viewer").add_argument("role", choices=roles)
    verb("token", token, "make a token for the user's programs, in the place of the one before", "worklist")
    verb("remove", remove, "remove a user; sessions and token end", "reading-desk-2")


def list_all(options: argparse.Namespace) -> int:
    """Show every user."""
    from daemon import cli_jobs, service
    from storage import database, users

    engine = service.look_into_database(cli_jobs.config_of(options).storage)
    with database.reading(engine) as connection:
        for row in users.all_by_name(connection):
            login = f"{row.login_at.astimezone():%Y-%m-%d %H:%M:%S}" if row.login_at else "never"
            print(
                f"{row.name:24} {row.role:8} last login {login}{', has a token' if row.token_digest else ''}"
            )
    return 0


def add(options: argparse.Namespace) -> int:
    """Add a user."""
    from daemon import accounts

    engine, trail, by = _open(options)
    with trail:
        name = accounts.add(engine, trail, options.name, Role[options.role.upper()], _password(), by)
    print(f"{name}: added as {options.role}")
    return 0


def password(options: argparse.Namespace) -> int:
    """Change a user's password."""
    from daemon import accounts

    engine, trail, by = _open(options)
    with trail:
        accounts.set_password(engine, trail, options.name, _password(), by)
    print(f"{options.name}: password changed; sessions and token have ended")
    return 0


def role(options: argparse.Namespace) -> int:
    """Change a user's role."""
    from daemon import accounts

    engine, trail, by = _open(options)
    with trail:
        accounts.set_role(engine, trail, options.name, Role[options.role.upper()], by)
    print(f"{options.name}: {options.role}; sessions have ended")
    return 0


def token(options: argparse.Namespace) -> int:
    """Make a token and show it."""
    from daemon import accounts

    engine, trail, by = _open(options)
    with trail:
        print(accounts.make_token(engine, trail, options.name, by))
    print("shown this once; programs send it as: Authorization: Bearer TOKEN", file=sys.stderr)
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove a user."""
    from daemon import accounts, cli_jobs

    engine, trail, by = _open(options)
    with trail:
        accounts.remove(engine, trail, options.name, by)
    print(f"{options.name}: removed; sessions and token have ended")
    if accounts.is_open(cli_jobs.config_of(options), engine):
        print("nobody is left who could log in: whoever is on this machine is admin of its console")
    return 0


def _open(options: argparse.Namespace) -> "tuple[Engine, Trail, Person]":
    from daemon import cli_jobs, service
    from daemon.audit_messages import Person
    from daemon.audit_trail import Trail

    service.configure_logging()
    config = cli_jobs.config_of(options)
    return service.open_storage(config.storage)[0], Trail(config), Person(getpass.getuser())


def _password() -> str:
    """From the terminal, twice and unseen, or the first line of standard input; never an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from storage.users import BadAccount

    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise BadAccount("two passwords, expected the same one twice")
    return first
