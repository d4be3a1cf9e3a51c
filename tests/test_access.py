"""Who gets into the console and what each may do, by HTTP to the process itself."""

import datetime
import http.client
import itertools
import json
import re

import pytest
import requests
import servers
from node import Node
from test_tls import Authority
from visitor import PASSWORD, SECONDS, Visitor, add_user, token_of

from daemon.console import identity
from storage import database, sessions, users
from storage.states import Role


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A node whose console runs, with a user of each role."""
    node = Node(
        tmp_path_factory.mktemp("console"),
        tables={
            "console": {
                "host_names": ["console.example.org"], "proxy_user_header": "X-Remote-User",
                "proxy_role_header": "X-Remote-Role", "trusted_proxies": ["127.0.0.2"],
            }
        },
    )  # fmt: skip
    node.migrate()
    for role in Role:
        add_user(node, f"a-{role}", role)
    with node.running("console"):
        yield node
    node.engine.dispose()


@pytest.fixture
def admin(console):
    visitor = Visitor(console)
    assert visitor.log_in("a-admin").status_code == 303
    return visitor


@pytest.fixture
def user(console, request):
    """A user of the test's own, whom it may lock out, change and remove."""
    name = f"user-{abs(hash(request.node.name))}"
    add_user(console, name, Role.READER)
    return name


def changed(console, visitor, name, method, path, body=None):
    """An admin's change of a user, by the API."""
    return visitor.http.request(
        method, f"{visitor.url}/api/users/{name}{path}", json=body, timeout=SECONDS,
        headers={"X-CSRF-Token": visitor.token("/absent")},
    )  # fmt: skip


def test_whoever_is_unknown_is_sent_to_the_login_and_back_to_where_he_wanted(console):
    visitor = Visitor(console)
    sent = visitor.get("/node?since=today")
    assert (sent.status_code, sent.headers["Location"]) == (303, "/login?next=/node%3Fsince%3Dtoday")
    shown = visitor.get(sent.headers["Location"]).text
    assert '<input type="hidden" name="next" value="/node?since=today">' in shown
    assert visitor.log_in("a-viewer", target="/node?since=today").headers["Location"] == "/node?since=today"
    assert visitor.me() == (200, {"name": "a-viewer", "role": "viewer"})


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\tx", ""]
)
def test_a_login_leads_to_no_other_site(target, console):
    assert Visitor(console).log_in("a-viewer", target=target).headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/api/me", "/api/users", "/api/openapi.json", "/api/absent", "/absent"])
def test_programs_that_are_unknown_get_401_for_whatever_they_ask(path, console):
    found = requests.get(f"http://127.0.0.1:{console.console_port}{path}", timeout=SECONDS)
    assert (found.status_code, found.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert found.json() == {"detail": "found no login, expected a session or a token"}


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("reader", 403), ("admin", 200)])
def test_only_an_admin_sees_the_users(role, status, console):
    visitor = Visitor(console)
    visitor.log_in(f"a-{role}")
    found = visitor.get("/api/users")
    assert found.status_code == status
    if status == 403:
        assert found.json() == {"detail": f"found role {role}, expected admin"}


def test_a_wrong_password_and_an_unknown_name_are_told_alike(console, user):
    answers = [Visitor(console).log_in(name, "not the password") for name in (user, "nobody-at-all")]
    assert [answer.status_code for answer in answers] == [403, 403]
    told = [re.sub(r'content="\w+"|value="[^"]*"', "", answer.text) for answer in answers]
    assert told[0] == told[1]
    assert "do not belong together" in told[0]


def test_the_browsers_value_is_another_after_the_login_and_no_script_can_read_it(console):
    visitor = Visitor(console)
    visitor.get("/login")
    before = visitor.http.cookies["firstread"]
    cookie = visitor.log_in("a-viewer").headers["Set-Cookie"]
    assert visitor.http.cookies["firstread"] != before
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    stranger = Visitor(console)
    stranger.http.cookies.set("firstread", before)
    assert stranger.me()[0] == 401


def test_logout_ends_the_session_and_not_the_cookie_alone(console, user):
    visitor = Visitor(console)
    visitor.log_in(user)
    kept = visitor.http.cookies["firstread"]
    assert visitor.post("/logout", data={"csrf_token": visitor.token("/absent")}).status_code == 303
    thief = Visitor(console)
    thief.http.cookies.set("firstread", kept)
    assert thief.me()[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/password", {"password": "another long password"}),
        ("PUT", "/role", {"role": "viewer"}),
        ("DELETE", "", None),
    ],
)
def test_what_is_taken_from_a_user_ends_the_session_at_once(method, path, body, console, admin, user):
    visitor = Visitor(console)
    visitor.log_in(user)
    token = token_of(console, user)
    assert visitor.me()[0] == 200
    assert changed(console, admin, user, method, path, body).status_code == 204
    assert visitor.me()[0] == 401
    kept_out = requests.get(
        f"{visitor.url}/api/me", headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS
    )
    assert kept_out.status_code == (200 if path == "/role" else 401)


def streaming(visitor):
    """Lines of the visitor's own event stream, which has begun."""
    lines = visitor.get("/live", stream=True).iter_lines(decode_unicode=True)
    assert next(line for line in lines if line == "event: pulse")
    return lines


def pulses_until_its_end(lines, most=6):
    """Pulses, one a second, that came before the stream ended; `most` of a stream that goes on."""
    return sum(1 for _ in itertools.islice((line for line in lines if line == "event: pulse"), most))


def test_the_stream_of_an_open_page_ends_with_its_session_and_no_other_does(console, admin, user):
    leaving, staying = Visitor(console), Visitor(console)
    leaving.log_in(user)
    staying.log_in(user)
    program = Visitor(console, {"Authorization": f"Bearer {token_of(console, user)}"})
    left, stayed, told = streaming(leaving), streaming(staying), streaming(program)
    assert leaving.post("/logout", data={"csrf_token": leaving.token("/absent")}).status_code == 303
    assert pulses_until_its_end(left) < 6
    assert [pulses_until_its_end(one) for one in (stayed, told)] == [6, 6]
    assert changed(console, admin, user, "DELETE", "").status_code == 204
    assert max(pulses_until_its_end(one, 12) for one in (stayed, told)) < 12


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(console, user):
    visitor = Visitor(console)
    for column, ago in (("seen_at", {"minutes": 61}), ("opened_at", {"hours": 13})):
        visitor.log_in(user)
        assert visitor.me()[0] == 200
        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(**ago)
        with console.engine.begin() as connection:
            connection.execute(
                sessions.user_session.update()
                .where(sessions.user_session.c.user_name == user)
                .values({column: then})
            )
        assert visitor.me()[0] == 401


def test_use_keeps_a_session_alive(console, user):
    visitor = Visitor(console)
    visitor.log_in(user)
    ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=59)
    mine = sessions.user_session.c.user_name == user
    with console.engine.begin() as connection:
        connection.execute(sessions.user_session.update().where(mine).values(seen_at=ago))
    assert visitor.me()[0] == 200
    with database.reading(console.engine) as connection:
        (row,) = connection.execute(sessions.user_session.select().where(mine)).all()
    assert row.seen_at > ago + datetime.timedelta(minutes=58)


@pytest.mark.parametrize("given", [None, "", "0" * 64, "é"])
def test_a_form_without_the_browsers_own_token_changes_nothing(given, console, admin):
    headers = {} if given is None else {"X-CSRF-Token": given.encode()}
    refused = admin.post("/api/users/a-viewer/token", headers=headers)
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("found no token of this browser's own page")
    assert admin.post("/logout", data={"csrf_token": "0" * 64}).status_code == 403
    assert admin.me()[0] == 200


def test_the_token_of_another_browser_is_none(console, admin):
    other = Visitor(console)
    other.log_in("a-admin")
    assert admin.post("/logout", data={"csrf_token": other.token("/absent")}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_what_a_browser_sends_for_another_site_is_refused(headers, console, admin):
    headers = headers | {"X-CSRF-Token": admin.token("/absent")}
    refused = admin.post("/logout", headers=headers)
    assert (refused.status_code, "another site" in refused.text) == (403, True)
    assert admin.me()[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "console.example.org.evil.example", "", "[::1"])
def test_a_name_that_is_not_ours_is_not_answered(host, console):
    found = requests.get(
        f"http://127.0.0.1:{console.console_port}/login", headers={"Host": host}, timeout=SECONDS
    )
    assert found.status_code in (400, 421)
    assert "csrf" not in found.text


@pytest.mark.parametrize(
    "host", ["console.example.org", "Console.Example.org:8042", "10.1.2.3", "[::1]:8042"]
)
def test_our_names_and_addresses_are_answered(host, console):
    found = requests.get(
        f"http://127.0.0.1:{console.console_port}/login", headers={"Host": host}, timeout=SECONDS
    )
    assert found.status_code == 200


@pytest.mark.parametrize("path", ["/login", "/api/me", "/static/base.css", "/absent"])
def test_every_answer_forbids_foreign_scripts_frames_and_guesses(path, console, admin):
    headers = admin.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_a_user_who_fails_too_often_waits_and_is_told_how_long(console, user):
    visitor = Visitor(console)
    burst, seconds = identity.OF_USER
    assert [visitor.log_in(user, "wrong").status_code for _ in range(burst)] == [403] * burst
    refused = visitor.log_in(user)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= seconds
    assert f"try again in {refused.headers['Retry-After']} s" in refused.text
    assert Visitor(console).log_in("a-reader").status_code == 303


def test_an_address_that_guesses_tokens_waits(console):
    proxy = {"X-Forwarded-For": "2001:db8::1"}
    statuses = [
        _from(console, "127.0.0.2", "/api/me", proxy | {"Authorization": f"Bearer {number}"})[0]
        for number in range(identity.OF_ADDRESS[0] + 1)
    ]
    assert set(statuses[:-1]) == {401}
    assert statuses[-1] == 429
    neighbour = {"X-Forwarded-For": "2001:db8::2", "Authorization": "Bearer x"}
    assert _from(console, "127.0.0.2", "/api/me", neighbour)[0] == 429
    stranger = {"X-Forwarded-For": "2001:db8:0:1::2", "Authorization": "Bearer x"}
    assert _from(console, "127.0.0.2", "/api/me", stranger)[0] == 401


def test_a_body_that_is_too_large_is_refused(console, admin):
    token = {"X-CSRF-Token": admin.token("/absent")}
    refused = admin.post("/api/users", headers=token, json={"name": "x" * (1 << 20)})
    assert refused.status_code == 413


def test_a_body_of_somebody_unknown_is_not_waited_for(console):
    connection = http.client.HTTPConnection("127.0.0.1", console.console_port, timeout=SECONDS)
    connection.putrequest("POST", "/api/users")
    connection.putheader("Content-Length", str(1 << 19))
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def _from(console, address, path, headers):
    """Status and body of a request that comes from an address of this machine."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", console.console_port, timeout=SECONDS, source_address=(address, 0)
    )
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_the_header_of_a_trusted_proxy_names_the_user(console):
    named = {"X-Remote-User": "dr.kim", "X-Remote-Role": "Reader"}
    assert _from(console, "127.0.0.2", "/api/me", named) == (200, {"name": "dr.kim", "role": "reader"})


def test_the_same_header_from_anywhere_else_is_worth_nothing(console):
    named = {"X-Remote-User": "dr.kim", "X-Remote-Role": "admin"}
    assert _from(console, "127.0.0.1", "/api/me", named)[0] == 401
    forged = named | {"X-Forwarded-For": "127.0.0.2"}
    assert _from(console, "127.0.0.1", "/api/me", forged)[0] == 401


def test_a_role_that_nobody_has_is_none(console):
    status, said = _from(console, "127.0.0.2", "/api/me", {"X-Remote-User": "kim", "X-Remote-Role": "root"})
    assert (status, said) == (
        403, {"detail": "found role 'root' of kim, expected viewer, reader, admin"}
    )  # fmt: skip


def test_a_program_with_a_token_needs_no_page(console, user, admin):
    token = token_of(console, user)
    with database.reading(console.engine) as connection:
        assert token not in str(users.get(connection, user))
    asked = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": SECONDS}
    assert requests.get(f"{admin.url}/api/me", **asked).json() == {"name": user, "role": "reader"}
    assert requests.delete(f"{admin.url}/api/users/{user}", **asked).status_code == 403
    newer = token_of(console, user)
    assert requests.get(f"{admin.url}/api/me", **asked).status_code == 401
    assert newer != token


def test_the_only_admin_cannot_take_the_console_away_from_himself(console, admin):
    for method, path, body in (("DELETE", "", None), ("PUT", "/role", {"role": "reader"})):
        refused = changed(console, admin, "a-admin", method, path, body)
        assert (refused.status_code, refused.json()) == (
            409, {"detail": "a-admin is the only admin; expected another one first"}
        )  # fmt: skip


def test_no_password_token_or_user_name_stands_in_the_log(console):
    log = console.log_text()
    assert PASSWORD not in log and "a-admin" not in log and "Bearer" not in log
    assert "login from 127.0.0.1 refused" in log


def test_on_loopback_without_users_whoever_is_here_is_admin_until_there_is_one(tmp_path):
    node = Node(tmp_path)
    with node.running("console"):
        visitor = Visitor(node)
        assert visitor.me() == (200, {"name": "local", "role": "admin"})
        assert visitor.get("/login").status_code == 303
        through_a_proxy = visitor.get("/api/me", headers={"X-Forwarded-For": "10.0.0.1"})
        assert (through_a_proxy.status_code, "through a proxy" in through_a_proxy.text) == (403, True)
        refused = visitor.post("/api/users", json={"name": "kim", "role": "admin", "password": PASSWORD})
        assert refused.status_code == 403
        watched = streaming(visitor)
        add_user(node, "kim", Role.ADMIN)
        assert visitor.me()[0] == 401
        assert pulses_until_its_end(watched) < 6
        assert visitor.log_in("kim").status_code == 303
    node.engine.dispose()


@pytest.mark.parametrize("verb", ["console", "run"])
def test_nobody_on_another_machine_gets_in_unasked(verb, tmp_path):
    node = Node(tmp_path, tables={"console": {"host": "0.0.0.0"}})
    done = node.firstread(verb)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("firstread: ")]
    assert line == (
        "firstread: [console] host: 0.0.0.0 is reached from other machines and nobody can log in; expected "
        "127.0.0.1, a user (firstread users add NAME --role admin), [oidc] issuer, or [console] "
        "proxy_user_header"
    )
    assert not servers.accepts(node.console_port)
    node.engine.dispose()


def test_by_tls_the_cookie_is_for_tls_alone(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server")
    node = Node(tmp_path, tables={"console": {"certificate_file": certificate, "key_file": key}})
    node.migrate()
    add_user(node, "kim", Role.READER)
    with node.running("console"):
        visitor = Visitor(node, scheme="https")
        visitor.http.verify = str(authority.certificate)
        cookie = visitor.log_in("kim").headers["Set-Cookie"]
        assert cookie.startswith("__Host-firstread=")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        assert visitor.me()[0] == 200
        checked = node.firstread("check").stdout
    node.engine.dispose()
    assert f"ok      console: 127.0.0.1:{node.console_port}, 1 local users, {certificate} until" in checked
