"""Lines round what lies above a level."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from daemon.results.contours import closed_lines


def filled(lines: list[np.ndarray], rows: int, columns: int) -> np.ndarray:
    """What lies within an odd number of lines, bool."""
    inside = np.zeros((rows, columns), bool)
    for line in lines:
        drawn = Image.new("1", (columns * 8, rows * 8))  # Pillow fills the border of a polygon, too
        ImageDraw.Draw(drawn).polygon([tuple(point) for point in line * 8 - 0.5], fill=1)
        inside ^= np.asarray(drawn)[4::8, 4::8]
    return inside


def disc(rows: int, columns: int, row: float, column: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    return radius - np.hypot(y - row, x - column)


def test_the_line_round_a_disc_is_a_circle_in_pixels_of_the_film():
    (line,) = closed_lines(disc(60, 80, 30, 40, 20), 0, 600, 1600, 500)
    assert np.array_equal(line[0], line[-1])
    assert len(line) > 100
    radius = np.hypot((line[:, 0] - 800) / 20, (line[:, 1] - 300) / 10)
    assert np.abs(radius - 20).max() < 0.05


def test_a_hole_and_a_second_piece_have_lines_of_their_own():
    first, second = disc(90, 120, 40, 40, 30), disc(90, 120, 50, 100, 12)
    ring = np.minimum(first, -disc(90, 120, 40, 40, 15))
    field = np.maximum(ring, second)
    lines = closed_lines(field, 0, 90, 120, 1000)
    assert len(lines) == 3
    assert (filled(lines, 90, 120) != (field >= 0)).mean() < 0.004


def test_what_the_film_cuts_off_is_closed_along_its_edge():
    field = disc(100, 100, 50, 0, 30)
    (line,) = closed_lines(field, 0, 200, 300, 1000)
    assert line.min() == 0
    along = line[line[:, 0] == 0, 1]
    assert (along.min(), along.max()) == pytest.approx((40, 160), abs=2)
    everything = closed_lines(np.ones((10, 10)), 0.5, 200, 300, 1000)
    assert (everything[0].min(axis=0).tolist(), everything[0].max(axis=0).tolist()) == ([0, 0], [300, 200])


def test_a_long_line_keeps_its_shape_in_few_points():
    field = disc(400, 400, 200, 200, 150)
    (line,) = closed_lines(field, 0, 400, 400, 200)
    assert len(line) == 200
    assert np.array_equal(line[0], line[-1])
    assert (filled([line], 400, 400) != (field >= 0)).mean() < 0.005


def test_two_samples_that_touch_at_a_corner_are_two_lines():
    field = np.zeros((4, 4))
    field[1, 1] = field[2, 2] = 1
    for corners in (field, field[:, ::-1]):
        assert len(closed_lines(corners, 0.5, 4, 4, 100)) == 2


def test_where_nothing_reaches_the_level_there_is_no_line():
    assert closed_lines(np.zeros((5, 5)), 0.5, 50, 50, 100) == []


def test_random_fields_are_enclosed_to_the_sample():
    random = np.random.default_rng(3)
    for _ in range(20):
        field = random.random((9, 7))
        lines = closed_lines(np.kron(field >= 0.5, np.ones((20, 20))), 0.5, 180, 140, 10_000)
        inside = np.kron(field >= 0.5, np.ones((20, 20))) > 0
        assert (filled(lines, 180, 140) != inside).mean() < 0.01
