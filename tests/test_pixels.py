"""The chain from stored values to display grey levels."""

import numpy as np
import pytest
from conftest import chest_pixels, make_film
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.pixels import ENOUGH, LONGEST_SIDE, display_picture

BITS = 12
WHITE = 2**BITS - 1
RAMP = np.linspace(0, WHITE, 64 * 64).reshape(64, 64).astype(np.uint16)
NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}
SQUARE = {"ImagerPixelSpacing": None}


def display(**changes: object) -> np.ndarray:
    picture, warnings = display_picture(make_film(**{"pixels": RAMP} | changes))
    assert warnings == ()
    return picture


def lut(entries: list[int], first: int = 0, bits: int = 8) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return Sequence([item])


windows = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "WindowCenter": st.integers(500, 3500),
            "WindowWidth": st.integers(200, 4096),
            "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
        }
    ),
)
pictures = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, WHITE + 1, (24, 20), np.uint16)
)


@given(pictures, windows)
@settings(max_examples=40, deadline=None)
def test_a_film_its_complement_and_its_negative_slope_form_give_one_picture(pixels, window):
    window = NO_WINDOW | window
    plain = display(pixels=pixels, **window)
    turned = WHITE - pixels
    slope = display(pixels=turned, RescaleSlope=-1, RescaleIntercept=WHITE, RescaleType="US", **window)
    mirrored = dict(window)
    if window["WindowCenter"] is not None:
        # C.11.2.1.2: LINEAR lies about centre - 0.5, so its mirror image does too.
        half = 1 if window["VOILUTFunction"] == "LINEAR" else 0
        mirrored["WindowCenter"] = WHITE - window["WindowCenter"] + half
    complement = display(pixels=turned, PhotometricInterpretation="MONOCHROME1", **mirrored)
    assert np.abs(plain.astype(int) - slope).max() <= 1
    assert np.abs(plain.astype(int) - complement).max() <= 1


@given(
    pixels=pictures,
    window=windows,
    slope=st.sampled_from([-10, -1, 0, 0.5, 1, 3]),
    intercept=st.integers(-5000, 5000),
    signed=st.booleans(),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
@settings(max_examples=60, deadline=None)
def test_every_picture_is_grey_levels_of_the_films_shape(
    *, pixels, window, slope, intercept, signed, photometric
):
    stored = (pixels.astype(int) - 2048).astype(np.int16) if signed else pixels
    ds = make_film(
        **{"pixels": stored} | NO_WINDOW | window,
        PixelRepresentation=int(signed), RescaleSlope=slope, RescaleIntercept=intercept,
        PhotometricInterpretation=photometric,
    )  # fmt: skip
    picture, _ = display_picture(ds)
    assert picture.dtype == np.uint8
    assert picture.shape == pixels.shape


def test_full_range_goes_from_black_to_white():
    picture = display(**NO_WINDOW)
    assert (picture[0, 0], picture[-1, -1]) == (0, 255)


@pytest.mark.parametrize(
    ("photometric", "shape", "first"),
    [
        ("MONOCHROME2", None, 0),
        ("MONOCHROME2", "IDENTITY", 0),
        ("MONOCHROME1", None, 255),
        ("MONOCHROME1", "INVERSE", 255),
        ("MONOCHROME2", "INVERSE", 255),
    ],
)
def test_polarity_is_applied_once(photometric, shape, first):
    picture = display(PhotometricInterpretation=photometric, PresentationLUTShape=shape, **NO_WINDOW)
    assert picture[0, 0] == first


def test_a_negative_slope_shows_small_stored_values_bright():
    picture = display(RescaleSlope=-10, RescaleIntercept=40950, WindowCenter=20475, WindowWidth=40951)
    assert picture[0, 0] == 255
    assert picture[-1, -1] == 0


def test_the_first_window_counts():
    one = display(WindowCenter=1000, WindowWidth=500)
    many = display(WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(one, many)


def test_linear_follows_the_formula_of_the_standard():
    # C.11.2.1.2.1: centre 2048, width 4096: ((x - 2047.5) / 4095 + 0.5) * 255
    expected = np.rint(((RAMP - 2047.5) / 4095 + 0.5) * 255)
    assert np.abs(display(WindowCenter=2048, WindowWidth=4096) - expected).max() <= 1


def test_sigmoid_follows_the_formula_of_the_standard():
    expected = np.rint(255 / (1 + np.exp(-4 * (RAMP - 2000.0) / 800)))
    found = display(WindowCenter=2000, WindowWidth=800, VOILUTFunction="SIGMOID")
    assert np.abs(found - expected).max() <= 1


def test_a_voi_lut_outranks_the_window():
    turned = [255 - i // 16 for i in range(4096)]
    picture = display(VOILUTSequence=lut(turned), WindowCenter=2048, WindowWidth=4096)
    assert picture[0, 0] == 255
    assert picture[-1, -1] == 0


@pytest.mark.parametrize("bits", [12, 16])
def test_a_modality_lut_comes_before_the_window(bits):
    turned = lut([4095 - i for i in range(4096)], bits=bits)
    picture = display(ModalityLUTSequence=turned, WindowCenter=2048, WindowWidth=4096)
    assert picture[0, 0] == 255


@pytest.mark.parametrize(
    "changes",
    [
        {"VOILUTSequence": Sequence([])},
        {"WindowCenter": None, "WindowWidth": 100},
        {"WindowWidth": 0},
        {"WindowWidth": 1},
        {"WindowWidth": -400},
        {"WindowWidth": 100, "VOILUTFunction": "CUBIC"},
        {"WindowCenter": 60000, "WindowWidth": 10},
        {"VOILUTSequence": lut([7] * 4096)},
        {"VOILUTSequence": Sequence([Dataset()])},
        {"VOILUTSequence": lut([1, 2, 3], bits=0)},
        {"RescaleSlope": 0, "RescaleIntercept": 5},
    ],
)
def test_a_broken_step_is_left_out_and_named(changes):
    broken = {"pixels": RAMP} | NO_WINDOW | changes
    picture, warnings = display_picture(make_film(**broken))
    # An empty sequence is the same as none.
    assert len(warnings) == (0 if changes.get("VOILUTSequence") == Sequence([]) else 1)
    assert all("ignored" in warning for warning in warnings)
    assert np.array_equal(picture, display(**NO_WINDOW))


def test_a_broken_lut_leaves_the_window_in_force():
    picture, warnings = display_picture(
        make_film(pixels=RAMP, VOILUTSequence=lut([7] * 4096), WindowCenter=1000, WindowWidth=500)
    )
    assert warnings == ("VOI LUT ignored: it makes the film one grey",)
    assert np.array_equal(picture, display(WindowCenter=1000, WindowWidth=500))


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_warning_that_quotes_the_header_is_a_line_that_any_database_takes():
    _, warnings = display_picture(make_film(pixels=RAMP, VOILUTFunction="CU\0BIC\x1b["))
    assert warnings == ("window ignored: function CU?BIC?[, expected LINEAR, LINEAR_EXACT or SIGMOID",)


def test_padding_is_black_and_outside_the_range():
    pixels = np.clip(RAMP, 1000, 2000)
    pixels[:8] = WHITE
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        picture = display(
            pixels=pixels, PixelPaddingValue=WHITE, PhotometricInterpretation=photometric, **NO_WINDOW
        )
        assert not picture[:8].any()
        assert picture[8:].min() == 0
        assert picture[8:].max() == 255


def test_overlay_bits_above_the_stored_bits_are_not_burned_in():
    plain = display(**NO_WINDOW)
    overlaid = RAMP.copy()
    overlaid[:32] |= 0x8000
    assert np.array_equal(display(pixels=overlaid, **NO_WINDOW), plain)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"PixelAspectRatio": [2, 1]} | SQUARE, (64, 32)),
        ({"PixelAspectRatio": [1, 2]} | SQUARE, (32, 64)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (64, 32)),
        ({"PixelSpacing": [0.1, 0.1], "PixelAspectRatio": [2, 1]}, (64, 64)),
    ],
)
def test_pixels_that_are_not_square_are_made_square(changes, shape):
    assert display(**changes).shape == shape


def test_an_impossible_spacing_is_ignored_and_named():
    picture, warnings = display_picture(make_film(pixels=RAMP, ImagerPixelSpacing=[0, 0]))
    assert picture.shape == (64, 64)
    assert warnings == ("ImagerPixelSpacing ignored: 0 by 0",)


def means(values: np.ndarray, rows: int) -> np.ndarray:
    """Means of so many equal shares of the rows, parts of rows among them."""
    sums = np.cumsum(np.vstack([np.zeros(values.shape[1]), values]), axis=0)
    ends = np.linspace(0, len(values), rows + 1)
    until = [np.interp(ends, np.arange(len(sums)), column) for column in sums.T]
    return np.diff(np.transpose(until), axis=0) * rows / len(values)


@pytest.mark.parametrize(
    ("shape", "pixel_type", "bits"),
    [
        ((1500, 1100), np.uint16, 12),
        ((2500, 2000), np.uint16, 12),
        ((2051, 2049), np.uint16, 16),
        ((1999, 3073), np.int16, 15),
        ((3075, 1025), np.int16, 16),
        ((2050, 700), np.uint8, 8),
    ],
)
def test_a_large_film_shows_the_means_of_its_areas(shape, pixel_type, bits):
    signed = np.dtype(pixel_type).kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    share = (np.sin(rows / max(shape) * 20) * np.sin(columns / max(shape) * 20) + 1) / 2
    share[0, 0], share[-1, -1] = 0, 1
    pixels = np.rint(low + (high - low) * share).astype(pixel_type)
    allocated = 8 * pixels.itemsize
    picture = display(
        pixels=pixels, PixelRepresentation=int(signed), BitsAllocated=allocated, BitsStored=bits,
        HighBit=bits - 1, **NO_WINDOW, **SQUARE,
    )  # fmt: skip
    expected = 255 * means(means(share, picture.shape[0]).T, picture.shape[1]).T
    assert ENOUGH * LONGEST_SIDE <= max(picture.shape) <= LONGEST_SIDE
    assert np.abs(picture - expected)[1:-1, 1:-1].max() < 2


def test_no_mean_is_made_of_padding_and_what_was_exposed():
    pixels = np.full((2048, 2048), 1000, np.uint16)
    pixels[:, 1024:] = 3000
    pixels[::2] = WHITE
    picture = display(pixels=pixels, PixelPaddingValue=WHITE, WindowCenter=2000, WindowWidth=100)
    assert not picture[:, :511].any()


def test_the_longest_side_is_limited_and_nothing_is_enlarged():
    assert display(pixels=chest_pixels(2200, 1100)).shape == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert display(pixels=chest_pixels(1024, 1024)).shape == (1024, 1024)
    assert display().shape == (64, 64)
