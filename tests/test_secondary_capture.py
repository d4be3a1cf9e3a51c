"""The Secondary Capture as an object; `test_picture` has its looks."""

from io import BytesIO

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels, make_bare_film, make_film
from judges import dcentvfy_errors, dciodvfy_errors
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit
from received import NAME, NATIONAL, PATIENT_ID, write_film, write_national_film

from daemon.results import not_analysed, picture, secondary_capture, structured_report
from model.header import as_list
from model.scope import OutOfScope

DISPLAY = (chest_pixels() >> 4).astype(np.uint8)


def build(film: Dataset, reading=None, longest_side: int = 512, **variant) -> Dataset:
    reading = reading or readings.covid()
    return secondary_capture.build(
        film, DISPLAY, reading, "digest", NOW, longest_side=longest_side, **variant
    )


LATERAL = OutOfScope("NOT_FRONTAL", "LL", "PA or AP")


def build_not_analysed(film: Dataset, refusal: OutOfScope = LATERAL, **variant) -> Dataset:
    return secondary_capture.build_not_analysed(
        film, DISPLAY, refusal, readings.MODEL, "digest", NOW, longest_side=512, **variant
    )


def test_the_picture_is_eight_bit_rgb_without_spacing():
    ds = build(make_film(), longest_side=1024)
    assert (ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.BitsAllocated) == ("RGB", 3, 8)
    assert max(ds.Rows, ds.Columns) == 1024
    assert ds.pixel_array.shape == (ds.Rows, 1024, 3)
    assert "PixelSpacing" not in ds


def test_the_object_says_what_it_is():
    ds = build(make_film())
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert list(ds.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert (ds.Modality, ds.ConversionType, ds.BodyPartExamined) == ("OT", "WSD", "CHEST")
    assert (ds.BurnedInAnnotation, ds.RecognizableVisualFeatures) == ("YES", "NO")
    assert (ds.SeriesNumber, ds.SeriesDescription) == (9001, "Firstread AI - not for diagnosis - heatmap")
    assert (ds.Manufacturer, ds.ManufacturerModelName) == ("Firstread", "Firstread")


def test_the_object_names_its_film_its_model_and_how_it_was_made():
    film = make_film()
    ds = build(film)
    source = ds.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    equipment = ds.ContributingEquipmentSequence[0]
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("example-1", "0.0.0")
    assert readings.MODEL.weights_sha256 in equipment.ContributionDescription
    assert "lungs-0 0.0.0" in equipment.ContributionDescription
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert "class activation mapping" in ds.DerivationDescription
    assert "COVID-19 (step 2)" in ds.DerivationDescription
    assert "lungs found by lungs-0 0.0.0; inside lungs at least 60 %" in ds.DerivationDescription


def test_the_series_of_the_film_is_left_alone():
    film = make_film()
    ds = build(film)
    assert ds.SeriesInstanceUID != film.SeriesInstanceUID
    assert ds.StudyInstanceUID == film.StudyInstanceUID


def test_the_object_names_the_patient_only_in_the_patients_own_elements(tmp_path):
    path = tmp_path / "picture.dcm"
    build(make_film(PatientName=NAME, PatientID=PATIENT_ID)).save_as(path, enforce_file_format=True)
    written = path.read_bytes()
    assert written.count(NAME.encode()) == 1
    assert written.count(PATIENT_ID.encode()) == 1


def test_the_pixels_do_not_depend_on_who_the_patient_is():
    first, second = (
        build(make_film()),
        build(make_film(PatientName=NAME, AccessionNumber="B1", PatientID=PATIENT_ID)),
    )
    assert first.PixelData == second.PixelData


@pytest.mark.parametrize("longest_side", [0, 511])
def test_a_picture_too_small_to_be_read_is_refused(longest_side):
    with pytest.raises(ValueError, match="at least 512"):
        build(make_film(), longest_side=longest_side)


def test_an_activation_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        build(make_film(), readings.make_reading((0.1, 0.8, 0.1), activation=np.full((8, 8), np.inf)))


def test_the_overlay_has_a_series_of_its_own():
    film = make_film()
    usual, overlay = build(film), build(film, overlay_only=True)
    assert (overlay.SeriesNumber, overlay.SeriesDescription) == (
        9005,
        "Firstread AI - not for diagnosis - overlay",
    )
    assert usual.SeriesInstanceUID != overlay.SeriesInstanceUID
    assert usual.SOPInstanceUID != overlay.SOPInstanceUID
    expected = picture.draw_overlay(DISPLAY, readings.covid(), NOW, 512)
    assert np.array_equal(overlay.pixel_array, expected)


def test_a_film_that_is_not_read_has_a_picture_that_says_why():
    film = make_film()
    ds = build_not_analysed(film)
    assert (ds.SeriesNumber, ds.SeriesDescription) == (9006, "Firstread AI - not analysed")
    assert ds.DerivationDescription.startswith("Not analysed: not a frontal film; model example-1, ")
    expected = picture.draw_not_analysed(DISPLAY, LATERAL, readings.MODEL, NOW, 512)
    assert np.array_equal(ds.pixel_array, expected)
    report = not_analysed.build(film, LATERAL, readings.MODEL, "digest", NOW)
    assert ds.SeriesInstanceUID != report.SeriesInstanceUID
    other = build_not_analysed(film, OutOfScope("ROTATED", "a", "b"))
    assert other.SOPInstanceUID != ds.SOPInstanceUID
    film.Rows = None
    with pytest.raises(not_analysed.NotReportable, match="found no Rows"):
        build_not_analysed(film)


def test_the_modality_is_the_one_asked_for_and_never_two_in_one_series():
    film = make_film()
    usual, other = build(film), build(film, modality="CR")
    assert (usual.Modality, other.Modality) == ("OT", "CR")
    assert usual.SeriesInstanceUID != other.SeriesInstanceUID
    assert usual.SOPInstanceUID != other.SOPInstanceUID


STEPS = {
    "none": ({}, ["ISO_10918_1"]),
    "one": (
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": "12.5",
            "LossyImageCompressionMethod": "ISO_15444_1",
        },
        ["ISO_15444_1", "ISO_10918_1"],
    ),
    "lossless": (
        {"LossyImageCompression": "00", "LossyImageCompressionMethod": "ISO_15444_1"},
        ["ISO_10918_1"],
    ),
    "no method": ({"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"}, ["ISO_10918_1"]),
}


@pytest.mark.parametrize("name", STEPS)
def test_jpeg_records_every_lossy_step_and_reads_back_almost_as_drawn(name, tmp_path):
    changes, methods = STEPS[name]
    film = make_film(**changes)
    build(film, longest_side=1024, jpeg=True).save_as(tmp_path / "picture.dcm", enforce_file_format=True)
    ds = dcmread(tmp_path / "picture.dcm")
    assert ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    assert (ds.SamplesPerPixel, ds.PlanarConfiguration) == (3, 0)
    assert ds.LossyImageCompression == "01"
    assert as_list(ds.LossyImageCompressionMethod) == methods
    drawn = build(film, longest_side=1024).pixel_array
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    *before, last = as_list(ds.LossyImageCompressionRatio)
    assert before == [12.5] * (len(methods) - 1)
    assert float(last) == pytest.approx(drawn.size / len(frame), abs=0.01)
    assert float(last) > 10
    assert {component[1:3] for component in Image.open(BytesIO(frame)).layer} == {(1, 1)}  # 4:4:4
    difference = np.abs(ds.pixel_array.astype(int) - drawn)
    assert difference.mean() < 2
    assert difference.max() < 60


def test_the_same_arguments_give_the_same_jpeg_and_it_is_another_object():
    film = make_film()
    assert build(film, jpeg=True) == build(film, jpeg=True)
    assert build(film, jpeg=True).SOPInstanceUID != build(film).SOPInstanceUID
    assert build(film, jpeg=True).SeriesInstanceUID == build(film).SeriesInstanceUID


LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "10",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
FILMS = {
    "rich": make_film,
    "bare": make_bare_film,
    "MONOCHROME1": lambda: make_film(PhotometricInterpretation="MONOCHROME1"),
    "lossy": lambda: make_film(**LOSSY),
    "offset": lambda: make_film(TimezoneOffsetFromUTC="-0330", InstanceNumber=7),
}


@pytest.mark.parametrize("name", FILMS)
def test_film_picture_and_report_satisfy_the_validators(name, tmp_path):
    film = write_film(tmp_path / "film.dcm", FILMS[name]())
    build(film).save_as(tmp_path / "picture.dcm", enforce_file_format=True)
    report = structured_report.build(film, readings.covid(), "digest", NOW, rows=600, columns=560)
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "picture.dcm") == []
    assert dciodvfy_errors(tmp_path / "report.dcm") == []
    assert dcentvfy_errors(*(tmp_path / f"{kind}.dcm" for kind in ("film", "picture", "report"))) == []


# One warning is the film's own: its character set is misspelt.
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning")
@pytest.mark.parametrize("name", NATIONAL)
def test_national_films_bring_no_error_of_ours(name, tmp_path):
    film = write_national_film(tmp_path / "film.dcm", *NATIONAL[name])
    build(film).save_as(tmp_path / "picture.dcm", enforce_file_format=True)
    assert set(dciodvfy_errors(tmp_path / "picture.dcm")) <= set(dciodvfy_errors(tmp_path / "film.dcm"))
    assert dcentvfy_errors(tmp_path / "film.dcm", tmp_path / "picture.dcm") == []


def test_a_written_picture_reads_back_as_drawn(tmp_path):
    ds = build(make_film())
    ds.save_as(tmp_path / "picture.dcm", enforce_file_format=True)
    assert np.array_equal(dcmread(tmp_path / "picture.dcm").pixel_array, ds.pixel_array)
