"""What the header is refused for, and what passes."""

import pickle

import numpy as np
import pytest
from conftest import make_bare_film, make_film
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage, CTImageStorage, DigitalXRayImageStorageForProcessing

from model.scope import OutOfScope, ScopeRules, age_years, check_header

RULES = ScopeRules()


def refusal(rules: ScopeRules = RULES, **changes: object) -> OutOfScope:
    with pytest.raises(OutOfScope) as refused:
        check_header(make_film(**changes), rules)
    return refused.value


def set_raw(ds: Dataset, keyword: str, vr: str, raw: bytes) -> None:
    """Put bytes into a data set as they come from a file, unread."""
    ds[keyword] = RawDataElement(Tag(keyword), vr, len(raw), raw, 0, False, True)


def coded(value: str) -> Sequence:
    item = Dataset()
    item.CodeValue = value
    return Sequence([item])


def test_a_chest_film_passes():
    check_header(make_film(), RULES)


def test_a_film_with_almost_no_tags_passes():
    check_header(make_bare_film(), RULES)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SOP_CLASS", {"SOPClassUID": CTImageStorage}),
        ("OWN_OUTPUT", {"Manufacturer": "Firstread"}),
        ("OWN_OUTPUT", {"Manufacturer": "Firstread", "SOPClassUID": Comprehensive3DSRStorage}),
        ("OWN_OUTPUT", {"ManufacturerModelName": "Firstread"}),
        ("OWN_OUTPUT", {"SeriesDescription": "Firstread result, not for diagnosis"}),
        ("FOR_PROCESSING", {"SOPClassUID": DigitalXRayImageStorageForProcessing}),
        ("FOR_PROCESSING", {"PresentationIntentType": "FOR PROCESSING"}),
        ("MODALITY", {"Modality": "CT"}),
        ("MODALITY", {"Modality": None}),
        ("COLOUR", {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}),
        ("COLOUR", {"PhotometricInterpretation": "PALETTE COLOR"}),
        ("COLOUR", {"PhotometricInterpretation": None}),
        ("MULTI_FRAME", {"NumberOfFrames": 96}),
        ("MATRIX", {"Rows": None}),
        ("MATRIX", {"Columns": 0}),
        ("TOO_SMALL", {"Rows": 169, "Columns": 211}),
        ("TOO_LARGE", {"Rows": 65535, "Columns": 65535}),
        ("NOT_CHEST", {"BodyPartExamined": "HIP"}),
        ("NOT_CHEST", {"BodyPartExamined": "RIBCAGE"}),
        ("NOT_CHEST", {"BodyPartExamined": None, "StudyDescription": "Teeth, panoramic"}),
        ("NOT_CHEST", {"BodyPartExamined": None, "AnatomicRegionSequence": coded("72696002")}),
        ("NOT_FRONTAL", {"ViewPosition": "LL"}),
        ("NOT_FRONTAL", {"ViewPosition": None, "PatientPosition": "XX"}),
        ("NOT_FRONTAL", {"ViewPosition": None, "PatientPosition": "LL"}),
        ("NOT_FRONTAL", {"ViewPosition": None, "ViewCodeSequence": coded("399067008")}),
        ("NOT_FRONTAL", {"ViewPosition": None, "PatientOrientation": ["A", "F"]}),
        ("NOT_FRONTAL", {"ViewPosition": None, "SeriesDescription": "Chest lat"}),
        ("NOT_HUMAN", {"PatientSpeciesDescription": "Canine"}),
        ("NOT_HUMAN", {"StudyDescription": "THORAX CANINE"}),
        ("AGE", {"PatientAge": "130Y"}),
    ],
)
def test_a_film_of_another_kind_is_refused(code, changes):
    assert refusal(**changes).code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"ViewPosition": None, "PatientPosition": "PA"},
        {"ViewPosition": None, "PatientPosition": "HFS"},
        {"ViewPosition": None, "ViewCodeSequence": coded("272479007")},
        {"ViewPosition": None, "StudyDescription": "Chest PA and lateral"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": coded("51185008")},
        {"BodyPartExamined": None, "StudyDescription": "Chest and abdomen"},
        {"NumberOfFrames": 1},
        {"PatientAge": "006M"},
    ],
)
def test_what_says_chest_and_frontal_in_another_way_passes(changes):
    check_header(make_film(**changes), RULES)


def test_the_site_decides_about_films_that_do_not_say():
    strict = ScopeRules(accept_missing_body_part=False, accept_missing_view=False)
    assert refusal(strict, BodyPartExamined=None, StudyDescription=None).code == "NOT_CHEST"
    assert refusal(strict, ViewPosition=None).code == "NOT_FRONTAL"


def test_the_site_may_widen_the_rules():
    check_header(make_film(BodyPartExamined="RIBCAGE"), ScopeRules(body_parts=("RIBCAGE",)))
    raw = make_film(SOPClassUID=DigitalXRayImageStorageForProcessing, Modality="DX")
    check_header(raw, ScopeRules(analyse_for_processing=True))


def test_an_age_limit_refuses_children_and_nobody_without_an_age():
    adults = ScopeRules(min_age_years=18)
    assert refusal(adults, PatientAge="006M").code == "AGE"
    assert refusal(adults, PatientAge=None, PatientBirthDate="20200101").code == "AGE"
    check_header(make_film(PatientAge=None, PatientBirthDate=None), adults)


@pytest.mark.parametrize(
    ("age", "years"),
    [("066Y", 66), ("006M", 0.5), ("010D", 10 / 365.25), ("026W", 26 * 7 / 365.25)],
)
def test_age_is_read_in_its_unit(age, years):
    assert age_years(make_film(PatientAge=age)) == pytest.approx(years)


def test_a_malformed_age_is_no_age():
    ds = make_film(PatientAge=None, PatientBirthDate=None)
    ds.add_new("PatientBirthDate", "LO", "unknown")
    ds.add_new("PatientAge", "LO", "81")
    assert age_years(ds) is None


def test_age_follows_from_the_dates_where_the_age_is_absent():
    assert age_years(make_film(PatientAge=None)) == pytest.approx(66.7, abs=0.1)
    assert age_years(make_film(PatientAge=None, PatientBirthDate="18000101")) is None


def test_a_refusal_names_rule_found_and_expected():
    assert str(refusal(BodyPartExamined="HIP")) == "NOT_CHEST: found HIP, expected CHEST or THORAX or LUNG"


def test_a_refusal_says_why_in_words():
    assert refusal(ViewPosition="LL").reason == "not a frontal film"


def test_a_refusal_crosses_processes():
    sent = refusal(BodyPartExamined="HIP")
    came = pickle.loads(pickle.dumps(sent))
    assert (str(came), came.reason) == (str(sent), sent.reason)


def test_no_refusal_names_the_patient():
    for changes in ({"ViewPosition": "LL"}, {"PatientSpeciesDescription": "Canine"}, {"PatientAge": "130Y"}):
        message = str(refusal(**changes))
        assert not any(secret in message for secret in ("Buc", "PID-0815", "19600229"))


@pytest.mark.parametrize(
    ("keyword", "vr", "raw", "code"),
    [
        ("NumberOfFrames", "IS", b"1A", "MULTI_FRAME"),
        ("Rows", "US", b"\x01", "MATRIX"),
        ("BodyPartExamined", "CS", b"B\xfccken ", "NOT_CHEST"),
        ("SOPClassUID", "UI", b"not a UID\x00", "SOP_CLASS"),
    ],
)
def test_values_that_cannot_be_read_are_reasons_and_no_crash(film, keyword, vr, raw, code):
    ds = film()
    set_raw(ds, keyword, vr, raw)
    with pytest.raises(OutOfScope) as refused:
        check_header(ds, RULES)
    assert refused.value.code == code


def test_a_sequence_in_place_of_a_number_is_a_reason_that_tells_nothing_of_what_is_in_it():
    ds, item = make_film(), Dataset()
    item.PatientName = "Doe^Jane"
    del ds.Rows
    ds.add(DataElement("Rows", "SQ", [item]))
    with pytest.raises(OutOfScope) as refused:
        check_header(ds, RULES)
    assert refused.value.code == "MATRIX"
    assert "doe" not in str(refused.value).lower()


def test_an_unknown_character_set_does_not_stop_the_rules(film):
    ds = film()
    set_raw(ds, "SpecificCharacterSet", "CS", b"ISO_IR 999")
    set_raw(ds, "StudyDescription", "LO", b"Th\xb0rax \xff\xfe")
    check_header(ds, RULES)


def test_no_pixel_is_touched_for_a_header():
    ds = make_film(pixels=np.zeros((400, 400), np.uint16))
    del ds.PixelData
    check_header(ds, RULES)
