"""Figures of the lung network, from films whose truth and answer are drawn."""

import numpy as np
import pytest

from daemon.cli import main
from model.evaluation.lungs import Seen, box_figures, field_figures, table
from model.lungs import Found, FoundBox
from model.training.films import LabelledFilm

RIGHT_LUNG, LEFT_LUNG = (0.1, 0.2, 0.4, 0.8), (0.6, 0.2, 0.9, 0.8)
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


def test_the_table_shows_each_part_with_its_intervals():
    films = [seen(name, *BOTH) for name in "abcd"]
    part = {"kaggle": field_figures(films)}
    found = {
        "model": "lungs-1", "version": "0.1.0", "milliseconds_per_film": 5.0,
        "fields": part, "boxes": {"kaggle": box_figures(films)},
        "picture": {"n": 4, "upright": 1.0, "ci95": {"upright": [1.0, 1.0]}},
    }  # fmt: skip
    lines = table(found).splitlines()
    assert "lungs-1 0.1.0, 5.0 ms a film" in lines
    assert any(line.startswith("kaggle") and "1.000 (1.000 to 1.000)" in line for line in lines)


def test_the_lung_network_is_judged_by_its_own_films_only(tmp_path, capsys):
    films = ["--manifest", str(tmp_path / "films.csv"), "--root", str(tmp_path)]
    assert main(["evaluate", "--lungs", "--folds", "8", *films]) == 2
    assert "no --card, --folds or --sources" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", "--lungs", "--model", "gao-2020", *films])
