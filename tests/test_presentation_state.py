"""The Presentation State."""

import dataclasses

import numpy as np
import pytest
import readings
from conftest import NOW, make_bare_film, make_film
from judges import dcentvfy_errors, dciodvfy_errors, dcmp2pgm_picture, dcmpschk_errors
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NAME, PATIENT_ID, write_film
from test_contours import filled

from daemon.results import presentation_state
from model.activation import spread
from model.pixels import display_picture


def build(film: Dataset, reading=None) -> Dataset | None:
    reading = reading or readings.covid()
    return presentation_state.build(film, reading, "digest", NOW, rows=600, columns=560)


def drawn(ds: Dataset, layer: str) -> list[np.ndarray]:
    """Lines of a layer, (points, 2) each."""
    return [
        np.reshape(item.GraphicData, (-1, 2))
        for annotation in ds.GraphicAnnotationSequence
        if annotation.GraphicLayer == layer
        for item in annotation.get("GraphicObjectSequence", ())
    ]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_lines_are_closed_and_short_and_in_pixels_of_the_film():
    ds = build(make_film())
    items = [
        item
        for annotation in ds.GraphicAnnotationSequence
        for item in annotation.get("GraphicObjectSequence", ())
    ]
    assert len(items) == 3
    for item in items:
        line = np.reshape(item.GraphicData, (-1, 2))
        assert (item.GraphicType, item.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
        assert (item.GraphicFilled, item.NumberOfGraphicPoints) == ("N", len(line))
        assert np.array_equal(line[0], line[-1])
        assert len(line) <= 200


def test_the_first_layer_outlines_the_lungs_and_the_second_the_activation():
    reading = readings.covid()
    ds = build(make_film(), reading)
    assert [layer.GraphicLayerOrder for layer in ds.GraphicLayerSequence] == [1, 2, 3]
    assert [layer.GraphicLayer for layer in ds.GraphicLayerSequence] == ["LUNGS", "ACTIVATION", "STATEMENT"]
    lungs = np.kron(reading.lungs.any(axis=-1), np.ones((25, 25))).astype(bool)[::4, ::4]  # (600, 600)
    lungs = lungs[:, np.arange(560) * 600 // 560]
    assert overlap(filled(drawn(ds, "LUNGS"), 600, 560), lungs) > 0.97
    region = spread(reading.activation, 600, 560) >= 0.5
    assert overlap(filled(drawn(ds, "ACTIVATION"), 600, 560), region) > 0.97


def test_a_region_at_the_edge_of_the_film_is_closed_there():
    ds = build(make_film(), readings.outside_lungs())
    (line,) = drawn(ds, "ACTIVATION")
    assert (line[:, 0].max(), line[:, 1].min()) == (560, 0)


def test_without_lungs_the_activation_alone_is_drawn():
    reading = dataclasses.replace(readings.covid(), lungs=np.zeros((96, 96, 2), bool))
    ds = build(make_film(), reading)
    assert drawn(ds, "LUNGS") == []
    assert len(drawn(ds, "ACTIVATION")) == 1


def statement(ds: Dataset) -> Dataset:
    (item,) = [
        item
        for annotation in ds.GraphicAnnotationSequence
        for item in annotation.get("TextObjectSequence", ())
    ]
    return item


LINES = {
    "bacterial": "Highest model score: bacterial 71",
    "viral": "Highest model score: viral 78",
    "covid": "Highest model score: COVID-19 84",
    "other_virus": "Highest model score: other virus 73",
    "below_threshold": "Indeterminate: below the threshold",
    "steps_disagree": "Indeterminate: the two steps disagree",
    "unlike_training": "Indeterminate: unlike the training films",
    "outside_lungs": "Indeterminate: outside the lungs",
}


@pytest.mark.parametrize("name", LINES)
def test_the_statement_says_three_lines_below_the_lungs(name):
    item = statement(build(make_film(), readings.ALL[name]()))
    assert item.UnformattedTextValue.split("\r\n") == [
        "RESEARCH USE ONLY - NOT FOR DIAGNOSIS",
        LINES[name],
        "example-1 0.0.0  2026-11-25 01:20",
    ]
    assert item.BoundingBoxAnnotationUnits == "DISPLAY"
    box = [*item.BoundingBoxTopLeftHandCorner, *item.BoundingBoxBottomRightHandCorner]
    assert box == pytest.approx([0.02, 0.93, 0.98, 0.99])


def test_a_reading_without_a_region_has_none():
    assert build(make_film(), readings.normal()) is None
    empty = readings.make_reading((0.1, 0.8, 0.1), activation=np.zeros((8, 8), np.float32))
    assert build(make_film(), empty) is None
    with pytest.raises(ValueError, match="NaN or infinity"):
        build(make_film(), readings.make_reading((0.9, 0.05, 0.05), activation=np.full((8, 8), np.nan)))


def test_the_object_says_what_it_is_and_which_film_it_is_for():
    film = make_film()
    ds = build(film)
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.11.1"
    assert (ds.Modality, ds.SeriesNumber) == ("PR", 9004)
    assert ds.SeriesDescription == "Firstread AI - not for diagnosis - outline"
    assert (ds.PresentationCreationDate, ds.PresentationCreationTime) == ("20261125", "012007")
    series = ds.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == film.SeriesInstanceUID != ds.SeriesInstanceUID
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID


def lut(start: int, entries: np.ndarray, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if start < 0 else "US", [len(entries), start, bits])
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


CURVE = (np.linspace(0, 1, 4096) ** 2 * 1023).astype(np.uint16)
DISPLAYS = {
    "window": {"WindowCenter": [1500, 300], "WindowWidth": [2000, 100]},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 1500},
    "shape": {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"},
    "rescale": {"RescaleSlope": 2, "RescaleIntercept": -500, "RescaleType": "US", "WindowWidth": 5000},
    "slope 0": {"RescaleSlope": 0, "RescaleIntercept": 7},
    "VOI LUT": {"VOILUTSequence": [lut(0, CURVE, 10)]},
    "modality LUT": {"ModalityLUTSequence": [lut(0, CURVE * 4, 12)]},
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_the_film_is_displayed_as_without_it(name, tmp_path):
    """By DCMTK, which applies the whole state and draws no annotation."""
    film = write_film(tmp_path / "film.dcm", make_film(**DISPLAYS[name]))
    build(film).save_as(tmp_path / "state.dcm", enforce_file_format=True)
    shown = dcmp2pgm_picture(tmp_path / "film.dcm", tmp_path / "state.dcm")
    display, _ = display_picture(dcmread(tmp_path / "film.dcm"))
    assert display.std() > 20
    assert np.abs(shown.astype(int) - display).max() <= 1


def test_the_function_of_the_window_is_repeated():
    """DCMTK knows the linear one only."""
    ds = build(make_film(VOILUTFunction="SIGMOID"))
    assert ds.SoftcopyVOILUTSequence[0].VOILUTFunction == "SIGMOID"


def test_a_window_that_cannot_be_applied_is_left_out(tmp_path):
    film = write_film(tmp_path / "film.dcm", make_film(WindowWidth=0))
    assert "SoftcopyVOILUTSequence" not in build(film)


@pytest.mark.parametrize(
    ("sides", "spacing", "aspect"),
    [
        ({"ImagerPixelSpacing": [0.6, 0.6]}, None, [1, 1]),
        ({"ImagerPixelSpacing": [0.2, 0.15]}, None, [4, 3]),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [3, 4]}, None, [3, 4]),
        ({"PixelSpacing": [0.2, 0.15]}, [0.2, 0.15], None),
        ({"PixelSpacing": [0.2, 200]}, None, [1, 1]),
        ({"PixelSpacing": [1 / 7, 1 / 7]}, [0.14285714285714, 0.14285714285714], None),
        ({"ImagerPixelSpacing": None}, None, [1, 1]),
    ],
)
def test_the_whole_film_is_displayed_with_its_own_pixel_sides(sides, spacing, aspect):
    (area,) = build(make_film(**sides)).DisplayedAreaSelectionSequence
    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [560, 600]
    assert area.PresentationSizeMode == "SCALE TO FIT"
    assert area.get("PresentationPixelSpacing") == spacing
    assert area.get("PresentationPixelAspectRatio") == aspect


def test_the_text_names_no_patient(tmp_path):
    build(make_film(PatientName=NAME, PatientID=PATIENT_ID)).save_as(
        tmp_path / "state.dcm", enforce_file_format=True
    )
    written = (tmp_path / "state.dcm").read_bytes()
    assert written.count(NAME.encode()) == written.count(PATIENT_ID.encode()) == 1


@pytest.mark.parametrize("make", [make_film, make_bare_film])
def test_states_of_a_rich_and_of_a_bare_film_satisfy_the_validators(make, tmp_path):
    film = write_film(tmp_path / "film.dcm", make())
    build(film).save_as(tmp_path / "state.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "state.dcm") == []
    assert dcentvfy_errors(tmp_path / "film.dcm", tmp_path / "state.dcm") == []
    assert dcmpschk_errors(tmp_path / "state.dcm") == []
