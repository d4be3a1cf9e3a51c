"""The Segmentation."""

import dataclasses

import highdicom
import numpy as np
import pytest
import readings
from conftest import NOW, make_bare_film, make_film
from judges import dcentvfy_errors, dciodvfy_errors
from pydicom.dataset import Dataset
from received import NAME, PATIENT_ID, write_film
from test_contours import filled
from test_presentation_state import drawn, overlap

from daemon.results import presentation_state, segmentation, structured_report

WHERE = {"rows": 600, "columns": 560}


def build(film: Dataset, reading=None) -> Dataset | None:
    return segmentation.build(film, reading or readings.covid(), "digest", NOW, **WHERE)


def masks(ds: Dataset) -> dict[str, np.ndarray]:
    """Masks by label, (rows, columns) bool."""
    labels = [segment.SegmentLabel for segment in ds.SegmentSequence]
    frames = ds.pixel_array.astype(bool).reshape(-1, ds.Rows, ds.Columns)
    return dict(zip(labels, frames, strict=True))


def code(sequence) -> tuple[str, str]:
    return sequence[0].CodeValue, sequence[0].CodingSchemeDesignator


REGION = "Class activation for COVID-19 (step 2), at 50 %"


def test_each_lung_and_the_region_are_a_segment_with_standard_codes():
    right, left, region = build(make_film()).SegmentSequence
    for segment, side in ((right, "24028007"), (left, "7771000")):
        assert code(segment.SegmentedPropertyCategoryCodeSequence) == ("123037004", "SCT")
        kind = segment.SegmentedPropertyTypeCodeSequence
        assert code(kind) == ("39607008", "SCT")
        assert code(kind[0].SegmentedPropertyTypeModifierCodeSequence) == (side, "SCT")
        assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", "lungs-0")
    assert [right.SegmentLabel, left.SegmentLabel, region.SegmentLabel] == ["Right lung", "Left lung", REGION]
    assert code(region.SegmentedPropertyCategoryCodeSequence) == ("309825002", "SCT")
    assert code(region.SegmentedPropertyTypeCodeSequence) == ("130402", "DCM")
    algorithm = region.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("example-1", "0.0.0")


def test_the_masks_are_what_the_lines_of_the_presentation_state_enclose():
    film, reading = make_film(), readings.covid()
    found = masks(build(film, reading))
    state = presentation_state.build(film, reading, "digest", NOW, **WHERE)
    lungs = filled(drawn(state, "LUNGS"), 600, 560)
    assert overlap(found["Right lung"] | found["Left lung"], lungs) > 0.99
    assert overlap(found[REGION], filled(drawn(state, "ACTIVATION"), 600, 560)) > 0.98
    columns = {name: np.flatnonzero(mask.any(axis=0)) for name, mask in found.items()}
    assert columns["Right lung"].max() < 280 < columns["Left lung"].min()  # as the patient faces us


def test_the_region_is_tracked_as_in_the_report():
    film, reading = make_film(), readings.covid()
    report = structured_report.build(film, reading, "digest", NOW, **WHERE)
    tracked = {}
    for group in report.ContentSequence[-1].ContentSequence:
        text, uid = (item for item in group.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT")
        tracked[text.TextValue] = uid.UID
    region = build(film, reading).SegmentSequence[-1]
    assert region.TrackingUID == tracked[region.TrackingID]
    uids = {segment.TrackingUID for segment in build(film, reading).SegmentSequence}
    assert len(uids) == 3


def test_where_nothing_was_found_there_is_no_segment():
    no_lungs = {"lungs": np.zeros((96, 96, 2), bool)}
    assert list(masks(build(make_film(), readings.normal()))) == ["Right lung", "Left lung"]
    assert list(masks(build(make_film(), dataclasses.replace(readings.covid(), **no_lungs)))) == [REGION]
    assert build(make_film(), dataclasses.replace(readings.normal(), **no_lungs)) is None
    one = readings.covid().lungs.copy()
    one[..., 0] = False
    assert list(masks(build(make_film(), dataclasses.replace(readings.normal(), lungs=one)))) == ["Left lung"]
    with pytest.raises(ValueError, match="NaN or infinity"):
        build(make_film(), readings.make_reading((0.9, 0.05, 0.05), activation=np.full((8, 8), np.nan)))


def test_the_object_lies_on_its_film():
    film = make_film()
    ds = build(film)
    assert (ds.SOPClassUID, ds.Modality, ds.SeriesNumber) == ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", 9003)
    assert ds.SeriesDescription == "Firstread AI - not for diagnosis - regions"
    assert (ds.SegmentationType, ds.Rows, ds.Columns) == ("BINARY", 600, 560)
    assert list(ds.PatientOrientation) == ["L", "F"]
    assert "FrameOfReferenceUID" not in ds
    for frame in ds.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == film.SOPInstanceUID
        assert source.SpatialLocationsPreserved == "YES"


def test_the_same_arguments_give_the_same_object():
    film = make_film()
    assert build(film) == build(film)


LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "10",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
FILMS = {
    "rich": lambda: make_film(PatientName=NAME, PatientID=PATIENT_ID),
    "bare": make_bare_film,
    "lossy": lambda: make_film(**LOSSY),
}


@pytest.mark.parametrize("name", FILMS)
def test_segmentations_satisfy_the_validators_and_the_library_that_made_them(name, tmp_path):
    film = write_film(tmp_path / "film.dcm", FILMS[name]())
    path = tmp_path / "segments.dcm"
    build(film).save_as(path, enforce_file_format=True)
    assert dciodvfy_errors(path) == []
    assert dcentvfy_errors(tmp_path / "film.dcm", path) == []
    read = highdicom.seg.segread(path)
    assert read.number_of_segments == 3
    assert read.get("LossyImageCompression", "00") == ("01" if name == "lossy" else "00")
    if name == "rich":
        assert path.read_bytes().count(NAME.encode()) == path.read_bytes().count(PATIENT_ID.encode()) == 1
