"""daemon/console/versions.py: the version in the shadow and the one that reads, on pages and as JSON."""

import dataclasses

import numpy as np
import pytest
import readings
from browser import assert_accessible, browser, keep, page  # noqa: F401 - fixtures
from console_films import Evening
from node import Node
from visitor import Visitor

from daemon import service
from daemon.console import charts, versions
from daemon.results.notification import figures
from model.weights import open_version
from storage import shadow

SHADOW = "gao-2020"
VERSION = open_version(SHADOW).recipe["version"]
WEIGHTS = "5" * 64
_MODEL = dataclasses.replace(readings.MODEL, name=SHADOW, version=VERSION, weights_sha256=WEIGHTS)
PANEL = "section[aria-labelledby=shadow-title]"


def read_by_both(evening: Evening, main, other, minutes: float = 10) -> int:
    """A film and what both versions say of it, with the shadow's seconds; the shadow gives None up."""
    job = evening.read(main, minutes)
    shadow.take(evening.engine, job, SHADOW, VERSION, WEIGHTS, evening.now)
    if other is None:
        reason = "NOT_PLAUSIBLE: found no chest, expected one"
        shadow.finish(evening.engine, job, WEIGHTS, evening.now, reason=reason)
    else:
        said = figures(dataclasses.replace(other, model=_MODEL))
        shadow.finish(evening.engine, job, WEIGHTS, evening.now, reading=said, seconds=1.25)
    return job


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A node whose films two versions read, with the job of one that they differ on; its console runs."""
    node = Node(tmp_path_factory.mktemp("both"))
    node.migrate()
    evening = Evening(node.engine, service.now())
    random = np.random.default_rng(1)
    for _ in range(90):
        normal = float(random.beta(4, 0.6))
        other = float(np.clip(normal + random.normal(0, 0.09), 0.01, 0.99))
        read_by_both(
            evening, *(readings.make_reading((n, 0.9 * (1 - n), 0.1 * (1 - n))) for n in (normal, other))
        )
    for _ in range(4):
        read_by_both(evening, readings.bacterial(), readings.covid())
    read_by_both(evening, readings.normal(), None)
    job = read_by_both(evening, readings.viral(), readings.covid())
    evening.beat()
    with node.running("console"):
        yield node, job
    node.engine.dispose()


def test_the_page_compares_the_two_and_says_how_to_promote(both, page):  # noqa: F811
    node, _ = both
    page.goto(f"http://127.0.0.1:{node.console_port}/node")
    panel = page.locator(PANEL)
    words = panel.inner_text()
    assert f"firstread models promote {SHADOW}" in words
    assert "bacterial\tCOVID-19\t4" in words
    assert "1 film" in panel.locator("dt", has_text="Not read by the shadow").locator("+ dd").inner_text()
    chart = panel.get_by_role("img")
    assert chart.locator(".dots").get_attribute("d").count("M") == 95
    assert chart.get_attribute("aria-describedby") == "scatter-desc"
    for width in (1280, 1024):
        keep(page, "node-shadow", width)
    assert_accessible(page)
    for width in (1280, 1024):
        keep(page, "node-shadow", width)


def test_the_api_tells_the_same(both):
    (pair,) = Visitor(both[0]).get("/api/shadow").json()
    assert (pair["main"]["model"], pair["shadow"]["model"]) == ("firstread-1", SHADOW)
    assert (pair["films"], pair["unread"], len(pair["points"])) == (95, 1, 95)
    same = sum(said["films"] for said in pair["decisions"] if said["main"] == said["shadow"])
    share = pair["agreement"]
    assert (pair["equal"], share["value"]) == (same, pytest.approx(same / 95))
    assert share["low"] < share["value"] < share["high"]
    assert (pair["main_seconds"], pair["shadow_seconds"]) == (None, 1.25)
    assert pair["points"][0] == [0.9, 0.96]  # viral and covid, the last film


def test_a_film_tells_what_was_said_of_it_in_the_shadow(both):
    node, job = both
    told, given_up = (Visitor(node).get(f"/film/{number}").text for number in (job, job - 1))
    assert f"<dt>Also in shadow</dt><dd>{SHADOW} {VERSION}: COVID-19 84</dd>" in told
    assert "History of job" in given_up and "Also in shadow" not in given_up


def test_without_a_shadow_there_is_no_panel_and_old_readings_make_none(tmp_path):
    node = Node(tmp_path)
    node.migrate()
    evening = Evening(node.engine, service.now())
    read_by_both(evening, readings.normal(), readings.normal())
    assert len(versions.look(node.engine, evening.now + versions.DAY)) == 1
    assert versions.look(node.engine, evening.now + (versions.DAYS + 1) * versions.DAY) == []
    with node.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM shadow_reading")
    with node.running("console"):
        told = Visitor(node).get("/node")
        assert (told.status_code, "shadow-title" in told.text) == (200, False)
        assert Visitor(node).get("/api/shadow").json() == []
    node.engine.dispose()


def test_a_dot_lies_on_the_diagonal_where_both_scores_are_the_same():
    left, top, side = charts.SCATTER_LEFT, charts.SCATTER_TOP, charts.SCATTER_SIDE
    corners = f"M{left:.1f},{top + side:.1f}h0M{left + side:.1f},{top:.1f}h0"
    assert charts.scatter([(0.0, 0.0), (1.0, 1.0)]).dots == corners
