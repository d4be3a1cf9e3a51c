"""daemon/results/texture_groups.py: texture in the Structured Report."""

from pathlib import Path

import numpy as np
import pytest
import readings
from conftest import NOW, make_film
from judges import dciodvfy_errors, pixelmed_errors
from pydicom.dataset import Dataset
from test_structured_report import build, children, groups, site, walk

from daemon.config import Results
from daemon.results import object_set, wording
from model.reader import InputSizes, ready
from model.texture.features import FEATURES
from model.texture.regions import textures

PLACES = {
    "right": "Texture: right lung",
    "left": "Texture: left lung",
    "region": "Texture: main region",
}
READING = readings.covid()
KEYS = {feature.meaning: feature.key for feature in FEATURES}


def found_in(seed: int) -> dict[str, dict[str, float]]:
    """Texture of a film of noise."""
    display = np.random.default_rng(seed).integers(0, 256, (600, 560)).astype(np.uint8)
    return textures(display, READING.lungs, wording.place_of(READING))


def told(ds: Dataset) -> dict[str, dict[str, Dataset]]:
    """Measurements of texture, by place and key of the feature."""
    by_name = groups(ds)
    return {
        place: {
            KEYS[item.ConceptNameCodeSequence[0].CodeMeaning]: item
            for item in by_name[name].ContentSequence
            if item.ValueType == "NUM"
        }
        for place, name in PLACES.items()
        if name in by_name
    }


@pytest.fixture(scope="module")
def report() -> tuple[dict[str, dict[str, float]], Dataset]:
    build(make_film(), READING, textures=found_in(1))  # another film came before, so the template is there
    found = found_in(2)
    return found, build(make_film(), READING, textures=found)


def test_each_place_has_a_group_with_every_figure_rounded_and_in_full(report):
    found, ds = report
    items = told(ds)
    assert list(items) == ["right", "left", "region"]
    for place, features in found.items():
        assert len(features) == len(items[place]) == len(FEATURES)
        for key, figure in features.items():
            value = items[place][key].MeasuredValueSequence[0]
            assert value.FloatingPointValue == figure
            assert len(str(value.NumericValue)) <= 16
            assert float(value.NumericValue) == pytest.approx(figure, rel=1e-5)
            assert value.MeasurementUnitsCodeSequence[0].CodeValue == "1"


def test_features_have_the_codes_of_ibsi_and_local_binary_patterns_our_own(report):
    _, ds = report
    for feature in FEATURES:
        code = told(ds)["left"][feature.key].ConceptNameCodeSequence[0]
        scheme = "IBSI" if feature.code else "99FIRSTREAD"
        assert (code.CodingSchemeDesignator, code.CodeMeaning) == (scheme, feature.meaning)
        assert code.CodeValue == (feature.code or feature.key.upper().replace("_", ""))
    known = {one.CodingSchemeDesignator: one for one in ds.CodingSchemeIdentificationSequence}
    assert known["IBSI"].CodingSchemeUID == "1.2.840.10008.2.16.13"


def test_a_place_is_outlined_and_has_its_side(report):
    _, ds = report
    by_name = groups(ds)
    right, left, region = (by_name[name] for name in PLACES.values())
    assert [site(group)[1] for group in (right, left, region)] == ["24028007", "7771000", "7771000"]
    for group, number in ((right, 0), (left, 1)):
        columns, rows = np.reshape(children(group, "Image Region")[0].GraphicData, (-1, 2)).T
        area = abs(np.sum(columns[:-1] * rows[1:] - columns[1:] * rows[:-1])) / 2
        assert area == pytest.approx(READING.lungs[..., number].mean() * 600 * 560, rel=0.02)
    pointed_at = children(by_name["Step 2: COVID-19"], "Image Region")[0]
    assert children(region, "Image Region")[0].GraphicData == pointed_at.GraphicData


def test_a_report_without_texture_says_nothing_of_it_and_has_another_uid(report):
    _, ds = report
    plain = build(make_film(), READING)
    assert told(plain) == {}
    assert [one.CodingSchemeDesignator for one in plain.CodingSchemeIdentificationSequence] == ["99FIRSTREAD"]
    assert plain.SOPInstanceUID != ds.SOPInstanceUID
    assert list(groups(plain)) == [name for name in groups(ds) if name not in PLACES.values()]


def test_a_normal_reading_has_the_texture_of_its_lungs_alone():
    reading = readings.normal()
    assert wording.place_of(reading) is None
    found = textures(np.full((60, 56), 90, np.uint8), reading.lungs, wording.place_of(reading))
    assert list(told(build(make_film(), reading, textures=found))) == ["right", "left"]


@pytest.mark.parametrize("asked", [False, True])
def test_the_config_says_whether_reports_have_texture(asked):
    display = np.random.default_rng(4).integers(0, 256, (600, 560)).astype(np.uint8)
    film = ready(display, InputSizes(64, 64), 600, 560)
    look = Results(texture=asked)
    [(_, ds)] = object_set.of_reading(["report"], make_film(), film, READING, "digest", NOW, look)
    assert bool(told(ds)) == asked
    if asked:
        items = told(ds)["region"]
        found = textures(display, READING.lungs, wording.place_of(READING))["region"]
        assert (
            items["glszm_zone_percentage"].MeasuredValueSequence[0].FloatingPointValue
            == (found["glszm_zone_percentage"])
        )


def test_reports_with_texture_satisfy_the_validators(report, tmp_path: Path):
    found, ds = report
    assert (
        max(len(one.CodeMeaning) for item in walk(ds) for one in item.get("ConceptNameCodeSequence", ()))
        <= 64
    )
    whole, short = tmp_path / "whole.dcm", tmp_path / "short.dcm"
    ds.save_as(whole, enforce_file_format=True)
    assert dciodvfy_errors(whole) == []
    # PixelMed takes minutes for hundreds of measurements: of one place one of each family.
    firsts = {feature.family: feature.key for feature in reversed(FEATURES)}.values()
    few = {"region": {key: found["region"][key] for key in firsts}}
    build(make_film(), READING, textures=few).save_as(short, enforce_file_format=True)
    assert pixelmed_errors(short) == {short.name: []}
