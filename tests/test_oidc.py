"""Login by an OpenID provider, one of the tests' own that runs on loopback."""

import pytest
from joserfc.jwk import RSAKey
from node import Node
from openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider
from visitor import Visitor

TABLE = {
    "client_id": CLIENT_ID, "viewers": ["everybody"], "readers": ["radiology"], "admins": ["pacs-admins"],
}  # fmt: skip


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A node whose console runs, and its provider."""
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "secret").write_text(CLIENT_SECRET, encoding="utf-8")
    provider = OpenIdProvider()
    table = TABLE | {"issuer": provider.issuer, "client_secret_file": str(folder / "secret")}
    node = Node(folder, tables={"oidc": table})
    with node.running("console"):
        yield node, provider
    node.engine.dispose()
    provider.close()


@pytest.fixture(autouse=True)
def fresh(console):
    """A provider that makes no mistakes."""
    _, provider = console
    provider.claims = {"sub": "1", "preferred_username": "dr.kim", "roles": ["radiology"]}
    provider.mistakes, provider.key = {}, provider.published


def come_back(visitor, target="/"):
    """Go to the provider and come back; the console's answer."""
    visitor.get("/login")
    away = visitor.get(f"/login/oidc?next={target}")
    assert away.status_code == 302
    back = visitor.http.get(away.headers["Location"], allow_redirects=False, timeout=30)
    return visitor.http.get(back.headers["Location"], allow_redirects=False, timeout=30)


def test_whom_the_provider_vouches_for_is_in_with_the_role_of_the_claim(console):
    node, provider = console
    visitor = Visitor(node)
    assert 'href="/login/oidc?next=/jobs"' in visitor.get("/login?next=/jobs").text
    before = visitor.http.cookies["firstread"]
    entered = come_back(visitor, "/jobs")
    assert (entered.status_code, entered.headers["Location"]) == (303, "/jobs")
    assert visitor.me() == (200, {"name": "dr.kim", "role": "reader"})
    assert visitor.http.cookies["firstread"] != before
    asked = provider.asked[-1]
    assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "openid profile")
    assert asked["redirect_uri"] == f"{visitor.url}/login/oidc/callback"
    visitor.post("/logout", data={"csrf_token": visitor.token("/absent")})
    assert visitor.me()[0] == 401


@pytest.mark.parametrize(
    ("claimed", "role"),
    [
        ("everybody", "viewer"),
        (["everybody", "pacs-admins", "radiology"], "admin"),
        (["other"], None),
        (None, None),
        ({"radiology": 1}, None),
    ],
)
def test_of_several_roles_the_one_that_may_do_most_counts_and_without_one_nobody_gets_in(
    claimed, role, console
):
    node, provider = console
    provider.claims["roles"] = claimed
    visitor = Visitor(node)
    entered = come_back(visitor)
    if role is None:
        assert (entered.status_code, visitor.me()[0]) == (403, 401)
        assert "dr.kim has no role here" in entered.text
    else:
        assert visitor.me() == (200, {"name": "dr.kim", "role": role})


@pytest.mark.parametrize(
    "mistake",
    [
        {"nonce": "of another login"}, {"aud": "another client"}, {"iss": "http://another.example"},
        {"exp": 1_700_000_000}, {"preferred_username": ""},
    ],
    ids=str,
)  # fmt: skip
def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(mistake, console):
    node, provider = console
    provider.mistakes = mistake
    visitor = Visitor(node)
    assert come_back(visitor).status_code == 403
    assert visitor.me()[0] == 401


def test_a_token_that_somebody_else_signed_lets_nobody_in(console):
    node, provider = console
    provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    visitor = Visitor(node)
    assert come_back(visitor).status_code == 403
    assert visitor.me()[0] == 401


def test_the_way_back_is_for_the_browser_that_went_and_once(console):
    node, _ = console
    visitor, thief = Visitor(node), Visitor(node)
    visitor.get("/login")
    thief.get("/login")
    away = visitor.get("/login/oidc")
    back = visitor.http.get(away.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    assert thief.http.get(back, allow_redirects=False, timeout=30).status_code == 403
    assert visitor.http.get(back, allow_redirects=False, timeout=30).status_code == 303
    again = Visitor(node)
    again.get("/login")
    assert again.http.get(back, allow_redirects=False, timeout=30).status_code == 403


def test_what_the_address_says_went_wrong_is_not_shown(console):
    node, _ = console
    visitor = Visitor(node)
    shown = visitor.get("/login/oidc/callback?error=access_denied&error_description=call+0800-EVIL")
    assert (shown.status_code, "0800" in shown.text) == (403, False)


def test_a_provider_that_is_away_is_told(tmp_path):
    provider = OpenIdProvider()
    provider.close()
    node = Node(
        tmp_path, tables={"oidc": TABLE | {"issuer": provider.issuer}, "console": {"host": "0.0.0.0"}}
    )
    with node.running("console"):
        visitor = Visitor(node)
        visitor.get("/login")
        told = visitor.get("/login/oidc")
    node.engine.dispose()
    assert (told.status_code, f"no answer of {provider.issuer}" in told.text) == (503, True)
