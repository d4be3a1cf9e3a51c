"""The network's input: one function for training and serving."""

import numpy as np
import pytest
from conftest import chest_pixels
from PIL import Image

from model.preprocess import network_input

CHEST = (chest_pixels() >> 4).astype(np.uint8)


def test_the_input_is_a_square_of_three_equal_channels_from_0_to_1():
    found = network_input(CHEST, 64)
    assert found.shape == (64, 64, 3)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() == 1
    assert np.array_equal(found[..., 0], found[..., 2])


def test_the_window_matters_little():
    assert np.abs(network_input(CHEST // 2 + 40, 64) - network_input(CHEST, 64)).max() < 0.02


def test_the_size_of_the_film_matters_little():
    half = np.asarray(Image.fromarray(CHEST).resize((280, 300), Image.Resampling.BOX))
    assert np.abs(network_input(half, 64) - network_input(CHEST, 64)).max() < 0.05


def test_a_marker_does_not_darken_the_film():
    marked = CHEST.copy()
    marked[5:20, 5:20] = 255
    assert np.abs(network_input(marked, 64) - network_input(CHEST, 64))[4:, 4:].max() < 0.1


def test_a_constant_film_is_all_black():
    assert not network_input(np.full((300, 300), 77, np.uint8), 64).any()


@pytest.mark.parametrize("display", [CHEST.astype(np.uint16), CHEST[..., np.newaxis]])
def test_another_array_is_refused(display):
    with pytest.raises(ValueError, match="expected uint8"):
        network_input(display, 64)
