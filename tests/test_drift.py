"""daemon/drift.py against worked values."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.drift import Judged, predictive_values, stability_index, wilson

COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=20).filter(any)


def test_stability_index_of_two_cells_is_the_sum_by_hand():
    by_hand = 0.1 * math.log(0.6 / 0.5) + -0.1 * math.log(0.4 / 0.5)
    assert (
        stability_index([500, 500], [60, 40]) == pytest.approx(by_hand) == pytest.approx(0.040547, abs=1e-6)
    )


def test_stability_index_of_five_bands_of_a_scorecard():
    """Shares 20, 30, 25, 15, 10 per cent become 15, 25, 25, 20, 15: the terms added by hand."""
    terms = [(0.15, 0.2), (0.25, 0.3), (0.25, 0.25), (0.2, 0.15), (0.15, 0.1)]
    by_hand = sum((p - q) * math.log(p / q) for p, q in terms)
    assert stability_index([200, 300, 250, 150, 100], [150, 250, 250, 200, 150]) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.0582, abs=1e-4)


def test_a_cell_without_films_counts_half_a_film():
    with_half = (0.5 / 100.5 - 0.5) * math.log(0.5 / 100.5 / 0.5)
    with_half += (100 / 100.5 - 0.5) * math.log(100 / 100.5 / 0.5)
    assert stability_index([50, 50], [0, 100]) == pytest.approx(with_half)


def test_cells_with_less_than_a_twentieth_of_the_reference_are_joined():
    assert stability_index([500, 3, 497], [50, 5, 45]) == stability_index([500, 500], [50, 50])


@given(COUNTS)
def test_the_same_films_have_not_moved(counts):
    assert stability_index(counts, counts) == pytest.approx(0)


@given(COUNTS, st.data())
def test_stability_index_is_never_negative(counts, data):
    found = data.draw(st.lists(st.integers(0, 1000), min_size=len(counts), max_size=len(counts)).filter(any))
    assert stability_index(counts, found) >= -1e-12


def test_films_in_other_cells_cannot_be_compared():
    with pytest.raises(ValueError, match="expected films in the same cells"):
        stability_index([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Newcombe (Stat Med 1998;17:857), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval_of_a_share_is_that_of_the_literature(part, whole, low, high):
    found = wilson(part, whole)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.value == part / whole


def test_share_of_no_films_may_be_anything():
    found = wilson(0, 0)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0.0, 1.0)


def test_predictive_values_by_hand():
    """Sensitivity 0.9 of 100, specificity 0.8 of 200, prevalence 0.1: 0.09 / (0.09 + 0.18) is a third."""
    ppv, npv = predictive_values(Judged(90, 100, 160, 200), 0.1)
    assert ppv.value == pytest.approx(1 / 3)
    assert npv.value == pytest.approx(0.72 / 0.73)
    # On the logit: ln(1/2), variance (0.1/0.9)/100 + (0.8/0.2)/200.
    half = 1.959964 * math.sqrt(0.1 / 0.9 / 100 + 4 / 200)
    low, high = (1 / (1 + 2 * math.exp(sign * half)) for sign in (1, -1))
    assert (ppv.low, ppv.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


@given(
    st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.floats(0.001, 0.999)
)
def test_predictive_values_are_shares_within_their_intervals(hit, missed, cleared, wrong, prevalence):
    assume(hit + missed and cleared + wrong)
    for found in predictive_values(Judged(hit, hit + missed, cleared, cleared + wrong), prevalence):
        assert 0 < found.low <= found.value <= found.high < 1


def test_a_count_of_none_still_has_an_interval():
    ppv, npv = predictive_values(Judged(50, 50, 100, 100), 0.03)
    assert 0 < ppv.low < ppv.value < ppv.high < 1
    assert 0 < npv.low < npv.value < npv.high < 1
