"""The Secondary Capture as an object; `test_picture` has its looks."""

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels, make_bare_film, make_film
from judges import dcentvfy_errors, dciodvfy_errors
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NAME, NATIONAL, PATIENT_ID, write_film, write_national_film

from daemon.results import secondary_capture, structured_report

DISPLAY = (chest_pixels() >> 4).astype(np.uint8)


def build(film: Dataset, reading=None, longest_side: int = 512) -> Dataset:
    reading = reading or readings.covid()
    return secondary_capture.build(film, DISPLAY, reading, "digest", NOW, longest_side=longest_side)


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
    assert "lungs found by lungs-0 0.0.0; threshold inside the lungs 60 %" in ds.DerivationDescription


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
