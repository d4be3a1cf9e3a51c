"""The page Node and its API: real console, real browser, films of a month and a half."""

import datetime

import month
import pytest
import requests
import servers
from browser import assert_accessible, browser, keep, page  # noqa: F401 - fixtures
from node import Node, Pacs

from daemon import service

DESTINATIONS = ("pacs", "research")


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A node with a month and a half of films and one destination down; only the console runs."""
    pacs = Pacs()
    node = Node(tmp_path_factory.mktemp("busy"), {"pacs": pacs.port, "research": servers.free_port()})
    node.migrate()
    now = service.now()
    month.fill(node.engine, now)
    month.queue(node.engine, now)
    month.take_down(node.engine, "research", now)
    with node.running("console"):
        yield node
    node.engine.dispose()
    pacs.close()


def url(node: Node, path: str) -> str:
    return f"http://127.0.0.1:{node.console_port}{path}"


def test_the_page_tells_what_waits_and_where_scores_moved(busy, page):  # noqa: F811
    month.beat(busy.engine, service.now())
    page.goto(url(busy, "/node"))
    assert (
        page.locator("#banner").inner_text().startswith("Films are received and read. Results for research")
    )
    page.get_by_text("over 0.20 since").wait_for()
    assert page.locator(".head .mid").inner_text().endswith(", up 23 days")
    assert page.locator(".key", has_text="goal 1 s").count() == 1
    assert page.locator(".thin tr", has_text="XR-ED-1").first.inner_text().endswith("steady")
    assert_accessible(page)
    for width in (1280, 1024):
        month.beat(busy.engine, service.now())
        keep(page, "node", width)


def test_a_silent_reader_is_the_banner_and_its_station_is_red(busy, page):  # noqa: F811
    month.beat(busy.engine, service.now(), silent="read")
    page.goto(url(busy, "/node"))
    assert page.locator("#banner").inner_text().startswith("The reader has been silent for 4 min")
    assert page.locator(".station.urgent h2").inner_text() == "Read"
    for width in (1280, 1024):
        keep(page, "node-stale", width)


def test_try_now_makes_the_next_probe_due_and_echo_asks_the_peer(busy, page):  # noqa: F811
    month.beat(busy.engine, service.now())
    page.goto(url(busy, "/node"))
    page.get_by_role("button", name="Try now research").click()
    page.get_by_text("research is tried now").wait_for()
    with busy.engine.connect() as connection:
        probe = connection.exec_driver_sql("SELECT next_probe_at FROM destination WHERE name = 'research'")
        assert datetime.datetime.fromisoformat(probe.scalar_one()) <= service.now().replace(tzinfo=None)
    page.get_by_role("button", name="Echo pacs").click()
    page.get_by_text("answers C-ECHO").wait_for()


def test_the_api_tells_the_same(busy):
    month.beat(busy.engine, service.now())
    node = requests.get(url(busy, "/api/node"), timeout=30).json()
    assert [one["circuit"] for one in node["destinations"]] == ["closed", "open"]
    assert sum(one["read"] for one in node["films_by_hour"]) > 100
    assert node["median"] == pytest.approx(0.4, abs=0.1)
    seen = requests.get(url(busy, "/api/monitoring"), timeout=30).json()
    psi = {one["name"]: one["index"] for one in seen["report"]["senders"]}
    assert psi["XR-PORT-3"] > 0.2 > psi["XR-ED-1"]
    assert requests.post(url(busy, "/api/destinations/nowhere/try"), timeout=30).status_code in (403, 404)


def test_diagnostics_hold_checks_settings_and_heartbeats(busy):
    month.beat(busy.engine, service.now())
    told = requests.get(url(busy, "/node/diagnostics"), timeout=120).json()
    [receiver] = [one for one in told["heartbeats"] if one["process"] == "receive"]
    assert (receiver["instance"], receiver["note"]["open"]) == (month.INSTANCE, 2)
    assert {one["check"] for one in told["checks"]} >= {"packages", "database", "destination pacs"}
    assert told["config"]["node"]["ae_title"] == "FIRSTREAD"
