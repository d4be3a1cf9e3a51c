"""The activation, from the model's grid to the film."""

import numpy as np
import pytest
from readings import blob

from daemon.results.activation import is_empty, region, spread, whole_film


def test_the_spread_activation_has_its_maximum_where_the_grid_has_it():
    share = spread(blob(row=2, column=6) * 3, 800, 400)
    row, column = np.unravel_index(share.argmax(), share.shape)
    assert (row // 100, column // 50) == (2, 6)
    assert share.max() == 1
    assert share.min() >= 0


def test_negative_activation_counts_as_none():
    assert is_empty(-blob())
    assert not spread(-blob(), 80, 80).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_activation_that_is_no_number_is_refused(value):
    activation = blob()
    activation[0, 0] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        is_empty(activation)


def test_the_region_is_closed_and_lies_around_the_maximum_inside_the_film():
    outline = region(blob(row=4, column=6), rows=1600, columns=800)
    assert np.array_equal(outline[0], outline[-1])
    assert (outline >= 0).all()
    assert (outline <= (800, 1600)).all()
    columns, rows = outline.T
    assert columns.min() < 6.5 * 100 < columns.max()
    assert rows.min() < 4.5 * 200 < rows.max()
    assert len(np.unique(outline[:-1], axis=0)) == len(outline) - 1


def test_the_region_covers_what_reaches_half_the_maximum():
    activation = blob()
    columns, rows = region(activation, rows=64, columns=64).T
    area = abs(np.sum(columns[:-1] * rows[1:] - columns[1:] * rows[:-1])) / 2
    assert area == (spread(activation, 64, 64) >= 0.5).sum()


def test_only_the_place_that_holds_the_maximum_is_outlined():
    two_places = np.maximum(blob(row=4, column=6.5), 0.8 * blob(row=4, column=0.5))
    columns, _ = region(two_places, rows=80, columns=80).T
    assert columns.min() > 40


def test_a_region_at_the_corner_ends_at_the_corner_of_the_film():
    corner = np.zeros((8, 8), np.float32)
    corner[0, 7] = 1
    columns, rows = region(corner, rows=300, columns=200).T
    assert (columns.max(), rows.min()) == (200, 0)


def test_the_whole_film_is_a_closed_rectangle():
    assert whole_film(300, 200).tolist() == [[0, 0], [200, 0], [200, 300], [0, 300], [0, 0]]
