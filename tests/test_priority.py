"""daemon/priority.py, daemon/predictive.py: the order of the triage list, and what an answer is worth."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import CASCADE

from daemon import predictive
from daemon.config import Triage
from daemon.console import drift
from daemon.console.urgency import Worth, worth_of
from daemon.priority import Group, group, priority
from model.weights import available

shares = st.floats(0, 1)
waits = st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=3))
MINUTE = datetime.timedelta(minutes=1)


@given(shares, shares, shares, waits)
def test_priority_is_a_whole_number_from_0_to_100(severity, score, threshold, waited):
    assert 0 <= priority(severity, score, threshold, waited) <= 100


@given(shares, shares, shares, shares, waits)
def test_more_score_is_no_less_priority(severity, one, other, threshold, waited):
    low, high = sorted((one, other))
    assert priority(severity, low, threshold, waited) <= priority(severity, high, threshold, waited)


@given(shares, shares, shares, shares, waits)
def test_more_severity_is_no_less_priority(one, other, score, threshold, waited):
    low, high = sorted((one, other))
    assert priority(low, score, threshold, waited) <= priority(high, score, threshold, waited)


@given(shares, shares, shares, waits, waits)
def test_longer_waiting_is_no_less_priority(severity, score, threshold, one, other):
    short, long = sorted((one, other))
    assert priority(severity, score, threshold, short) <= priority(severity, score, threshold, long)


@given(shares, shares, waits)
def test_below_the_threshold_only_waiting_counts_and_that_is_routine(severity, threshold, waited):
    points = priority(severity, threshold / 2, threshold, waited)
    assert points == priority(0.0, 1.0, threshold, waited) <= 15
    assert group(points) is Group.ROUTINE


@pytest.mark.parametrize(
    ("severity", "score", "threshold", "minutes", "expected"),
    [(1.0, 1.0, 0.5, 60, 100), (0.9, 0.98, 0.55, 27, 80), (1.0, 0.75, 0.5, 0, 43), (0.6, 0.86, 0.5, 24, 43)],
)
def test_priority_by_hand(severity, score, threshold, minutes, expected):
    assert priority(severity, score, threshold, minutes * MINUTE) == expected


def test_groups_part_at_60_and_30():
    assert [group(points) for points in (100, 60, 59, 30, 29, 0, None)] == [
        Group.LOOK_FIRST, Group.LOOK_FIRST, Group.LOOK_SOON, Group.LOOK_SOON, Group.ROUTINE, Group.ROUTINE,
        Group.NEEDS_A_PERSON,
    ]  # fmt: skip


def test_films_without_a_number_stand_above_normal_ones():
    assert list(Group).index(Group.NEEDS_A_PERSON) < list(Group).index(Group.ROUTINE)


def test_what_an_answer_is_worth_where_everybody_has_it_is_not_told():
    rates = predictive.rates("firstread-1", "COVID-19")
    assert rates.predictive_values(1.0) is None
    assert Worth("COVID-19", 1.0, 1.0, rates, 0.5).ppv_text == "n/a"


def test_triage_and_the_node_page_say_the_same_of_an_answer():
    settings = Triage()
    of_node = {one.decision: one.ppv for one in drift.worth("firstread-1", settings)}
    for decision, ppv in of_node.items():
        assert worth_of(settings, "firstread-1", CASCADE, decision, 0.5).ppv == (ppv and ppv.value)
    assert of_node["COVID-19"] is not None


@pytest.mark.parametrize("version", available())
def test_rates_of_covid19_are_those_of_the_versions_card(version):
    import json

    from model.weights import VERSIONS

    found = predictive.rates(version, "COVID-19")
    figures = json.loads((VERSIONS / version / "figures.json").read_text(encoding="utf-8"))
    point = figures["sides"]["held-out sources"]["operating_points"]["covid19"]
    assert found.held_out
    assert found.sensitivity == pytest.approx(point["sensitivity"], abs=1e-4)
    assert found.specificity == pytest.approx(point["specificity"], abs=1e-4)


def test_rates_of_a_class_with_few_films_elsewhere_are_those_of_its_own_sources():
    assert not predictive.rates("firstread-1", "bacterial").held_out


def test_a_version_without_figures_has_no_rates():
    assert predictive.rates("none-such", "bacterial") is None
