"""model/values.py: the browser's window starts from what the results show."""

import numpy as np
import pytest
from conftest import make_film
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.pixels import display_picture
from model.values import film_values, plain_values


def voi_lut():
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    item.add_new("LUTData", "OW", np.linspace(0, 255, 4096).astype("<u2").tobytes())
    return Sequence([item])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"RescaleSlope": -10, "RescaleIntercept": 5000, "WindowCenter": -15000, "WindowWidth": 41000},
        {"RescaleSlope": 0.37, "RescaleIntercept": -12, "WindowCenter": 700, "WindowWidth": 1400},
        {"VOILUTFunction": "SIGMOID"},
        {"WindowCenter": None, "WindowWidth": None},
        {"VOILUTSequence": voi_lut()},
        {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
    ],
)
def test_the_table_gives_the_display_picture(changes):
    ds = make_film(**changes)
    values = film_values(ds, 1024)
    display, _ = display_picture(ds)
    assert np.abs(values.table[values.values].astype(int) - display).max() <= 1


def test_the_window_is_the_headers_in_modality_values():
    ds = make_film(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=3000, WindowWidth=5000)
    values = film_values(ds, 1024)
    assert (values.centre, values.width, values.step) == (3000, 5000, 1)
    assert values.origin == 2 * int(ds.pixel_array.min()) - 100
    assert not values.inverse


@pytest.mark.parametrize(
    "changes", [{"VOILUTSequence": voi_lut()}, {"WindowCenter": None, "WindowWidth": None}]
)
def test_where_the_header_has_no_window_one_is_taken_from_the_table(changes):
    ds = make_film(**changes)
    values = film_values(ds, 1024)
    numbers = values.origin + values.step * np.arange(len(values.table))
    line = 255 * np.clip((numbers - values.centre + 0.5) / (values.width - 1) + 0.5, 0, 1)
    assert np.abs(line - values.table).max() < 3


def test_a_large_film_is_reduced_and_a_small_one_is_not_enlarged():
    ds = make_film()
    assert film_values(ds, 300).values.shape == (300, 280)
    assert film_values(ds, 2000).values.shape == (600, 560)


def test_a_plain_picture_is_its_own_grey():
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    values = plain_values(grey)
    np.testing.assert_array_equal(values.table[values.values], grey)
