"""Tests for shortcuts: they find one that was put there and none where there is none."""

import csv

import numpy as np
import pytest
from PIL import Image
from test_metrics import judged

from model.evaluation import audit
from model.evaluation.films import JudgedFilm, read_films
from model.reader import Reader
from model.weights import VERSIONS, read_recipe


def with_features(features: np.ndarray, source: list[str]):
    n = len(source)
    films = judged(["normal"] * n, [(0.9, 0.1, 0.0)] * n, source=source)
    return type(films)(**(vars(films) | {"features": features}))


def test_a_source_that_can_be_told_from_the_features_is_told():
    source = ["north", "south"] * 60
    features = np.random.default_rng(1).normal(size=(120, 5))
    # Both films of a patient are of one source each; a patient has one of either.
    blind = audit.source_from_features(with_features(features, source))["normal"]
    assert (blind["guessing"], blind["sources"], blind["n"]) == (0.5, ["north", "south"], 120)
    assert abs(blind["balanced_accuracy"] - 0.5) < 0.15
    features[::2, 0] += 10
    assert audit.source_from_features(with_features(features, source))["normal"]["balanced_accuracy"] == 1


def test_a_source_with_few_patients_is_left_out():
    source = ["north"] * 100 + ["south"] * 10
    assert audit.source_from_features(with_features(np.zeros((110, 2)), source)) == {}


def test_only_the_part_that_is_shown_is_left():
    picture = np.arange(100, dtype=np.uint8).reshape(10, 10)
    mask = np.zeros((10, 10), bool)
    mask[4:6, 4:6] = True
    shown = {name: show(mask, picture) for name, show in audit.PARTS.items()}
    assert np.array_equal(shown["whole film"], picture)
    assert np.array_equal(shown["only the lungs"] == picture, mask | (picture == 49))
    assert np.array_equal(shown["lungs masked out"] == picture, ~mask)
    inner = shown["only the border"][1:9, 1:9]
    assert len(np.unique(inner)) == 1
    assert np.array_equal(shown["only the border"][0], picture[0])


def test_a_recipe_without_a_source_holds_it_out():
    recipe = read_recipe(VERSIONS / "gao-2020")
    without = audit.without_source(recipe, "nih")
    assert without["name"] == "gao-2020-without-nih"
    assert without["sources"]["train"] == ["kaggle", "cxnet", "hannover"]
    assert without["sources"]["held_out"][-1] == "nih"
    assert "nih" in recipe["sources"]["train"]


def of_two_classes(normals: list[str], covid: list[str], seed: int, shift: float):
    """Films whose first feature tells the class, and whose second the source named south."""
    rng = np.random.default_rng(seed)
    labels = ["normal"] * len(normals) + ["covid19"] * len(covid)
    source = normals + covid
    films = judged(labels, [(0.9, 0.1, 0.0)] * len(labels), source=source)
    features = rng.normal(size=(len(labels), 2))
    features[:, 0] += np.array([label == "covid19" for label in labels]) * 1.0
    features[:, 1] += np.array([name == "south" for name in source]) * shift
    return type(films)(**(vars(films) | {"features": features}))


def test_a_source_known_by_its_look_is_worth_less_to_a_last_layer_that_never_saw_it():
    # All COVID-19 films but a few come from the south, so that its look stands for the class.
    sources = ["north"] * 80 + ["east"] * 80, ["south"] * 70 + ["east"] * 10
    trained_on = of_two_classes(*sources, seed=1, shift=6)
    found = audit.last_layer_without_each_source(trained_on, of_two_classes(*sources, seed=2, shift=6))
    assert set(found) == {"normal, north", "normal, east", "covid19, south", "covid19, east"}
    south = found["covid19, south"]
    assert (south["n"], south["against"]) == (70, 160)
    assert south["auc"]["with"] > 0.97
    assert 0.5 < south["auc"]["without"] < 0.9
    assert south["ci95"]["without"][0] < south["auc"]["without"] < south["ci95"]["without"][1]


def test_a_source_without_films_to_judge_has_no_area():
    trained_on = of_two_classes(["north"] * 9 + ["east"] * 9, ["south"] * 9 + ["east"] * 9, seed=1, shift=0)
    only_north = of_two_classes(["north"] * 9, ["south"] * 9, seed=2, shift=0)
    assert audit.last_layer_without_each_source(trained_on, only_north)["covid19, east"]["auc"] is None


@pytest.fixture
def outlined(tmp_path):
    """Four films, of which two are outlined: the activation is looked for in these."""
    rng = np.random.default_rng(2)
    with (tmp_path / "manifest.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["file", "label", "group_id", "source", "fold"])
        for i, label in enumerate(("normal", "covid19", "viral", "bacterial")):
            Image.fromarray(rng.integers(0, 255, (90, 80), np.uint8)).save(tmp_path / f"{i}.png")
            writer.writerow([f"{i}.png", label, i, "north", 8])
    mask = np.zeros((90, 80), np.uint8)
    mask[20:70, 10:70] = 2
    mask[40:44, 10:70] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with (tmp_path / "lung_masks.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("file", "mask_file"), ("0.png", "mask.png"), ("1.png", "mask.png")])
    return tmp_path


def test_parts_and_activation_are_judged_on_outlined_films_alone(outlined):
    reader, films = Reader("gao-2020", 4), read_films(outlined / "manifest.csv")
    masks = audit.lung_masks(films, outlined)
    assert set(masks) == {"0.png", "1.png"}
    assert masks["0.png"].sum() == 46 * 60  # what lies over a lung is not counted
    found = audit.parts_of_the_film(reader, films, masks, outlined)
    assert set(found) == set(audit.PARTS)
    assert found["only the border"]["n"] == 2
    assert found["whole film"]["auc"]["covid19_against_normal"] in (0, 1)
    for share in audit.activation_in_the_lungs(reader, films, masks, outlined).values():
        assert 0 <= share["median"] <= 1
        assert share["lungs"] == pytest.approx(46 * 60 / 7200, abs=1e-4)
    assert audit.lung_masks([JudgedFilm("0.png", "normal", "0", "north", 8)], outlined / "none") == {}
