"""Figures of the lung network, from films whose truth and answer are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import chest_pixels
from PIL import Image
from pydicom import dcmread

from daemon.cli import main
from model.evaluation.gate import MIRRORED, codes_of, gate_figures, is_right
from model.evaluation.lungs import Seen, box_figures, field_figures, table
from model.lungs import FINDERS, LATEST, Found, FoundBox, LungFinder
from model.pixels import display_picture
from model.training.films import LabelledFilm
from model.weights import open_version

RIGHT_LUNG, LEFT_LUNG = (0.1, 0.2, 0.4, 0.8), (0.6, 0.2, 0.9, 0.8)
FILMS = Path(__file__).parents[2] / "shared" / "films"
OTHER_PARTS = (
    "hip-cr-rle.dcm",
    "tibia-cr-mono1-j2k-lossy.dcm",
    "knee-dx-voi-lut-sequence.dcm",
    "teeth-cr-modality-lut.dcm",
    "chest-dx-dog-lateral.dcm",
)
UPRIGHT = {0: 0.9, 90: 0.05, 180: 0.03, 270: 0.02}


def drawn(*corners: tuple[float, ...], size: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    for left, top, right, bottom in corners:
        mask[round(top * size) : round(bottom * size), round(left * size) : round(right * size)] = True
    return mask


def seen(group: str, *found: tuple[str, tuple[float, ...]], opacities=None) -> Seen:
    """A film with two lungs, of which the network found these boxes, and the lungs among them as fields."""
    fields = np.zeros((100, 100, 2), np.float32)
    fields[..., 0] = drawn(*(corners for name, corners in found if name != "opacity"), size=100)
    boxes = tuple(FoundBox(name, 0.9, *corners) for name, corners in found)
    lungs = {"lung_right": [RIGHT_LUNG], "lung_left": [LEFT_LUNG]}
    film = LabelledFilm(f"{group}.png", "normal", group, "kaggle", 8)
    mask = drawn(RIGHT_LUNG, LEFT_LUNG, size=300)
    return Seen(film, mask, lungs, opacities, Found(fields, boxes, UPRIGHT, 0.1, 0.9))


BOTH = ("lung_right", RIGHT_LUNG), ("lung_left", LEFT_LUNG)


def test_fields_that_lie_on_the_mask_have_a_dice_of_1_and_half_of_them_two_thirds():
    films = [seen("a", *BOTH), seen("b", BOTH[0])]
    assert field_figures(films[:1])["dice"] == pytest.approx(1, abs=0.01)
    figures = field_figures(films[1:])
    assert figures["dice"] == pytest.approx(2 / 3, abs=0.01)
    assert figures["iou"] == pytest.approx(1 / 2, abs=0.01)
    assert field_figures(films)["share_dice_below_0.9"] == 0.5


def test_boxes_count_by_name_and_opacities_only_where_they_are_drawn():
    films = [seen("a", *BOTH), seen("b", BOTH[0], ("lung_left", RIGHT_LUNG))]
    figures = box_figures(films)
    assert figures["lung_ap50"] == pytest.approx((1 + 0.5) / 2)
    assert figures["n_opacity"] == 0
    assert "opacity_ap50" not in figures
    films.append(seen("c", *BOTH, ("opacity", RIGHT_LUNG), opacities=[RIGHT_LUNG]))
    assert box_figures(films)["opacity_ap75"] == pytest.approx(1)


GATE = {
    "n": 4,
    "changes": {
        "as they are": {
            "wanted": "accepted", "right": 0.75, "became": {"accepted": 3, "NOT_PLAUSIBLE": 1},
            "by_source": {"kaggle": 0.75},
        },
        "inverted": {
            "wanted": "POLARITY_INVERTED", "right": 0.25, "became": {"accepted": 3, "POLARITY_INVERTED": 1},
            "by_source": {"kaggle": 0.25},
        },
    },
    "named_right": 0.25,
    "bars": {"accepted": {"least": 0.99, "met": False}, "named_right": {"least": 0.97, "met": False}},
    "ci95": {"as they are": [0.5, 1.0], "inverted": [0.0, 0.5], "named_right": [0.0, 0.5]},
    "not_chests": {
        "drawn": {"n": 2, "refused": 0.5, "by_kind": {"one_lung": {"n": 2, "refused": 0.5}}},
        "photographs": {"n": 4, "refused": 0.75},
    },
    "notes": [MIRRORED],
}  # fmt: skip


def test_the_table_shows_each_part_with_its_intervals():
    films = [seen(name, *BOTH) for name in "abcd"]
    part = {"kaggle": field_figures(films)}
    found = {
        "model": "lungs-1", "version": "0.1.0", "milliseconds_per_film": 5.0,
        "fields": part, "boxes": {"kaggle": box_figures(films)},
        "gate": GATE,
    }  # fmt: skip
    lines = table(found).splitlines()
    assert "lungs-1 0.1.0, 5.0 ms a film" in lines
    assert any(line.startswith("kaggle") and "1.000 (1.000-1.000)" in line for line in lines)
    (inverted,) = (line for line in lines if "POLARITY_INVERTED  0.250 (0.000-0.500)" in line)
    assert inverted.endswith("3 accepted, 1 POLARITY_INVERTED")
    assert "  photographs              4  0.750" in lines
    assert "accepted: 0.99 asked, not met" in lines
    assert any("mirrored film cannot be told" in line for line in lines)


@pytest.fixture
def chests(tmp_path) -> list[LabelledFilm]:
    """Drawn chests of two sources, outlined, and a black film."""
    films = []
    for number, source in enumerate(("kaggle", "kaggle", "ieee")):
        picture = (chest_pixels(200, 190) >> 4).astype(np.uint8) // (1 + number)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        films.append(LabelledFilm(f"{number}.png", "normal", str(number), source, 8))
    Image.new("L", (190, 200)).save(tmp_path / "3.png")
    films.append(LabelledFilm("3.png", "normal", "3", "ieee", 8))
    mask = drawn(RIGHT_LUNG, LEFT_LUNG, size=200) * np.uint8(2)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    lines = "".join(f"{film.file},mask.png\n" for film in films[:3])
    (tmp_path / "lung_masks.csv").write_text("file,mask_file\n" + lines)
    return films


def test_chests_changed_chests_and_what_is_none_are_judged_by_the_gate(chests, tmp_path):
    found = gate_figures(LungFinder(), chests, tmp_path / "manifest.csv", tmp_path)
    as_they_are = found["changes"]["as they are"]
    assert as_they_are["became"] == {"accepted": 3, "NOT_PLAUSIBLE": 1}
    assert as_they_are["by_source"] == {"ieee": 0.5, "kaggle": 1.0}
    assert found["changes"]["mirrored"]["right"] == 0.75
    assert found["changes"]["turned by 90 degrees"]["became"]["ROTATED"] == 3
    assert found["changes"]["inverted"]["became"]["POLARITY_INVERTED"] == 3
    assert found["changes"]["left half"]["right"] == found["changes"]["right half"]["right"] == 1
    assert found["named_right"] == 0.75
    assert found["bars"]["accepted"] == {"least": 0.99, "met": False}
    assert found["ci95"]["as they are"][0] < 0.75
    drawn_ones = found["not_chests"]["drawn"]
    assert found["not_chests"]["photographs"] == {"n": 4, "refused": 1.0}
    assert sum(kind["n"] for kind in drawn_ones["by_kind"].values()) == drawn_ones["n"] == 390
    assert drawn_ones["by_kind"]["noise"]["refused"] == 1
    assert any("only real pictures without a chest" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("code", "wanted", "right"),
    [
        ("accepted", "accepted", True),
        ("ROTATED", "accepted", False),
        ("POLARITY_INVERTED", "ROTATED", False),
        ("LUNGS_MISSING", "refused", True),
        ("accepted", "refused", False),
    ],
)
def test_what_becomes_of_a_film_is_right_where_it_is_what_was_wanted(code, wanted, right):
    assert is_right(code, wanted) == right


@pytest.mark.skipif(not FILMS.exists(), reason="the shared films are not beside the project")
@pytest.mark.parametrize("name", OTHER_PARTS)
def test_a_film_of_another_part_of_the_body_is_refused_by_its_picture(name):
    display, _ = display_picture(dcmread(FILMS / name))
    assert codes_of(LungFinder(), [display]) == ["NOT_PLAUSIBLE"]


def test_the_figures_that_ship_with_the_lung_network_are_its_own_and_meet_the_bars():
    found = json.loads((FINDERS / LATEST / "figures.json").read_text())
    assert found["weights_sha256"] == open_version(FINDERS / LATEST).weights_sha256
    assert all(bar["met"] for bar in found["gate"]["bars"].values())
    card = (FINDERS / LATEST / "card.md").read_text()
    for share in (found["gate"]["changes"]["as they are"]["right"], found["gate"]["named_right"]):
        assert f"{share:.3f}" in card


def test_the_lung_network_is_judged_by_its_own_films_only(tmp_path, capsys):
    films = ["--manifest", str(tmp_path / "films.csv"), "--root", str(tmp_path)]
    assert main(["evaluate", "--lungs", "--folds", "8", *films]) == 2
    assert "no --card, --report, --folds or --sources" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", "--lungs", "--model", "gao-2020", *films])
