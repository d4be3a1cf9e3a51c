"""Average precision of boxes."""

import numpy as np
import pytest

from model.evaluation.boxes import average_precision, match, overlap

ONE, OTHER = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9)
EVERY_FILM = np.ones((1, 2))


def test_overlap_is_1_for_the_same_box_and_0_for_boxes_apart():
    assert overlap(ONE, ONE) == 1
    assert overlap(ONE, OTHER) == 0
    assert overlap(ONE, (0.0, 0.0, 0.4, 0.2)) == pytest.approx(0.5)


def test_every_box_found_and_no_other_is_a_precision_of_1():
    matched = match([[(0.9, ONE)], [(0.2, OTHER)]], [[ONE], [OTHER]], 0.5)
    assert average_precision(matched, EVERY_FILM) == pytest.approx([1.0])


def test_a_second_box_on_the_same_truth_is_wrong():
    matched = match([[(0.9, ONE), (0.8, ONE)]], [[ONE]], 0.5)
    assert matched.right.tolist() == [True, False]


def test_a_missed_box_and_a_better_scored_wrong_one_cost_precision():
    missed = match([[(0.9, ONE)], []], [[ONE], [OTHER]], 0.5)
    assert average_precision(missed, EVERY_FILM) == pytest.approx([0.5])
    wrong_first = match([[(0.9, OTHER), (0.5, ONE)], []], [[ONE], []], 0.5)
    assert average_precision(wrong_first, EVERY_FILM) == pytest.approx([0.5])


def test_a_film_that_counts_twice_in_a_draw_weighs_twice():
    matched = match([[(0.9, ONE)], []], [[ONE], [OTHER]], 0.5)
    weights = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 1.0]])
    assert average_precision(matched, weights) == pytest.approx([1, 0, 2 / 3])


def test_films_without_boxes_and_without_truth_give_no_figure():
    matched = match([[], []], [[], []], 0.5)
    assert np.isnan(average_precision(matched, EVERY_FILM)).all()
