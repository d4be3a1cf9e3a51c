"""What the results say, in words and figures."""

import numpy as np
import pytest
import readings
from readings import make_reading

from daemon.results import wording
from daemon.results.wording import rounded_percent, score_text, share_text, threshold_text
from model.activation import Inside


@pytest.mark.parametrize(
    "score, threshold, text",
    [
        (0.0, 0.6, "<1"),
        (0.0049, 0.6, "<1"),
        (0.005, 0.6, "1"),
        (0.045, 0.6, "5"),
        (0.994, 0.6, "99"),
        (0.995, 0.6, ">99"),
        (1.0, 0.6, ">99"),
        (0.6, 0.6, "60"),
        (0.596, 0.6, "59.6"),
        (0.5999, 0.6, "59.9"),
        (0.6249, 0.625, "62"),
        (0.6251, 0.625, "63"),
        (0.604, 0.604, "60.4"),
        (0.6041, 0.604, "60.5"),
    ],
)
def test_scores_are_whole_half_up_unless_that_hides_the_side_of_the_threshold(score, threshold, text):
    assert score_text(score, threshold) == text


def test_the_shown_score_lies_on_the_side_of_the_threshold_where_the_score_lies():
    for threshold in (0.5, 0.6, 0.604, 0.625):
        for thousandth in range(100001):
            score = thousandth / 100000
            shown = float(rounded_percent(score, threshold)) / 100
            assert (shown >= threshold) == (score >= threshold), (score, threshold)


@pytest.mark.parametrize(
    "share, text",
    [
        (0.0, "0 %"),
        (0.004, "0 %"),
        (0.345, "35 %"),
        (0.5999, "59.9 %"),
        (0.6, "60 %"),
        (0.996, "100 %"),
        (1.0, "100 %"),
    ],
)
def test_a_true_share_has_whole_per_cent_unless_that_hides_the_side_of_the_threshold(share, text):
    assert share_text(share, 0.6) == text


def test_thresholds_show_the_decimals_they_have():
    assert [threshold_text(value) for value in (0.6, 0.625, 1.0)] == ["60", "62.5", "100"]


HEADS = {
    "normal": ("Highest model score: normal", "step 1: normal 93,  step 2 not run"),
    "bacterial": ("Highest model score: bacterial", "step 1: bacterial 71,  step 2 not run"),
    "viral": ("Highest model score: viral", "step 1: viral 78,  step 2 below its threshold"),
    "covid": ("Highest model score: COVID-19", "step 1: viral 78,  step 2: COVID-19 84"),
    "other_virus": ("Highest model score: other virus", "step 1: viral 81,  step 2: other virus 73"),
    "below_threshold": (
        "Indeterminate: below the threshold",
        "step 1: highest score is viral 47, threshold 60",
    ),
    "steps_disagree": ("Indeterminate: the two steps disagree", "step 1: viral 64,  step 2: not viral 71"),
    "unlike_training": ("Indeterminate: unlike the training films", "step 1: viral 78,  step 2: COVID-19 84"),
    "outside_lungs": (
        "Indeterminate: outside the lungs",
        "35 % of the activation lies inside the lungs, threshold 60 %",
    ),
}


@pytest.mark.parametrize("name", readings.ALL)
def test_headline_and_subline_state_the_decision_and_its_scores(name):
    reading = readings.ALL[name]()
    assert (wording.headline(reading), wording.subline(reading)) == HEADS[name]


STATEMENTS = {
    "normal": "Highest model score: normal.",
    "bacterial": "Highest model score: bacterial.",
    "viral": "Highest model score: viral. Step 2 is below its threshold.",
    "covid": "Highest model score: COVID-19.",
    "other_virus": "Highest model score: other virus.",
    "below_threshold": "Indeterminate: the highest model score, viral 47, is below the threshold 60.",
    "steps_disagree": "Indeterminate: step 1 leads to viral, step 2 to not viral.",
    "unlike_training": "Indeterminate: the film is unlike the films the model was trained on.",
    "outside_lungs": "Indeterminate: 35 % of the activation lies inside the lungs, threshold 60 %.",
}


@pytest.mark.parametrize("name", readings.ALL)
def test_the_summary_begins_with_the_decision(name):
    assert wording.summary(readings.ALL[name]())[0] == STATEMENTS[name]


def test_the_summary_of_a_full_reading():
    assert wording.summary(readings.covid()) == (
        "Highest model score: COVID-19.",
        "Step 1, model score 0 to 100, threshold 60: normal 4, bacterial 18, viral 78.",
        "Step 2, model score 0 to 100, threshold 60: not viral 6, COVID-19 84, other virus 10.",
        "Activation inside the lungs: 92 %, threshold 60 %. Right lung: 30 %, left lung: 62 %. "
        "Main region: left lung. Activation for COVID-19 (step 2), from 8 x 8 cells.",
        "A model score is not a probability.",
        "Model example-1, version 0.0.0, weights sha256 0123456789ab.",
    )


def test_the_summary_says_what_was_not_run_and_what_is_not_shown():
    lines = wording.summary(readings.normal())
    assert lines[2] == "Step 2: not run, viral does not lead step 1."
    assert lines[3] == "Activation: not shown, normal has no region."
    empty = make_reading((0.11, 0.71, 0.18), activation=readings.blob() * 0)
    assert wording.summary(empty)[3] == "Activation: empty, no region."


def test_the_summary_names_the_place_that_lies_in_no_lung():
    line = wording.summary(readings.outside_lungs())[3]
    assert line.startswith(
        "Activation inside the lungs: 35 %, threshold 60 %. Right lung: 25 %, left lung: 10 %."
    )
    assert "Main region: outside the lungs." in line


def test_a_share_just_below_the_threshold_is_not_rounded_up_to_it():
    reading = make_reading((0.11, 0.71, 0.18), inside=Inside(0.1, 0.4996))
    expected = "59.9 % of the activation lies inside the lungs, threshold 60 %"
    assert wording.subline(reading) == expected
    assert wording.summary(reading)[0] == f"Indeterminate: {expected}."


FORBIDDEN = (
    "patient", "positive", "negative", "detected", "confirmed", "suspicious", "consistent with",
    "no pneumonia", "healthy", "recommend", "urgent",
)  # fmt: skip


@pytest.mark.parametrize("name", readings.ALL)
def test_no_word_of_a_diagnosis_is_said(name):
    reading = readings.ALL[name]()
    text = "\n".join((wording.headline(reading), wording.subline(reading), *wording.summary(reading))).lower()
    assert not [word for word in FORBIDDEN if word in text]
    assert text.isascii()
    assert "probability" not in text.replace("a model score is not a probability", "")


def test_a_reading_that_points_outside_the_lungs_names_no_lung_even_where_it_also_looked_into_one():
    also_inside = np.maximum(readings.blob(0.5, 7.0), 0.8 * readings.blob(4.0, 2.5))
    reading = readings.make_reading(
        (0.09, 0.23, 0.68), (0.12, 0.67, 0.21), also_inside, inside=Inside(0.25, 0.1)
    )
    region = wording.region_of(reading, 96, 96)
    assert region.side is None
    assert region.outline[:, 0].min() > 60
    assert region.outline[:, 1].max() < 30
