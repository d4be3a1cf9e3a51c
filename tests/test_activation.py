"""The activation on the film: from the model's grid, inside the lungs and beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import blob, two_lungs

from model.activation import Region, is_empty, main_place, share_inside, spread
from model.lungs import lungs_of

LUNGS = lungs_of(two_lungs())


def area(outline: np.ndarray) -> float:
    """What a closed line encloses."""
    columns, rows = outline.T
    return abs(np.sum(columns[:-1] * rows[1:] - columns[1:] * rows[:-1])) / 2


def at(row: float, column: float) -> np.ndarray:
    """An activation on a fine grid with one small place, (96, 96) float32."""
    y, x = np.mgrid[0:96, 0:96]
    return np.exp(-((x - column) ** 2 + (y - row) ** 2) / 50).astype(np.float32)


def test_the_spread_activation_has_its_maximum_where_the_grid_has_it():
    share = spread(blob(row=2, column=6) * 3, 800, 400)
    row, column = np.unravel_index(share.argmax(), share.shape)
    assert (row // 100, column // 50) == (2, 6)
    assert share.max() == 1
    assert share.min() >= 0


def test_negative_activation_counts_as_none():
    assert is_empty(-blob())
    assert not spread(-blob(), 80, 80).any()
    assert share_inside(-blob(), LUNGS) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_activation_that_is_no_number_is_refused(value):
    activation = blob()
    activation[0, 0] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        is_empty(activation)


def test_a_lung_is_the_largest_piece_of_its_field_without_holes():
    fields = two_lungs()
    fields[2:5, 2:5, 0] = 0.9  # a speck beside the right lung
    fields[48:52, 26:30, 0] = 0.1  # a hole in it
    assert np.array_equal(lungs_of(fields), LUNGS)


def test_a_place_belongs_to_the_lung_that_is_more_probable():
    fields = np.full((4, 4, 2), 0.6, np.float32)
    fields[:, 2:, 1] = 0.7
    lungs = lungs_of(fields)
    assert lungs[:, :2, 0].all()
    assert lungs[:, 2:, 1].all()
    assert not lungs.all(axis=-1).any()


@pytest.mark.parametrize(("column", "right", "left"), [(28, 1, 0), (68, 0, 1), (93, 0, 0)])
def test_the_share_inside_goes_to_the_lung_that_it_lies_in(column, right, left):
    inside = share_inside(at(50, column), LUNGS)
    assert inside.right == pytest.approx(right, abs=0.05)
    assert inside.left == pytest.approx(left, abs=0.05)
    assert inside.both == inside.right + inside.left


def test_activation_that_is_not_coloured_does_not_count():
    inside = share_inside(np.maximum(at(50, 28), 0.34), LUNGS)
    assert inside == share_inside(at(50, 28), LUNGS)


def test_the_share_is_that_of_the_sums():
    inside = share_inside(np.ones((8, 8), np.float32), LUNGS)
    assert inside.both == pytest.approx(LUNGS.any(axis=-1).mean())


def main_region(activation: np.ndarray, lungs: np.ndarray, rows: int, columns: int) -> Region:
    return main_place(activation, lungs).outlined(rows, columns)


@pytest.mark.parametrize(("column", "side"), [(28, "right"), (68, "left")])
def test_the_main_region_is_named_after_its_lung_and_ends_at_the_lungs_edge(column, side):
    region = main_region(at(50, column + 12), LUNGS, rows=960, columns=480)
    assert region.side == side
    columns, rows = region.outline.T
    lung = LUNGS[..., ["right", "left"].index(side)].any(axis=0)
    first, last = np.flatnonzero(lung)[[0, -1]]
    assert first * 5 <= columns.min() < columns.max() <= (last + 1) * 5
    assert rows.min() < 500 < rows.max()


def test_the_main_region_covers_what_reaches_half_the_maximum_inside_the_lung():
    activation = at(50, 68)
    expected = (spread(activation, 96, 96) >= 0.5) & LUNGS[..., 1]
    assert area(main_region(activation, LUNGS, 96, 96).outline) == expected.sum()


def test_a_place_inside_a_lung_goes_before_a_stronger_one_outside():
    region = main_region(np.maximum(at(4, 90), 0.7 * at(50, 28)), LUNGS, 96, 96)
    assert region.side == "right"


def test_a_place_outside_the_lungs_has_no_side_and_ends_at_the_corner_of_the_film():
    region = main_region(at(0, 95), LUNGS, rows=300, columns=200)
    columns, rows = region.outline.T
    assert region.side is None
    assert (columns.max(), rows.min()) == (200, 0)


places = st.tuples(st.integers(0, 95), st.integers(0, 95))


@given(first=places, second=places, rows=st.integers(1, 5000), columns=st.integers(1, 5000))
def test_the_main_region_is_closed_within_the_film_and_meets_no_point_twice(first, second, rows, columns):
    outline = main_region(np.maximum(at(*first), 0.8 * at(*second)), LUNGS, rows, columns).outline
    assert np.array_equal(outline[0], outline[-1])
    assert (outline >= 0).all()
    assert (outline <= (columns, rows)).all()
    assert area(outline) > 0
    assert len(np.unique(outline[:-1], axis=0)) == len(outline) - 1


@given(place=places)
def test_the_shares_of_both_lungs_lie_between_nothing_and_all(place):
    inside = share_inside(at(*place), LUNGS)
    assert min(inside) >= 0
    assert inside.both <= 1 + 1e-6
