"""A training from end to end, on films that cost nothing."""

import csv
import datetime
import itertools

import numpy as np
import pytest
from conftest import chest_pixels
from PIL import Image

from model.reader import Reader
from model.training.train import split, train
from model.weights import VERSIONS, open_version, read_recipe

SOURCES = {"normal": "nih", "bacterial": "kaggle", "viral": "kaggle", "covid19": "cxnet"}
COLUMNS = ("file", "label", "group_id", "source", "fold", "other", "age_group", "geometry", "licence")


@pytest.fixture(scope="module")
def film_set(tmp_path_factory):
    """Two films of each class on each side of the split, and a manifest."""
    root = tmp_path_factory.mktemp("films")
    rows = []
    sides = ((0, None), (7, None), (8, None), (3, "ieee"))
    for number, (label, (fold, source), _) in enumerate(itertools.product(SOURCES, sides, range(2))):
        pixels = np.roll(chest_pixels() >> 4, 3 * number, axis=1).astype(np.uint8)
        Image.fromarray(pixels).resize((150, 160)).save(root / f"{number}.png")
        named = source or SOURCES[label]
        values = (f"{number}.png", label, f"g{number}", named, fold, label, "adult", "native", "CC0")
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return root


# Keras copies arrays in a way that NumPy 2 deprecates; not ours to mend.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_training_leaves_a_version_that_the_reader_opens(film_set, tmp_path):
    pytest.importorskip("matplotlib")
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    text = (VERSIONS / "gao-2020" / "model.toml").read_text()
    (recipe / "model.toml").write_text(text.replace("epochs = 90", "epochs = 1"))
    out = tmp_path / "version"
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    manifest = train(recipe, film_set / "manifest.csv", film_set, out, now)
    assert manifest["date"] == "2026-01-02"
    assert manifest["data"]["films"] == {"train": 8, "validate": 8, "test": 8, "held_out": 8}
    assert open_version(out).manifest == manifest
    assert Reader(out, batch_size=1).model.name == "gao-2020"
    for step in ("step1", "step2"):
        assert (out / f"{step}-curves.csv").read_text().count("\n") == 2
        assert (out / f"{step}-curves.png").exists()


def test_the_small_version_differs_from_the_large_in_its_films_alone():
    small, large = (read_recipe(VERSIONS / name) for name in ("gao-2020-small", "gao-2020"))
    sample = small.pop("sample")
    assert sum(sample["films"].values()) == 1400
    assert small | {"name": "gao-2020"} == large


def test_a_sample_of_a_recipe_reduces_the_training_films_alone():
    from model.training.films import LabelledFilm

    films = [
        LabelledFilm(f"{n}.png", label, f"{label}{n}", "kaggle", fold)
        for label in SOURCES
        for n, fold in enumerate((0, 1, 2, 7, 8))
    ]
    recipe = read_recipe(VERSIONS / "gao-2020")
    counts = dict.fromkeys(SOURCES, 2)
    sides = split(films, recipe | {"sample": {"seed": 1, "films": counts}})
    assert {side: len(of_side) for side, of_side in sides.items()} == {
        "train": 8,
        "validate": 4,
        "test": 4,
        "held_out": 0,
    }
