"""The picture of a reading: its looks."""

from pathlib import Path

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels
from PIL import Image

from daemon.results import picture

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
}


@pytest.mark.parametrize("name", CASES)
def test_the_picture_looks_as_stored(name, tmp_path):
    """FreeType versions differ in the edges of letters: few pixels may differ, and little on average.

    After a wanted change, look at the new picture in pytest's folder and store it.
    """
    reading, size, longest_side = CASES[name]
    drawn = picture.draw(display(*size), reading(), NOW, longest_side)
    Image.fromarray(drawn).save(tmp_path / f"picture-{name}.png", optimize=True)
    stored = np.asarray(Image.open(STORED / f"picture-{name}.png"))
    assert drawn.shape == stored.shape
    difference = np.abs(drawn.astype(int) - stored)
    assert difference.mean() < 0.2
    assert (difference.max(axis=2) > 48).mean() < 0.002


@pytest.mark.parametrize("longest_side", [512, 1024, 1500])
@pytest.mark.parametrize("shape", [(300, 1000), (700, 700), (1000, 820), (1000, 300), (40, 30)])
def test_the_width_is_the_longest_side_and_the_height_never_more(shape, longest_side):
    drawn = picture.draw(display(*shape), readings.covid(), NOW, longest_side)
    assert drawn.shape[1] == longest_side
    assert longest_side * 0.3 < drawn.shape[0] <= longest_side


def film_areas(drawn: np.ndarray, rows: int, columns: int) -> list[np.ndarray]:
    """Left and right film of a picture of 1024 pixels."""
    starts = (round(258 - columns / 2), round(766 - columns / 2))
    return [drawn[144 : 144 + rows, start : start + columns] for start in starts]


def test_nothing_is_drawn_on_the_left_film():
    film = display(520, 500)
    left, right = film_areas(picture.draw(film, readings.covid(), NOW, 1024), 520, 500)
    assert np.array_equal(left, np.repeat(film[:, :, None], 3, axis=2))
    assert not np.array_equal(right, left)


def test_a_normal_reading_draws_no_activation():
    left, right = film_areas(picture.draw(display(520, 500), readings.normal(), NOW, 1024), 520, 500)
    assert np.array_equal(left, right)


def test_an_empty_activation_draws_none():
    empty = readings.make_reading((0.1, 0.8, 0.1), activation=np.zeros((8, 8), np.float32))
    left, right = film_areas(picture.draw(display(520, 500), empty, NOW, 1024), 520, 500)
    assert np.array_equal(left, right)


def test_the_film_stays_visible_below_the_activation_and_untouched_away_from_it():
    dark, bright = np.zeros((520, 500), np.uint8), np.full((520, 500), 255, np.uint8)
    _, on_dark = film_areas(picture.draw(dark, readings.covid(), NOW, 1024), 520, 500)
    _, on_bright = film_areas(picture.draw(bright, readings.covid(), NOW, 1024), 520, 500)
    row, column = 292, 406  # the maximum: cell (4, 6) of 8 x 8
    assert (on_bright[row, column].astype(int) - on_dark[row, column] >= 127).all()
    assert not on_dark[:, :100].any()


def test_a_long_model_name_is_not_cut_off():
    model = type(readings.MODEL)("a-model-with-a-name-of-" + "m" * 40, "10.20.30", "f" * 64, "method", (8, 8))
    reading = readings.make_reading((0.9, 0.05, 0.05), model=model)
    drawn = picture.draw(display(520, 500), reading, NOW, 1024)
    assert not drawn[-60:, :20].any()
    assert not drawn[-60:, -20:].any()


def test_only_the_activation_is_coloured():
    drawn = picture.draw(display(520, 500), readings.normal(), NOW, 1024).astype(int)
    assert (drawn.max(axis=2) == drawn.min(axis=2)).all()
