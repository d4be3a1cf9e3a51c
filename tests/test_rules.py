"""daemon/rules.py: what an expression may ask, and what it cannot do."""

import subprocess
import sys
from pathlib import Path

import pytest
import readings
from conftest import make_film

from daemon.rules import BadExpression, check, matches
from model.scope import REFUSALS, OutOfScope

TURNED = OutOfScope("ROTATED", "a chest turned by 90 degrees", "an upright film")


@pytest.mark.parametrize(
    ("expression", "is_meant"),
    [
        ('decision == "COVID-19"', True),
        ('decision in ["normal", "bacterial"]', False),
        ('leading == "COVID-19" and score["viral"] > 60', True),
        ('score["COVID-19"] >= 101', False),
        ('sender == "CR1"', True),
        ('sender =~ "CR[0-9]"', True),
        ('refusal == ""', True),
        ('Manufacturer =~ "^ACME" and Modality == "CR"', True),
        ('StudyDescription == ""', False),
        ('not (Modality == "DX")', True),
    ],
)
def test_a_film_is_chosen_by_result_sender_and_header(expression, is_meant):
    film = make_film(Manufacturer="Acme Imaging", StudyDescription="Chest")
    assert matches(check(expression), film, "CR1", readings.covid()) is is_meant


def test_a_refused_film_is_chosen_by_its_reason():
    assert matches(check('refusal == "ROTATED" and decision == ""'), make_film(), "CR1", TURNED)
    assert "ROTATED" in REFUSALS


def test_films_of_a_backfill_can_be_left_out():
    expression = check('not retrospective and decision == "COVID-19"')
    assert matches(expression, make_film(), "CR1", readings.covid())
    assert not matches(expression, make_film(), "PACS", readings.covid(), retrospective=True)


def test_a_step_that_was_not_run_has_scores_of_0():
    reading = readings.normal()
    assert reading.step2 is None
    assert matches(check('score["COVID-19"] == 0'), make_film(), "", reading)


@pytest.mark.parametrize(
    "expression",
    [
        'nosuch == "x"',
        "decision > 3",
        "decision ==",
        "score > 3",
        '__import__("os").system("true")',
        "decision.__class__.__mro__",
        "",
    ],
)
def test_an_expression_that_asks_for_what_there_is_not_is_named_with_what_there_is(expression):
    with pytest.raises(BadExpression, match="expected a comparison of decision, leading, score"):
        check(expression)


def test_a_long_text_of_a_peer_is_cut_before_it_meets_a_regular_expression():
    film = make_film(StudyDescription="a" * 64, ImageComments="a" * 5000)
    assert not matches(check('ImageComments =~ ".*b$"'), film, "", readings.covid())
    assert matches(check('ImageComments =~ "^A{256}$"'), film, "", readings.covid())


def test_a_reader_without_rules_does_not_load_the_library():
    script = "import sys, daemon.read; assert 'rule_engine' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
