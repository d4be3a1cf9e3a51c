"""What every result shares with its film."""

import dataclasses
import datetime
from io import BytesIO

import numpy as np
import pytest
from conftest import NOW, make_bare_film, make_film
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from readings import covid
from received import NATIONAL, write_film, write_national_film

from daemon.results import film as film_module
from daemon.results import secondary_capture, structured_report
from daemon.results.film import COPIED, derive_uid

GREY = np.full((60, 56), 100, np.uint8)
ISSUED_BY = {
    "IssuerOfAccessionNumberSequence": "RIS",
    "IssuerOfPatientIDQualifiersSequence": "HIS",
}


def results(film: Dataset, tmp_path) -> list[Dataset]:
    """Both results of a film, written to disk and read again."""
    built = (
        secondary_capture.build(film, GREY, covid(), "digest", NOW, longest_side=512),
        structured_report.build(film, covid(), "digest", NOW, rows=600, columns=560),
    )
    for number, ds in enumerate(built):
        with (tmp_path / f"result-{number}.dcm").open("wb") as file:
            film_module.write(ds, file)
    return [dcmread(tmp_path / f"result-{number}.dcm") for number in range(len(built))]


@pytest.mark.parametrize("jpeg", [False, True])
@pytest.mark.parametrize("longest_side", [512, 513])  # of an odd number of bytes, the second
def test_a_file_is_the_one_that_pydicom_writes(longest_side, jpeg):
    capture = secondary_capture.build(
        full_film(), GREY, covid(), "digest", NOW, longest_side=longest_side, jpeg=jpeg
    )
    report = structured_report.build(full_film(), covid(), "digest", NOW, rows=600, columns=560)
    for ds in (capture, report):
        ours, theirs = BytesIO(), BytesIO()
        film_module.write(ds, ours)
        ds.save_as(theirs, enforce_file_format=True)
        assert ours.getvalue() == theirs.getvalue()


@pytest.mark.filterwarnings("ignore:The value")
def test_a_text_too_long_for_a_length_of_two_bytes_is_kept(tmp_path):
    film = full_film(AdditionalPatientHistory="x" * 70_000)
    film.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for ds in results(write_film(tmp_path / "film.dcm", film), tmp_path):
        assert ds.AdditionalPatientHistory == b"x" * 70_000


def _item(identifier: str) -> Dataset:
    item = Dataset()
    item.LocalNamespaceEntityID = identifier
    return item


def full_film(**changes) -> Dataset:
    sequences = {keyword: [_item(text)] for keyword, text in ISSUED_BY.items()}
    return make_film(**sequences, TimezoneOffsetFromUTC="+0100", PatientComments="by bus", **changes)


def raw_values(ds: Dataset) -> dict[str, bytes]:
    return {keyword_for_tag(tag): ds.get_item(tag).value for tag in COPIED if tag in ds}


def test_results_copy_the_identity_of_their_film_byte_for_byte(tmp_path):
    film = write_film(tmp_path / "film.dcm", full_film())
    expected = raw_values(dcmread(tmp_path / "film.dcm", stop_before_pixels=True))
    named = {
        "SpecificCharacterSet", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
        "IssuerOfAccessionNumberSequence", "PatientID", "IssuerOfPatientID", "PatientName", "PatientSex",
        "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "ReferringPhysicianName",
        "TimezoneOffsetFromUTC",
    }  # fmt: skip
    assert named <= expected.keys()
    for ds in results(film, tmp_path):
        copied = raw_values(ds)
        for sequence, issuer in ISSUED_BY.items():  # of defined or undefined length is no part of the value
            assert copied.pop(sequence)
            assert ds[sequence][0].LocalNamespaceEntityID == issuer
        assert copied == {keyword: value for keyword, value in expected.items() if keyword not in ISSUED_BY}


# One warning is the film's own: its character set is misspelt.
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning")
@pytest.mark.parametrize("character_set, name", NATIONAL.values(), ids=NATIONAL)
def test_national_bytes_and_character_set_come_through_as_they_came(character_set, name, tmp_path):
    film = write_national_film(tmp_path / "film.dcm", character_set, name)
    expected = raw_values(dcmread(tmp_path / "film.dcm", stop_before_pixels=True))
    assert expected["PatientName"].rstrip() == name
    for ds in results(film, tmp_path):
        assert raw_values(ds) == expected


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_results_of_a_film_in_another_encoding_copy_the_same_bytes(syntax, tmp_path):
    film = full_film()
    as_explicit = [raw_values(ds) for ds in results(film, tmp_path)]
    recoded = Dataset(film)  # pydicom refuses to change the byte order of one that came from a file
    recoded.file_meta = film.file_meta
    recoded.file_meta.TransferSyntaxUID = syntax
    received = write_film(tmp_path / "film.dcm", recoded)
    assert [raw_values(ds) for ds in results(received, tmp_path)] == as_explicit


def test_nothing_is_invented_for_a_film_with_almost_no_tags(tmp_path):
    film = write_film(tmp_path / "film.dcm", make_bare_film())
    for ds in results(film, tmp_path):
        copied = raw_values(ds)
        assert copied.pop("StudyInstanceUID").rstrip(b"\0").decode() == film.StudyInstanceUID
        assert set(copied.values()) <= {None, b""}
        assert {"PatientName", "PatientID", "StudyDate", "AccessionNumber"} <= copied.keys()
        assert "IssuerOfPatientID" not in copied
        assert "SpecificCharacterSet" not in copied


def test_the_clock_of_a_result_is_in_the_offset_its_header_declares(tmp_path):
    film = write_film(tmp_path / "film.dcm", full_film())
    for ds in results(film, tmp_path):
        assert (ds.ContentDate, ds.ContentTime) == ("20261124", "132007")
        assert (ds.InstanceCreationDate, ds.InstanceCreationTime) == ("20261124", "132007")


def test_the_clock_of_a_result_is_local_where_the_film_declares_no_offset(tmp_path):
    for ds in results(make_film(), tmp_path):
        assert (ds.ContentDate, ds.ContentTime) == ("20261125", "012007")


def test_the_same_arguments_give_the_same_bytes():
    film = make_film()

    def encoded(now: datetime.datetime = NOW) -> list[bytes]:
        streams = (BytesIO(), BytesIO())
        picture = secondary_capture.build(film, GREY, covid(), "digest", now, longest_side=512)
        picture.save_as(streams[0], enforce_file_format=True)
        report = structured_report.build(film, covid(), "digest", now, rows=600, columns=560)
        report.save_as(streams[1], enforce_file_format=True)
        return [stream.getvalue() for stream in streams]

    first = encoded()
    assert encoded() == first
    assert encoded(NOW + datetime.timedelta(seconds=1)) != first


@pytest.mark.parametrize("offset", ["+9900", "-0199", "UTC"])
def test_an_impossible_offset_is_copied_but_not_applied(offset, tmp_path):
    for ds in results(make_film(TimezoneOffsetFromUTC=offset), tmp_path):
        assert ds.TimezoneOffsetFromUTC == offset
        assert ds.ContentTime == "012007"


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS:UserWarning")  # of the film, that is the point
def test_results_sort_as_their_films_do_and_survive_an_instance_number_that_is_none(tmp_path):
    path = tmp_path / "film.dcm"
    assert {
        ds.InstanceNumber for ds in results(write_film(path, make_film(InstanceNumber=77)), tmp_path)
    } == {77}
    number = b"\x20\x00\x13\x00IS\x02\x00"
    path.write_bytes(path.read_bytes().replace(number + b"77", number + b"7x"))
    film = dcmread(path, stop_before_pixels=True)
    assert {ds.InstanceNumber for ds in results(film, tmp_path)} == {1}


def test_uids_change_with_film_bytes_weights_and_kind():
    film, model = make_film(), covid().model
    weights = dataclasses.replace(model, weights_sha256="f" * 64)
    uids = {
        film_module.result_uid(film, "digest", model, "SC"),
        film_module.result_uid(film, "digest", model, "SR"),
        film_module.result_uid(film, "other digest", model, "SC"),
        film_module.result_uid(film, "digest", weights, "SC"),
        film_module.result_uid(make_film(), "digest", model, "SC"),
        film_module.series_uid(film, model, "SC"),
        film_module.series_uid(film, model, "SR"),
        film_module.series_uid(film, weights, "SC"),
        film_module.device_uid(model),
        film_module.device_uid(weights),
    }
    assert len(uids) == 10
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert derive_uid("a", "bc") != derive_uid("ab", "c")


def test_films_of_one_series_share_the_series_of_their_results():
    first = make_film()
    second = make_film(StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID)
    model = covid().model
    assert film_module.series_uid(first, model, "SC") == film_module.series_uid(second, model, "SC")


def test_a_lossy_source_makes_a_lossy_picture(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"}
    film = make_film(**lossy, LossyImageCompressionMethod="ISO_10918_1")
    film.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    picture, report = results(film, tmp_path)
    assert (picture.LossyImageCompression, picture.LossyImageCompressionRatio) == ("01", 12.5)
    assert "LossyImageCompression" not in report
