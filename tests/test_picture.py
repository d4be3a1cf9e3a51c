"""The picture of a reading: its looks."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from daemon.results import picture, wording
from model.activation import Inside
from model.lungs import lungs_of
from model.scope import OutOfScope

STORED = Path(__file__).parent / "data"


def display(rows: int, columns: int) -> np.ndarray:
    """A film as a viewer shows it, smooth so that the stored pictures are small."""
    grey = Image.fromarray((chest_pixels(rows // 8, columns // 8) >> 8).astype(np.uint8) * 16)
    return np.asarray(grey.resize((columns, rows), Image.Resampling.BICUBIC))


CASES = {
    "covid-portrait-1024": (readings.covid, (1000, 944), 1024),
    "normal-square-512": (readings.normal, (640, 640), 512),
    "bacterial-landscape-512": (readings.bacterial, (520, 640), 512),
    "disagree-tall-512": (readings.steps_disagree, (960, 640), 512),
    "outside-lungs-square-512": (readings.outside_lungs, (640, 640), 512),
}


OVERLAYS = {
    "overlay-other-virus-portrait-1024": (readings.other_virus, (1000, 944), 1024),
    "overlay-normal-landscape-512": (readings.normal, (520, 640), 512),
    "overlay-outside-lungs-square-512": (readings.outside_lungs, (640, 640), 512),
    "overlay-disagree-tall-512": (readings.steps_disagree, (960, 640), 512),
}
LATERAL = OutOfScope("NOT_FRONTAL", "lateral view", "one frontal chest film of a person")
REFUSED = {
    "not-analysed-landscape-1024": (LATERAL, (512, 640), 1024),
    "not-analysed-square-512": (OutOfScope("SOP_CLASS", "an object", "m" * 90), (640, 640), 512),
}


def drawn_as(name: str) -> np.ndarray:
    """One of the pictures that are stored."""
    if name in REFUSED:
        refusal, size, longest_side = REFUSED[name]
        return picture.draw_not_analysed(display(*size), refusal, readings.MODEL, NOW, longest_side)
    draw = picture.draw_overlay if name in OVERLAYS else picture.draw
    reading, size, longest_side = (CASES | OVERLAYS)[name]
    return draw(display(*size), reading(), NOW, longest_side)


@pytest.mark.parametrize("name", CASES | OVERLAYS | REFUSED)
def test_the_picture_looks_as_stored(name, tmp_path):
    """FreeType versions differ in the edges of letters: few pixels may differ, and little on average.

    After a wanted change, look at the new picture in pytest's folder and store it.
    """
    drawn = drawn_as(name)
    Image.fromarray(drawn).save(tmp_path / f"picture-{name}.png", optimize=True)
    stored = np.asarray(Image.open(STORED / f"picture-{name}.png"))
    assert drawn.shape == stored.shape
    difference = np.abs(drawn.astype(int) - stored)
    assert difference.mean() < 0.2
    assert (difference.max(axis=2) > 48).mean() < 0.002


@pytest.mark.parametrize("longest_side", [512, 1024, 1500])
@pytest.mark.parametrize("shape", [(300, 1000), (700, 700), (1000, 820), (1000, 300), (40, 30)])
def test_the_width_is_the_longest_side_and_the_height_never_more(shape, longest_side):
    film = display(*shape)
    for drawn in (
        picture.draw(film, readings.covid(), NOW, longest_side),
        picture.draw_overlay(film, readings.covid(), NOW, longest_side),
        picture.draw_not_analysed(film, LATERAL, readings.MODEL, NOW, longest_side),
    ):
        assert drawn.shape[1] == longest_side
        assert longest_side * 0.25 < drawn.shape[0] <= longest_side


@pytest.mark.parametrize("name", readings.ALL)
@pytest.mark.parametrize("longest_side", [512, 1024])
def test_the_column_beside_the_film_stays_in_its_place(name, longest_side):
    """Nothing between film and column, to the right of the last figure, and below the column."""
    drawn = picture.draw_overlay(display(960, 640), readings.ALL[name](), NOW, longest_side)
    unit = longest_side / 1024
    top, bottom = round(146 * unit), round((144 + 580) * unit)
    assert not drawn[top:-80, round(649 * unit) : round(671 * unit)].any()
    assert not drawn[top:-80, round(1014 * unit) :].any()
    assert not drawn[bottom : -round(70 * unit), round(671 * unit) :].any()


@pytest.mark.parametrize("shape", [(1, 700), (700, 1)])
def test_a_film_of_one_line_of_pixels_is_drawn(shape):
    film = np.full(shape, 90, np.uint8)
    for draw in (picture.draw, picture.draw_overlay):
        assert draw(film, readings.covid(), NOW, 1024).any()


def test_of_a_film_that_is_not_read_nothing_is_drawn_on_it_nor_anything_coloured():
    film = display(520, 500)
    drawn = picture.draw_not_analysed(film, LATERAL, readings.MODEL, NOW, 1024)
    left, right = film_areas(drawn, 520, 500)
    assert np.array_equal(left, np.repeat(film[:, :, None], 3, axis=2))
    assert (drawn.max(axis=2) == drawn.min(axis=2)).all()
    assert (right[0] == 70).all()
    assert (right[:, -1] == 70).all()
    assert not right[1:200, 1:-1].any()


def test_a_subline_too_long_to_be_read_is_cut_and_says_so():
    short = OutOfScope("NOT_CHEST", "KNEE", "CHEST")
    assert wording.refusal_head(short)[1] == "found: KNEE,  expected: CHEST"
    long = OutOfScope("NOT_CHEST", "KNEE", "m" * 200)
    drawn = picture.draw_not_analysed(display(520, 500), long, readings.MODEL, NOW, 1024)
    assert drawn[112:138, 40:984].any()
    assert not drawn[112:140, :30].any()
    assert not drawn[112:140, 994:].any()


def film_areas(drawn: np.ndarray, rows: int, columns: int) -> list[np.ndarray]:
    """Left and right film of a picture of 1024 pixels."""
    starts = (round(258 - columns / 2), round(766 - columns / 2))
    return [drawn[144 : 144 + rows, start : start + columns] for start in starts]


def test_nothing_is_drawn_on_the_left_film():
    film = display(520, 500)
    left, right = film_areas(picture.draw(film, readings.covid(), NOW, 1024), 520, 500)
    assert np.array_equal(left, np.repeat(film[:, :, None], 3, axis=2))
    assert not np.array_equal(right, left)


def bluish(area: np.ndarray) -> np.ndarray:
    """Where the outline's colour is, bool; the films are grey and amber is the opposite of blue."""
    return area[..., 2].astype(int) - area[..., 0] > 40


EMPTY = readings.make_reading((0.1, 0.8, 0.1), activation=np.zeros((8, 8), np.float32))


@pytest.mark.parametrize("reading", [readings.normal(), EMPTY], ids=["normal", "empty"])
def test_without_activation_the_lungs_are_outlined_and_nothing_else_is_drawn(reading):
    left, right = film_areas(picture.draw(display(520, 500), reading, NOW, 1024), 520, 500)
    edge, changed = lung_edges(520, 500), (right != left).any(axis=2)
    assert not (edge & ~binary_dilation(bluish(right), iterations=6)).any()
    assert not (changed & ~binary_dilation(edge, iterations=6)).any()


def lung_edges(rows: int, columns: int) -> np.ndarray:
    """Where the lungs of the readings begin, (rows, columns) bool, one pixel wide."""
    lungs = Image.fromarray(lungs_of(readings.two_lungs()).any(axis=-1)).resize((columns, rows))
    return np.asarray(lungs) & ~binary_erosion(np.asarray(lungs))


@pytest.mark.parametrize("name", readings.ALL)
@pytest.mark.parametrize("longest_side", [512, 1024])
def test_the_lungs_are_outlined_whatever_the_reading_says(name, longest_side):
    drawn = picture.draw(display(700, 700), readings.ALL[name](), NOW, longest_side)
    right = drawn[:, longest_side // 2 :]
    assert bluish(right).sum() > longest_side
    assert not bluish(drawn[:, : longest_side // 2]).any()


def test_no_line_is_drawn_round_what_is_no_lung():
    speckled = readings.two_lungs()
    speckled[4:8, 4:8, 0] = 0.9
    speckled[0:16, 80:96] = 0.499
    reading = dataclasses.replace(readings.normal(), lungs=lungs_of(speckled))
    drawn = picture.draw(display(520, 500), reading, NOW, 1024)
    assert np.array_equal(drawn, picture.draw(display(520, 500), readings.normal(), NOW, 1024))


def test_a_lung_that_the_film_cuts_off_has_no_line_along_the_edge():
    lungs = np.zeros((96, 96, 2), bool)
    lungs[20:70, :40, 0] = True
    lungs[20:70, 60:, 1] = True
    reading = dataclasses.replace(readings.normal(), lungs=lungs)
    left, right = film_areas(picture.draw(display(520, 500), reading, NOW, 1024), 520, 500)
    assert np.array_equal(left[140:340, [0, 1, -2, -1]], right[140:340, [0, 1, -2, -1]])
    assert bluish(right[108, :180]).all() or bluish(right[109, :180]).all()


def test_nothing_is_drawn_beside_the_cells_of_the_films():
    empty = dataclasses.replace(readings.outside_lungs(), lungs=np.ones((96, 96, 2), bool))
    for reading in (readings.outside_lungs(), empty):
        drawn = picture.draw(np.zeros((520, 500), np.uint8), reading, NOW, 1024)
        films = drawn[144 : 144 + 520]
        assert not films[:, :516].any()
        assert not films[:, 1016:].any()


@pytest.mark.parametrize("longest_side", [512, 1024])
@pytest.mark.parametrize("inside", [Inside(0.0, 0.0), Inside(0.5, 0.5)])
def test_the_figure_of_the_share_stays_clear_of_its_bar(inside, longest_side):
    reading = readings.make_reading((0.1, 0.8, 0.1), inside=inside)
    drawn = picture.draw(display(520, 500), reading, NOW, longest_side)
    unit = longest_side / 1024
    row = round((144 + 520 + 30 + 132 + 26 + 29 - 7) * unit)
    after = drawn[row - 6 : row + 8, round(438 * unit) : round(440 * unit)]
    assert not after.any()


@pytest.mark.parametrize("longest_side", [512, 1024])
@pytest.mark.parametrize("least", [0.0, 0.1, 1.0])
def test_the_name_of_a_threshold_at_an_end_stays_clear_of_the_title_and_in_its_column(least, longest_side):
    reading = dataclasses.replace(readings.bacterial(), least_inside=least)
    drawn = picture.draw(display(520, 500), reading, NOW, longest_side)
    unit = longest_side / 1024
    title = drawn[round((144 + 520 + 30 + 132 + 8) * unit) : round((144 + 520 + 30 + 132 + 31) * unit)]
    assert not title[:, round(150 * unit) : round(183 * unit)].any()
    assert not title[:, round(498 * unit) : round(526 * unit)].any()


def test_the_bar_of_the_share_ends_at_the_share():
    drawn = picture.draw(display(520, 500), readings.outside_lungs(), NOW, 1024)
    row = drawn[144 + 520 + 30 + 132 + 26 + 29 - 4, 184:438, 0]
    assert (row[:88] == 240).all()  # 35 % of 254
    assert (row[90:148] == 46).all()


def test_the_film_stays_visible_below_the_activation_and_untouched_away_from_it():
    dark, bright = np.zeros((520, 500), np.uint8), np.full((520, 500), 255, np.uint8)
    _, on_dark = film_areas(picture.draw(dark, readings.covid(), NOW, 1024), 520, 500)
    _, on_bright = film_areas(picture.draw(bright, readings.covid(), NOW, 1024), 520, 500)
    row, column = 292, 406  # the maximum: cell (4, 6) of 8 x 8
    assert (on_bright[row, column].astype(int) - on_dark[row, column] >= 127).all()
    assert not on_dark[:, :40].any()


def test_a_long_model_name_is_not_cut_off():
    model = dataclasses.replace(readings.MODEL, name="a-model-with-a-name-of-" + "m" * 40, version="10.20.30")
    reading = readings.make_reading((0.9, 0.05, 0.05), model=model)
    drawn = picture.draw(display(520, 500), reading, NOW, 1024)
    assert not drawn[-60:, :20].any()
    assert not drawn[-60:, -20:].any()


def test_outside_the_right_film_and_the_legend_nothing_is_coloured():
    drawn = picture.draw(display(520, 500), readings.covid(), NOW, 1024).astype(int)
    coloured = drawn.max(axis=2) != drawn.min(axis=2)
    coloured[144 : 144 + 520, 516:1016] = False
    coloured[144 + 520 + 30 + 132 :, 528:] = False
    assert not coloured.any()
