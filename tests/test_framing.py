"""What a framed version is shown lies round the lungs, and what it answers lies where it belongs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.activation import spread
from model.framing import GRID, framed, on_the_film, window

SIZE = 96  # rows and columns of the lungs


@st.composite
def lungs(draw: st.DrawFn) -> np.ndarray:
    """Two rectangles that do not touch, each a tenth of the film or more, (96, 96, 2) bool."""
    both = np.zeros((SIZE, SIZE, 2), bool)
    for side in (0, 1):
        high, wide = draw(st.integers(36, 90)), draw(st.integers(26, 40))
        top = draw(st.integers(0, SIZE - high))
        left = 48 * side + draw(st.integers(0, 46 - wide))
        both[top : top + high, left : left + wide, side] = True
    return both


films = st.tuples(st.integers(100, 300), st.integers(100, 300))
margins = st.floats(0, 0.4)


def two_lungs(top: int = 20, left: int = 20) -> np.ndarray:
    both = np.zeros((SIZE, SIZE, 2), bool)
    both[top : top + 40, left : left + 20, 0] = True
    both[top : top + 40, left + 26 : left + 46, 1] = True
    return both


@settings(max_examples=60, deadline=None)
@given(lungs(), margins)
def test_the_window_holds_both_lungs_and_lies_within_the_film(both, margin):
    top, bottom, left, right = window(both, margin)
    assert 0 <= top < bottom <= 1
    assert 0 <= left < right <= 1
    rows, columns = np.nonzero(both.any(axis=-1))
    assert top * SIZE <= rows.min()
    assert bottom * SIZE >= rows.max() + 1
    assert left * SIZE <= columns.min()
    assert right * SIZE >= columns.max() + 1


@settings(max_examples=60, deadline=None)
@given(lungs(), margins, films)
def test_what_is_shown_has_the_size_of_the_window_and_the_pixels_of_the_film(both, margin, shape):
    film = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    shown = framed(film, both, {"margin": margin, "masked": False})
    top, bottom, left, right = window(both, margin)
    assert shown.shape == pytest.approx(((bottom - top) * shape[0], (right - left) * shape[1]), abs=1.001)
    first = round(top * shape[0]), round(left * shape[1])
    assert np.array_equal(shown, film[first[0] :, first[1] :][: shown.shape[0], : shown.shape[1]])


def test_without_lungs_the_whole_film_is_shown():
    film, nothing = np.full((90, 70), 99, np.uint8), np.zeros((SIZE, SIZE, 2), bool)
    for masked in (True, False):
        assert np.array_equal(framed(film, nothing, {"margin": 0.1, "masked": masked}), film)


def test_masked_is_black_beyond_the_margin_and_the_film_within():
    both = np.zeros((SIZE, SIZE, 2), bool)
    both[20:60, 10:25, 0] = True
    both[20:60, 70:85, 1] = True
    film = np.full((SIZE, SIZE), 200, np.uint8)
    shown = framed(film, both, {"margin": 0.1, "masked": True})  # four rows or columns of 96 round a lung
    top, _, left, _ = (round(SIZE * share) for share in window(both, 0.1))
    assert (shown[20 - top : 60 - top, 10 - left : 25 - left] == 200).all()
    assert (shown[20 - top : 60 - top, 32 - left : 62 - left] == 0).all()
    assert set(np.unique(shown)) == {0, 200}


@settings(max_examples=60, deadline=None)
@given(lungs(), st.floats(0, 0.3), st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.sampled_from([6, 8, 26]))
def test_a_peak_in_the_part_lands_on_the_same_place_of_the_film(both, margin, down, across, grid):
    row, column = int(down * grid), int(across * grid)
    activation = np.zeros((2, grid, grid), np.float32)
    activation[1, row, column] = 1
    whole = on_the_film(activation, both, {"margin": margin, "masked": False})
    assert whole.shape == (2, GRID, GRID)
    assert not whole[0].any()
    top, bottom, left, right = window(both, margin)
    # The cell's middle on the film, and the peak found there, both as shares; within a cell of the 48.
    expected = top + (row + 0.5) / grid * (bottom - top), left + (column + 0.5) / grid * (right - left)
    places = np.argwhere(whole[1] == whole[1].max())
    assert (places.mean(axis=0) + 0.5) / GRID == pytest.approx(expected, abs=1.5 / GRID)


def test_nothing_is_active_where_the_version_did_not_look():
    both = two_lungs()
    whole = on_the_film(np.ones((1, 8, 8), np.float32), both, {"margin": 0.1, "masked": False})[0]
    top, bottom, left, right = (round(GRID * share) for share in window(both, 0.1))
    assert (whole[top:bottom, left:right] == 1).all()
    assert whole.sum() == (bottom - top) * (right - left)


def test_an_activation_moves_with_the_film():
    activation = np.zeros((1, 8, 8), np.float32)
    activation[0, 2, 5] = 1
    framing = {"margin": 0.1, "masked": False}
    peaks = []
    for both in (two_lungs(20, 20), two_lungs(44, 36)):
        spread_out = spread(on_the_film(activation, both, framing)[0], SIZE, SIZE)
        peaks.append(np.argwhere(spread_out == spread_out.max()).mean(axis=0))
    assert peaks[1] - peaks[0] == pytest.approx((24, 16), abs=2)
