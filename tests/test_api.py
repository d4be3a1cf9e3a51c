"""The whole API before schemathesis: what its schema promises is what it does, whatever it is asked."""

import contextlib

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from node import Node
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from visitor import SECONDS, Visitor, add_user, token_of

from storage.states import Role

# Not every rule of ours is one that a schema can tell; and guessing tokens is answered 429 after a while.
EXCLUDED = [positive_data_acceptance, ignored_auth]
# The first film that is tried waits for the network to be loaded, on a machine that does much else.
LONGEST_SECONDS = 120


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A node whose console runs, and the header of its admin's programs."""
    node = Node(tmp_path_factory.mktemp("api"))
    node.migrate()
    add_user(node, "admin", Role.ADMIN)
    with node.running("console"):
        yield node, {"Authorization": f"Bearer {token_of(node, 'admin')}"}
    node.engine.dispose()


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_as_the_schema_says(mode, console):
    node, headers = console
    url = f"http://127.0.0.1:{node.console_port}/api/openapi.json"
    for found in schemathesis.openapi.from_url(url, headers=headers).get_all_operations():

        @given(found.ok().as_strategy(generation_mode=mode))
        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=EXCLUDED, timeout=LONGEST_SECONDS)

        # What takes nothing has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            holds()


def test_no_operation_is_for_who_is_unknown(console):
    node, headers = console
    base = f"http://127.0.0.1:{node.console_port}"
    schema = requests.get(f"{base}/api/openapi.json", headers=headers, timeout=SECONDS).json()
    for path, operations in schema["paths"].items():
        for method in operations:
            found = requests.request(method, base + path.replace("{", "").replace("}", ""), timeout=SECONDS)
            assert found.status_code == 401, (method, path)


def test_every_operation_is_below_api_and_tells_its_refusals_in_one_shape(console):
    node, headers = console
    found = requests.get(
        f"http://127.0.0.1:{node.console_port}/api/openapi.json", headers=headers, timeout=SECONDS
    ).json()
    assert {"/api/me", "/api/users"} <= set(found["paths"])
    for path, operations in found["paths"].items():
        assert path.startswith("/api/")
        for operation in operations.values():
            for status in ("401", "403", "422"):
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (path, status)
            assert operation["security"], path


def test_an_invalid_request_is_told_where_it_is_wrong_and_not_what_it_said(console):
    node, headers = console
    found = requests.post(
        f"http://127.0.0.1:{node.console_port}/api/users", headers=headers, timeout=SECONDS,
        json={"name": "Buc^Jerome", "role": "king"},
    )  # fmt: skip
    assert found.status_code == 422
    assert found.json()["detail"].startswith("body.role: String should match pattern")
    assert "body.password: Field required" in found.json()["detail"]
    assert "Buc" not in found.text and "king" not in found.text


def test_people_get_a_page_where_programs_get_json(console):
    node, headers = console
    visitor = Visitor(node, headers)
    page = visitor.get("/absent")
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<h1" in page.text and "Not Found" in page.text
    assert visitor.get("/api/absent").json() == {"detail": "Not Found"}
