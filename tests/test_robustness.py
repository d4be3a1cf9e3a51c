"""What is changed, and that the twins of a film are the film."""

import csv

import numpy as np
import pytest
from conftest import chest_pixels
from PIL import Image

from model.evaluation.films import read_films
from model.evaluation.robustness import CHANGES, TWIN_BAR, robustness
from model.reader import Reader


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    with (root / "manifest.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["file", "label", "group_id"])
        for i in range(4):
            picture = (chest_pixels(200, 190 - 5 * i) // 17).astype(np.uint8)
            Image.fromarray(picture).save(root / f"{i}.png")
            writer.writerow([f"{i}.png", "normal", i])
    return robustness(Reader("gao-2020", 4), read_films(root / "manifest.csv"), root)


def test_every_change_has_a_figure_and_a_bar(found):
    assert set(found) == set(CHANGES)
    for row in found.values():
        assert row["n"] + row["refused"] == 4
        assert 0 <= row["median"] <= row["p99"] <= 1
        assert row["ci95"]["p99"][0] <= row["p99"] <= row["ci95"]["p99"][1]


def test_a_twin_of_a_film_has_its_scores(found):
    twins = {name for name, (_, _, bar) in CHANGES.items() if bar == TWIN_BAR}
    assert twins == {"MONOCHROME1 twin", "12 bits instead of 8"}
    assert all(found[name]["p99"] <= TWIN_BAR for name in twins)


def test_the_changes_do_what_their_names_say():
    picture = np.zeros((100, 80), np.uint8)
    picture[40:60, 30:50] = 200
    of = {name: change(picture) for name, (change, _, _) in CHANGES.items()}
    areas = {name: int((np.asarray(changed) > 100).sum()) for name, changed in of.items()}
    assert areas["enlarged by 10 %"] > areas["JPEG quality 95"] > areas["reduced by 10 %"]
    turned = of["turned by +5 degrees"][40:60, 30:50]
    assert turned.sum() < picture.sum()
    assert np.argwhere(of["reduced by 10 %"] > 100).mean(axis=0) == pytest.approx((49.5, 39.5), abs=0.6)
    assert of["stretched to 224 x 224"].shape == (224, 224)
    assert 1 < np.abs(of["noise, 5 grey levels of 255"].astype(int) - picture).mean() < 5
    assert np.array_equal(picture[40:60, 30:50], np.full((20, 20), 200))
