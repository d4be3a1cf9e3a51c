"""The picture check: chests pass, negatives and other pictures do not."""

import numpy as np
import pytest
from conftest import chest_pixels

from model.plausibility import check_picture
from model.scope import OutOfScope

CHEST = (chest_pixels() >> 4).astype(np.uint8)
Y, X = np.mgrid[0:400, 0:400]


def code(display: np.ndarray) -> str:
    with pytest.raises(OutOfScope) as refused:
        check_picture(display)
    return refused.value.code


def test_a_chest_passes():
    check_picture(CHEST)


def test_a_chest_passes_at_any_size_and_contrast():
    check_picture(CHEST[::3, ::3])
    check_picture(CHEST // 4 + 60)


def test_a_negative_is_named():
    assert code(255 - CHEST) == "POLARITY_INVERTED"


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_picture_of_one_grey_is_blank(level):
    assert code(np.full((400, 400), level, np.uint8)) == "BLANK"


def test_a_few_bright_pixels_do_not_make_a_picture():
    display = np.zeros((400, 400), np.uint8)
    display[:3, :50] = 255
    assert code(display) == "BLANK"


@pytest.mark.parametrize(
    "display",
    [
        ((X // 50 + Y // 50) % 2 * 255).astype(np.uint8),
        np.random.default_rng(1).integers(0, 256, (400, 400), np.uint8),
        (np.hypot(X - 200, Y - 200) // 20 % 2 * 255).astype(np.uint8),
    ],
    ids=["checks", "noise", "rings"],
)
def test_a_test_pattern_is_not_plausible(display):
    assert code(display) == "NOT_PLAUSIBLE"
