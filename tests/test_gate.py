"""Which pictures are read, whatever their headers say."""

import csv
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from model import gate
from model.decode import UnreadableFilm
from model.lungs import Found, LungFinder
from model.pixels import display_picture
from model.preprocess import network_input
from model.scope import OutOfScope
from model.training.not_chests import DRAWN

FILMS = Path(__file__).parents[2] / "shared" / "films"
FALSE_NEGATIVE = "chest-sc-cr-pa-false-mono1.dcm"  # its header has the polarity wrong
SIZE = 400

needs_films = pytest.mark.skipif(not FILMS.exists(), reason="the shared films are not beside the repository")


@pytest.fixture(scope="module")
def judge():
    """A function from display pictures to the code each is refused with, None where it is read."""
    finder = LungFinder()

    def codes(*displays: np.ndarray) -> list[str | None]:
        inputs = np.stack([network_input(display, finder.input_size)[..., :1] for display in displays])
        refusals = gate.refusals(finder, inputs, finder.find(inputs))
        return [refusal and refusal.code for refusal in refusals]

    return codes


@pytest.fixture(scope="module")
def upright(chest) -> np.ndarray:
    """A chest film as it is displayed."""
    return (chest // 16).astype(np.uint8)


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture of any range as uint8, from black to white."""
    return np.rint(255 * (picture - picture.min()) / (np.ptp(picture) or 1)).astype(np.uint8)


def ways_to_spoil(upright: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Turned and inverted copies by the code that each must get."""
    turned = [np.rot90(upright, quarters) for quarters in (1, 2, 3)]
    return {"ROTATED": [*turned, 255 - turned[0]], "POLARITY_INVERTED": [255 - upright]}


def halves(upright: np.ndarray) -> list[np.ndarray]:
    """What is left of a film collimated to one lung."""
    middle = upright.shape[1] // 2
    return [upright[:, :middle], upright[:, middle:]]


def shared(*, chests: bool) -> list[str]:
    """Files of the shared films whose pictures are, or are not, a frontal human chest."""
    if not FILMS.exists():
        return []
    with (FILMS / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row["file"] for row in rows if row["picture_shows"].startswith("human chest, frontal") == chests]


def displayed(file: str) -> np.ndarray:
    """The picture of a shared film, past every rule about its header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the faults that some of these files are there for
        return display_picture(dcmread(FILMS / file, force=True))[0]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__.strip("_"))
def test_drawn_pictures_and_photographs_are_not_read(judge, draw):
    rng = np.random.default_rng(2026)
    assert None not in judge(*(grey(draw(rng, SIZE)) for _ in range(24)))


def test_patterns_that_nothing_was_taught_with_are_not_read(judge):
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    rng = np.random.default_rng(1)
    pictures = {
        "white noise": rng.random((SIZE, SIZE)),
        "salt and pepper": rng.random((SIZE, SIZE)) < 0.5,
        "ramp": x,
        "vignette": -np.hypot(x, y),
        "colour bars": np.floor(4 * (x + 1)),
        "grid": (np.sin(60 * x) > 0.95) | (np.sin(60 * y) > 0.95),
        "star": np.sin(24 * np.arctan2(y, x)),
        "step wedge with a frame": np.where(np.maximum(abs(x), abs(y)) > 0.9, 1, np.floor(6 * y) / 6),
        "two dark discs": (np.hypot(x - 0.4, y) > 0.3) & (np.hypot(x + 0.4, y) > 0.3),
        "one dark disc": np.hypot(x, y) > 0.5,
        "black with one bright word": (abs(x - 0.7) < 0.1) & (abs(y + 0.8) < 0.05),
    }
    found = dict(zip(pictures, judge(*(grey(np.asarray(p, float)) for p in pictures.values())), strict=True))
    assert [name for name, code in found.items() if code is None] == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_grey_is_blank(level):
    with pytest.raises(OutOfScope) as refused:
        gate.check_contrast(np.full((SIZE, SIZE), level, np.uint8))
    assert refused.value.code == "BLANK"


def test_a_chest_film_is_read_and_so_is_its_mirror_image(judge, upright):
    """A heart at the right is a mirrored film or a patient with situs inversus: pixels do not tell which."""
    assert judge(upright, upright[:, ::-1]) == [None, None]


def test_a_smaller_and_a_darker_copy_are_read(judge, upright):
    small = np.asarray(Image.fromarray(upright).resize((320, 340)))
    assert judge(small, upright // 2, 128 + upright // 2) == [None] * 3


def test_a_turned_or_inverted_chest_is_called_so(judge, upright):
    for code, copies in ways_to_spoil(upright).items():
        assert judge(*copies) == [code] * len(copies)


def test_one_lung_alone_is_not_read(judge, upright):
    assert set(judge(*halves(upright))) <= {"LUNGS_MISSING", "NOT_PLAUSIBLE"}


def seen(chest: float, right: float, left: float, turned: int = 0, negative: float = 0.0) -> Found:
    """What the lung network might see: a lung on so large a share of the film, from the top."""
    fields = np.zeros((100, 100, 2), np.float32)
    fields[: round(200 * right), :50, 0] = fields[: round(200 * left), 50:, 1] = 1
    turns = {degrees: float(degrees == turned) for degrees in (0, 90, 180, 270)}
    return Found(fields, (), turns, negative, chest)


@pytest.mark.parametrize(
    ("first", "righted", "told"),
    [
        (seen(0.5, 0.05, 0.05), None, None),
        (seen(0.49, 0.2, 0.2), None, "NOT_PLAUSIBLE: found a chest by 0.49 of 1"),
        (seen(0.9, 0.01, 0.01), None, "NOT_PLAUSIBLE: found no two lungs"),
        (seen(0.9, 0.2, 0.03), None, "LUNGS_MISSING: found left lung on 3.0 % of the film"),
        (seen(0.9, 0.0, 0.2), None, "LUNGS_MISSING: found right lung on 0.0 % of the film"),
        (seen(0.1, 0.0, 0.0, turned=90), seen(0.9, 0.2, 0.2), "ROTATED: found a chest turned by 90 degrees"),
        (seen(0.9, 0.2, 0.2, turned=90), seen(0.9, 0.2, 0.0), "NOT_PLAUSIBLE: found no two lungs"),
        (seen(0.9, 0.2, 0.2, turned=90), seen(0.4, 0.2, 0.2), "NOT_PLAUSIBLE: found a chest by 0.40 of 1"),
        (seen(0.9, 0.2, 0.2, negative=0.5), seen(0.9, 0.2, 0.2), "POLARITY_INVERTED: found a negative"),
        (seen(0.9, 0.2, 0.2, 180, 0.9), seen(0.9, 0.2, 0.2), "ROTATED: found a chest turned by 180 degrees"),
    ],
)
def test_a_film_is_judged_upright_and_positive(first, righted, told):
    recipe = {"gate": {"least_chest": 0.5, "least_lung": 0.05}}
    finder = SimpleNamespace(version=SimpleNamespace(recipe=recipe), find=lambda _: [righted])
    [refusal] = gate.refusals(finder, np.zeros((1, 100, 100, 1), np.float32), [first])
    assert str(refusal).partition(",")[0] == str(told)


@needs_films
@pytest.mark.parametrize("file", shared(chests=False))
def test_a_shared_film_of_something_else_is_not_read_though_no_header_is_looked_at(judge, file):
    try:
        display = displayed(file)
        gate.check_contrast(display)
    except (UnreadableFilm, OutOfScope):
        return
    assert judge(display) != [None]


@needs_films
@pytest.mark.parametrize("file", sorted(set(shared(chests=True)) - {FALSE_NEGATIVE}))
def test_a_shared_chest_film_is_read_and_its_spoilt_copies_are_refused(judge, file):
    upright = displayed(file)
    assert judge(upright, upright[:, ::-1]) == [None, None]
    for code, copies in ways_to_spoil(upright).items():
        assert judge(*copies) == [code] * len(copies)
    assert set(judge(*halves(upright))) <= {"LUNGS_MISSING", "NOT_PLAUSIBLE"}


@needs_films
def test_a_film_whose_header_has_the_polarity_wrong_is_inverted(judge):
    assert judge(displayed(FALSE_NEGATIVE)) == ["POLARITY_INVERTED"]
