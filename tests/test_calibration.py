"""Temperature, calibration error and thresholds, by hand."""

import json
import shutil

import numpy as np
import pytest
from collection import make_collection
from scipy.special import softmax
from test_metrics import judged

from model import calibration
from model.evaluation.finish import finish, pointed_rightly
from model.reader import Reader
from model.weights import VERSIONS

POINT = {"sensitivity": 0.9, "unanswered": 0.5}


def drawn(temperature: float, n: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the softmax of these logits at a temperature."""
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 3, (n, 3))
    chances = softmax(logits / temperature, axis=1)
    return logits, (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    assert calibration.fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_at_its_temperature_a_network_is_calibrated():
    logits, labels = drawn(3.0)
    sure = calibration.expected_calibration_error(softmax(logits, axis=1), labels)
    fitted = softmax(logits / calibration.fit_temperature(logits, labels), axis=1)
    assert sure > 0.15
    assert calibration.expected_calibration_error(fitted, labels) < 0.02
    assert calibration.brier(fitted, labels) < calibration.brier(softmax(logits, axis=1), labels)


def test_calibration_error_and_brier_score_by_hand():
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1])
    # Half of the two at 0.9 are right, both of the two at 0.6.
    assert calibration.expected_calibration_error(scores, labels) == pytest.approx((0.4 + 0.4) / 2)
    assert calibration.brier(scores, labels) == pytest.approx((0.02 + 1.62 + 0.32 + 0.32) / 4)
    assert calibration.reliability(scores, labels) == [
        {"score": 0.6, "right": 1.0, "n": 2},
        {"score": 0.9, "right": 0.5, "n": 2},
    ]


def two_classes(harmless: list[float]) -> np.ndarray:
    return np.array([(score, 1 - score) for score in harmless])


def test_the_threshold_rises_until_few_are_missed():
    scores = two_classes([0.99, 0.7, 0.65, *[0.05] * 17, *[0.8] * 5])
    ill = np.arange(25) < 20
    found = calibration.operating_threshold(scores, ill, 0, POINT)
    # Two of the 20 may be missed: the one at 0.65 may not.
    assert found == {"threshold": 0.66, "sensitivity": 0.9, "unanswered": 0.04}


def test_the_threshold_stops_where_too_many_would_have_no_answer():
    scores = two_classes([0.99] * 10 + [0.2] * 10)
    found = calibration.operating_threshold(scores, np.ones(20, bool), 0, POINT)
    assert found["threshold"] == 0.89
    assert (found["sensitivity"], found["unanswered"]) == (0.5, 0.5)


def test_a_label_without_half_of_the_score_is_never_said():
    scores = np.array([[0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
    found = calibration.operating_threshold(scores, np.zeros(2, bool), 0, POINT)
    assert (found["threshold"], found["unanswered"]) == (0.5, 0.5)


def test_the_least_share_inside_leaves_no_more_than_was_allowed_below():
    shares = np.array([0.05, 0.318, 0.4, 0.9, *[0.95] * 96])
    assert calibration.least_inside(shares, 0.02) == 0.31
    assert (shares < 0.31).mean() <= 0.02
    assert calibration.least_inside(shares, 0.04) == 0.9
    assert calibration.least_inside(shares, 0.0) == 0.05
    assert calibration.least_inside(np.array([0.29]), 0.02) == 0.29
    assert calibration.least_inside(np.array([]), 0.02) == 0.0


def test_only_right_answers_that_point_at_a_place_set_the_least_share_inside():
    films = judged(
        ["normal", "bacterial", "bacterial", "covid19", "normal"],
        [(0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.9, 0.1, 0.0), (0.1, 0.1, 0.8), (0.1, 0.9, 0.0)],
    )
    inside = np.array([np.nan, 0.7, np.nan, 0.8, 0.1])
    films = type(films)(**(vars(films) | {"inside": inside}))
    assert films.inside[pointed_rightly(films)].tolist() == [0.7, 0.8]


def test_a_finished_version_is_calibrated_and_knows_its_training_films(tmp_path):
    version = shutil.copytree(VERSIONS / "gao-2020", tmp_path / "version")
    films = make_collection(tmp_path)
    found = finish(version, films, tmp_path)
    assert found == json.loads((version / "manifest.json").read_text())
    assert set(found["figures"]) == {"test_folds", "held_out_sources"}
    assert found["figures"]["held_out_sources"]["n"] == 8
    assert "ci95" in found["figures"]["test_folds"]
    for step in ("step1", "step2"):
        assert 0.05 <= found["temperature"][step] <= 20
        assert 0.5 <= found["thresholds"][step] <= 1
    assert 0 <= found["thresholds"]["inside_lungs"] <= 1
    assert found["figures"]["test_folds"]["refused_for"] == {}
    assert Reader(version, 1).model.name == "gao-2020"
    assert finish(version, films, tmp_path)["thresholds"] == found["thresholds"]
