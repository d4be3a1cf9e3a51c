"""The card of a version is written from its figures, pictures and all."""

import json
import shutil

import pytest
from collection import make_collection
from conftest import NOW
from PIL import Image
from test_metrics import judged

from daemon.cli import main
from model.evaluation import plots
from model.evaluation.card import write_card
from model.evaluation.card_figures import figure
from model.lungs import FINDERS, LATEST
from model.weights import VERSIONS, digest, open_version


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    bare = shutil.ignore_patterns("card*", "figures.json")
    version = shutil.copytree(VERSIONS / "gao-2020", folder / "version", ignore=bare)
    return write_card(version, make_collection(folder), folder, NOW)


def test_the_card_has_every_chapter_and_its_numbers_are_those_of_the_figures(card):
    text, found = card.read_text(), json.loads((card.parent / "figures.json").read_text())
    for chapter in (
        "In short", "Intended use", "Refused and undecided films", "Data", "Model and training",
        "Performance", "What a decision is worth", "Calibration", "Shortcuts", "Robustness", "Failures",
        "Limits",
    ):  # fmt: skip
        assert f"\n## {chapter}" in text
    assert "RESEARCH USE ONLY - NOT FOR DIAGNOSIS" in text
    assert "lungs-1 0.1.0" in text
    assert "A mirrored film cannot be told" in text
    assert "| share said to point outside the lungs |" in text
    assert "of its activation lies inside the lungs" in text.replace("\n", " ")
    assert found["weights_sha256"] in text
    assert found["date"] == "2026-11-25"
    for side in found["sides"].values():
        low, high = side["ci95"]["accuracy"]
        assert f"{side['accuracy']:.3f} ({low:.3f}-{high:.3f})" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("|", "-"))) <= 110


def test_the_pictures_of_the_card_are_there_and_small(card):
    for name in ("calibration.png", "sources.png", "failures.png"):
        assert f"](card/{name})" in card.read_text()
        with Image.open(card.parent / "card" / name) as picture:
            assert picture.width == 800
    assert sum(path.stat().st_size for path in (card.parent / "card").iterdir()) < 300_000


def test_a_score_is_no_probability_until_calibration_is_shown(card):
    assert "calibration is **not** shown" in card.read_text().replace("\n", " ")


def test_only_films_that_may_be_shown_are_shown_as_failures():
    wrong = [(0.0, 1.0, 0.0), (0.1, 0.9, 0.0), (0.8, 0.2, 0.0)]
    films = judged(["normal"] * 3, wrong, source=["ieee", "kaggle", "nih"])
    assert plots.surest_failures(films) == [1]


def test_a_figure_of_a_part_has_the_interval_of_the_part():
    of_side = {
        "accuracy": 0.9, "ci95": {"accuracy": [0.8, 1.0]},
        "by_source": {"ieee": {"auc": {"q": 0.7}, "ci95": {"auc": {"q": [0.6, 0.8]}}}, "none": {"n": 1}},
    }  # fmt: skip
    assert figure(of_side, ("accuracy",)) == (0.9, [0.8, 1.0])
    assert figure(of_side, ("by_source", "ieee", "auc", "q")) == (0.7, [0.6, 0.8])
    assert figure(of_side, ("by_source", "none", "auc", "q")) == (None, None)
    assert figure(of_side, ("by_source", "absent", "accuracy")) == (None, None)


def test_a_card_that_ships_is_of_the_weights_that_ship():
    for card in VERSIONS.glob("*/card.md"):
        of_both = open_version(card.parent.name).weights + open_version(FINDERS / LATEST).weights
        assert digest(of_both) in card.read_text()
        assert json.loads((card.parent / "figures.json").read_text())["weights_sha256"] == digest(of_both)


def test_a_card_takes_neither_folds_nor_sources(tmp_path, capsys):
    arguments = ["--model", "gao-2020", "--manifest", "m.csv", "--root", str(tmp_path), "--card"]
    assert main(["evaluate", *arguments, "--folds", "8"]) == 2
    assert "no --folds or --sources" in capsys.readouterr().err
