"""model/texture against the digital phantom of the Image Biomarker Standardisation Initiative."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydicom.sr._concepts_dict import concepts
from scipy import ndimage

from model.texture.co_occurrence import co_occurrence
from model.texture.features import FEATURES
from model.texture.first_order import histogram, statistics
from model.texture.neighbours import binary_patterns, tone_differences
from model.texture.regions import texture, textures
from model.texture.runs_and_zones import run_lengths, size_zones

# Reference manual 5.1; four slices; 0 is outside the region of interest.
PHANTOM = np.array([
    [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
    [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
    [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
    [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
])  # fmt: skip
PHANTOM_LEVELS = 6
# The manual's tables for the digital phantom, three significant digits and no tolerance, in the order of the
# features; of the matrices the values "2D, averaged".
PUBLISHED = {
    "statistics": (
        2.15, 3.05, 1.08, -0.355, 1, 1, 1, 4, 6, 3, 5, 1.55, 1.11, 1.15, 0.812, 0.6, 567, 2.77,
    ),
    "histogram": (
        2.15, 3.05, 1.08, -0.355, 1, 1, 1, 4, 6, 3, 5, 1.55, 1.11, 1.15, 0.812, 0.6,
        1, 1.27, 0.512, 8, 3, -50, 1,
    ),
    "glcm": (
        0.519, 2.14, 2.69, 2.05, 1.42, 2.9, 1.4, 4.28, 5.47, 1.6, 0.368, 5.28, 1.42, 0.678, 0.851, 0.619,
        0.899, 0.0567, -0.0121, 5.09, 5.47, 7, 79.1, -0.155, 0.487,
    ),
    "glrlm": (
        0.641, 3.78, 0.604, 9.82, 0.294, 8.57, 3.14, 17.4, 5.2, 0.46, 6.12, 0.492, 0.627, 3.35, 0.761, 2.17,
    ),
    "glszm": (
        0.363, 43.9, 0.371, 16.4, 0.0259, 10.3, 40.4, 113, 1.41, 0.323, 1.49, 0.333, 0.24, 3.97, 21, 1.93,
    ),
    "ngtdm": (0.121, 0.925, 2.99, 10.4, 2.88),
}  # fmt: skip


def of_slices(measure, *arguments) -> dict[str, float]:
    """Mean of what is found in each slice of the phantom."""
    found = [measure(levels, *arguments) for levels in PHANTOM]
    return {name: np.mean([one[name] for one in found]) for name in found[0]}


FOUND = {
    "statistics": lambda: statistics(*np.unique(PHANTOM[PHANTOM > 0], return_counts=True)),
    "histogram": lambda: histogram(np.bincount(PHANTOM.ravel())[1:]),
    "glcm": lambda: of_slices(co_occurrence, PHANTOM_LEVELS),
    "glrlm": lambda: of_slices(run_lengths),
    "glszm": lambda: of_slices(size_zones),
    "ngtdm": lambda: of_slices(tone_differences, PHANTOM_LEVELS),
}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    return {family: measure() for family, measure in FOUND.items()}


@pytest.mark.parametrize(
    ("family", "name", "published"),
    [
        pytest.param(family, feature.name, published, id=feature.key)
        for family, values in PUBLISHED.items()
        for feature, published in zip((one for one in FEATURES if one.family == family), values, strict=True)
    ],
)
def test_a_feature_of_the_digital_phantom_has_the_published_value(found, family, name, published):
    assert float(f"{found[family][name]:.3g}") == published


def test_meanings_are_those_of_the_dicom_dictionary_and_fit_a_long_string():
    known = {}
    for codes in concepts["IBSI"].values():
        known |= {code: meaning for code, (meaning, _) in codes.items()}
    told = {feature.code: feature.meaning for feature in FEATURES if feature.code in known}
    assert told == {code: known[code] for code in told}
    assert {one.family for one in FEATURES if one.code and one.code not in known} == {"statistics"}
    assert len({one.code for one in FEATURES if one.code}) == sum(bool(one.code) for one in FEATURES)
    assert max(len(one.meaning) for one in FEATURES) <= 64


def spotted() -> tuple[np.ndarray, np.ndarray]:
    """A film whose right lung is black and whose left is a chequer of black and white."""
    display = np.zeros((40, 40), np.uint8)
    display[:, 20:] = np.where(np.indices((40, 20)).sum(axis=0) % 2, 255, 0)
    lungs = np.zeros((4, 4, 2), bool)
    lungs[1:3, 0, 0] = lungs[1:3, 3, 1] = True
    return display, lungs


def test_each_lung_has_its_own_figures_and_a_missing_one_none():
    display, lungs = spotted()
    found = textures(display, lungs)
    assert found["left"]["statistics_mean"] == pytest.approx(0.5)
    assert found["left"]["histogram_entropy"] == pytest.approx(1)
    # Level 32 beside 1, itself on the diagonals.
    assert found["left"]["glcm_contrast"] == pytest.approx(31**2 / 2)
    assert found["left"]["glszm_zone_percentage"] == pytest.approx(2 / 200)
    assert found["left"]["glrlm_run_percentage"] == pytest.approx((1 + 1 + 29 / 200 + 29 / 200) / 4)
    lungs[..., 1] = False
    assert list(textures(display, lungs)) == ["right"]


def test_what_has_no_value_in_a_flat_lung_is_left_out_and_the_rest_is_finite():
    found = textures(*spotted())["right"]
    assert {feature.key for feature in FEATURES} - set(found) == {
        "statistics_coefficient_of_variation",
        "statistics_quartile_coefficient_of_dispersion",
        "glcm_correlation",
        "glcm_information_correlation_1",
    }
    assert np.isfinite(list(found.values())).all()
    assert (found["glszm_large_zone_emphasis"], found["ngtdm_coarseness"]) == (200**2, 1e6)


def test_a_region_of_one_pixel_has_what_one_pixel_can_have():
    display = np.full((8, 8), 100, np.uint8)
    region = np.zeros((8, 8), bool)
    region[3, 3] = True
    found = textures(display, np.zeros((8, 8, 2), bool), region)
    assert list(found) == ["region"]
    assert {key.split("_")[0] for key in found["region"]} == {
        "statistics", "histogram", "glrlm", "glszm", "lbp",
    }  # fmt: skip


def test_figures_do_not_depend_on_the_matrix_that_a_film_came_in():
    fine = np.random.default_rng(3).integers(0, 256, (512, 448)).astype(np.uint8)
    lungs = np.zeros((64, 56, 2), bool)
    lungs[10:50, 6:24, 0] = lungs[10:50, 32:50, 1] = True
    larger = fine.repeat(2, axis=0).repeat(2, axis=1)
    assert textures(larger, lungs) == textures(fine, lungs)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)))
def test_runs_and_zones_are_those_that_are_found_level_by_level(levels):
    assume(levels.any())
    zones = []
    for level in range(1, 4):
        pieces, _ = ndimage.label(levels == level, np.ones((3, 3)))
        zones += [(level, size) for size in np.bincount(pieces.ravel())[1:]]
    level, size = np.array(zones, float).T
    found = size_zones(levels)
    assert found["zone_percentage"] == pytest.approx(len(zones) / np.count_nonzero(levels))
    assert found["large_zone_high_grey_level_emphasis"] == pytest.approx(np.mean((level * size) ** 2))
    turned = [run_lengths(np.rot90(levels, turn)) for turn in range(4)]
    for other in turned[1:]:
        assert list(other.values()) == pytest.approx(list(turned[0].values()))


def pattern_of(*picture: list[int]) -> str:
    """Name of the pattern round the middle of three rows of three pixels."""
    inside = np.zeros((3, 3), bool)
    inside[1, 1] = True
    [name] = [name for name, share in binary_patterns(np.array(picture), inside).items() if share]
    return name


def test_local_binary_patterns_are_named_by_how_many_points_lie_in_one_arc():
    assert pattern_of([0, 0, 0], [0, 9, 0], [0, 0, 0]) == "uniform_0"
    assert pattern_of([5, 5, 5], [5, 5, 5], [5, 5, 5]) == "uniform_8"
    assert pattern_of([9, 9, 9], [0, 5, 0], [0, 0, 0]) == "uniform_3"
    assert pattern_of([9, 0, 0], [9, 5, 0], [9, 0, 0]) == "uniform_3"
    assert pattern_of([0, 9, 0], [0, 5, 0], [0, 9, 0]) == "not_uniform"


def test_a_region_has_the_patterns_of_its_edge_from_what_lies_beside_it():
    picture = np.random.default_rng(5).integers(0, 256, (40, 50), np.uint8)
    inside = np.zeros(picture.shape, bool)
    inside[10:25, 12:30] = True
    shares = binary_patterns(picture, inside)
    found = texture(picture, inside)
    assert {name: found[f"lbp_{name}"] for name in shares} == shares
