"""Local users: ``firstread users``, what is kept of them, and both kinds of database."""

import subprocess

import argon2
import pytest
from conftest import NOW
from node import Node
from visitor import PASSWORD, add_user

from daemon import accounts, config
from daemon.audit_messages import Person
from daemon.audit_trail import Trail
from storage import backup, database, sessions, users
from storage.spool import Spool
from storage.states import Role
from storage.tables import user_session
from storage.users import BadAccount, NoSuchUser, UserExists

WEAK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def plain(tmp_path):
    """A node without peers."""
    node = Node(tmp_path)
    yield node
    node.engine.dispose()


@pytest.fixture
def trail(tmp_path):
    return Trail(config.parse({"audit": {"folder": str(tmp_path / "audit")}}, "test"))


def session_names(engine) -> list[str]:
    with database.reading(engine) as connection:
        return [row.user_name for row in connection.execute(user_session.select()).all()]


def run(node, *arguments, given=""):
    """A verb with standard input; status, answers, errors."""
    done = subprocess.run(
        node.command("users", *arguments),
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_users_are_added_listed_changed_and_removed(plain):
    assert run(plain, "add", "Kim", "--role", "reader", given=f"{PASSWORD}\n") == (
        0, ["kim: added as reader"], [],
    )  # fmt: skip
    assert run(plain, "add", "kim", "--role", "admin", given=f"{PASSWORD}\n") == (
        1, [], ["firstread: user kim is there already, expected a new name"],
    )  # fmt: skip
    assert run(plain, "role", "kim", "admin") == (0, ["kim: admin; sessions have ended"], [])
    status, (token,), errors = run(plain, "token", "kim")
    assert (status, errors) == (
        0, ["shown this once; programs send it as: Authorization: Bearer TOKEN"]
    )  # fmt: skip
    (line,) = run(plain, "list")[1]
    assert line.split() == ["kim", "admin", "last", "login", "never,", "has", "a", "token"]
    assert run(plain, "remove", "kim") == (
        0,
        [
            "kim: removed; sessions and token have ended",
            "nobody is left who could log in: whoever is on this machine is admin of its console",
        ],
        [],
    )
    assert run(plain, "role", "kim", "viewer") == (1, [], ["firstread: no user kim"])
    assert token not in (plain.folder / "audit" / "audit.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("kim", "short", "a password of 5 characters, expected 12 to 256"),
        ("kim", "", "a password of 0 characters, expected 12 to 256"),
        ("kim", "x" * 257, "a password of 257 characters, expected 12 to 256"),
        (
            "kimberley.long",
            "kimberley.long1",
            "a password that is hardly more than the name, expected another",
        ),
        ("kim lee", PASSWORD, "name 'kim lee', expected 1 to 64 letters, digits and . _ - @"),
        ("", PASSWORD, "name '', expected 1 to 64 letters, digits and . _ - @"),
    ],
)
def test_a_name_or_password_that_cannot_be_taken_is_told_in_one_line(name, password, said, engine, trail):
    with pytest.raises(BadAccount) as told:
        accounts.add(engine, trail, name, Role.READER, password, Person("root"))
    assert str(told.value) == said
    with database.reading(engine) as connection:
        assert not users.are_there(connection)


def test_a_password_is_kept_as_argon2id_and_no_two_alike(engine, trail):
    for name in ("kim", "lee"):
        accounts.add(engine, trail, name, Role.READER, PASSWORD, Person("root"))
    with database.reading(engine) as connection:
        kept = [row.password_hash for row in users.all_by_name(connection)]
    assert all(one.startswith("$argon2id$") for one in kept) and kept[0] != kept[1]
    assert accounts.fitting_hash(engine, "kim", PASSWORD) == kept[0]
    assert accounts.fitting_hash(engine, "kim", PASSWORD + "r") is None
    assert accounts.fitting_hash(engine, "nobody", PASSWORD) is None


def test_a_hash_of_other_parameters_is_renewed_at_the_next_login(engine):
    users.add(engine, "kim", Role.READER, WEAK.hash("short"), NOW)
    renewed = accounts.fitting_hash(engine, "kim", "short")
    with database.reading(engine) as connection:
        assert users.get(connection, "kim").password_hash == renewed
    assert not argon2.PasswordHasher().check_needs_rehash(renewed)
    assert accounts.fitting_hash(engine, "kim", "short") == renewed


def test_a_login_that_was_overtaken_by_a_new_password_opens_no_session(engine):
    users.add(engine, "kim", Role.READER, "old", NOW)
    users.set_password(engine, "kim", "new", NOW)
    assert sessions.open_by_password(engine, "d" * 64, "kim", "old", NOW) is None
    assert session_names(engine) == []
    assert sessions.open_by_password(engine, "d" * 64, "kim", "new", NOW) == Role.READER
    assert session_names(engine) == ["kim"]


@pytest.mark.parametrize(
    "change",
    [
        lambda engine: users.set_password(engine, "kim", "new", NOW),
        lambda engine: users.set_role(engine, "kim", Role.VIEWER, NOW),
        lambda engine: users.remove(engine, "kim"),
    ],
)
def test_a_change_ends_the_users_own_sessions_and_no_others(change, engine):
    users.add(engine, "kim", Role.READER, "hash", NOW)
    users.add(engine, "lee", Role.READER, "hash", NOW)
    for digest, name in (("1", "kim"), ("2", "kim"), ("3", "lee")):
        sessions.open_by_password(engine, digest, name, "hash", NOW)
    sessions.open_by_issuer(engine, "4", "kim", Role.ADMIN, "https://id.example.org", NOW)
    change(engine)
    assert sorted(session_names(engine)) == ["kim", "lee"]


def test_nobody_is_changed_under_a_name_that_nobody_has(engine):
    for change in (
        lambda: users.set_password(engine, "kim", "new", NOW),
        lambda: users.set_role(engine, "kim", Role.VIEWER, NOW),
        lambda: users.set_token(engine, "kim", "digest", NOW),
        lambda: users.remove(engine, "kim"),
    ):
        with pytest.raises(NoSuchUser, match="no user kim"):
            change()
    users.add(engine, "kim", Role.VIEWER, "hash", NOW)
    with pytest.raises(UserExists):
        users.add(engine, "kim", Role.ADMIN, "hash", NOW)


def test_a_backup_holds_the_users_and_nobody_who_is_logged_in(engine, tmp_path):
    users.add(engine, "kim", Role.READER, "hash", NOW)
    sessions.open_by_password(engine, "d" * 64, "kim", "hash", NOW)
    backup.save(engine, Spool(tmp_path / "spool"), tmp_path / "backup", NOW, ())
    copy = database.open_engine(f"sqlite:///{tmp_path / 'backup' / backup.DATABASE}")
    with database.reading(copy) as connection:
        assert [row.name for row in users.all_by_name(connection)] == ["kim"]
    assert session_names(copy) == []
    copy.dispose()


def test_check_tells_who_gets_in_and_that_passwords_are_in_the_clear(tmp_path):
    node = Node(tmp_path, tables={"console": {"host": "0.0.0.0"}})
    node.migrate()
    (before,) = [line for line in node.firstread("check").stdout.splitlines() if " console: " in line]
    assert before.startswith("PROBLEM console: [console] host: 0.0.0.0 is reached from other machines")
    add_user(node, "kim", Role.ADMIN)
    (after,) = [line for line in node.firstread("check").stdout.splitlines() if " console: " in line]
    node.engine.dispose()
    assert after == (
        f"PROBLEM console: 0.0.0.0:{node.console_port}, 1 local users; without TLS passwords can be read on "
        "their way; expected [console] certificate_file, or 127.0.0.1 and a reverse proxy"
    )
