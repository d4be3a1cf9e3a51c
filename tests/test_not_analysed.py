"""The report on a film that is not read."""

import pytest
import readings
from conftest import NOW, make_bare_film, make_film
from judges import dciodvfy_errors, dsr2html_text, pixelmed_errors
from pydicom.dataset import Dataset
from received import NAME, NATIONAL, PATIENT_ID, write_film, write_national_film

from daemon.results import codes, not_analysed
from daemon.results.not_analysed import NotReportable
from model.scope import REFUSALS, OutOfScope, ScopeRules, check_header

LATERAL = OutOfScope("NOT_FRONTAL", "LL", "PA or AP")
TURNED = OutOfScope("ROTATED", "a chest turned by 90 degrees", "an upright film")


def build(film: Dataset, refusal: OutOfScope = LATERAL, digest: str = "digest") -> Dataset:
    return not_analysed.build(film, refusal, readings.MODEL, digest, NOW)


def texts(ds: Dataset) -> list[str]:
    return [
        item.TextValue
        for item in ds.ContentSequence
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
    ]


def walk(item: Dataset):
    yield item
    for child in item.get("ContentSequence", ()):
        yield from walk(child)


def test_it_says_why_and_by_which_model_and_nothing_of_the_lungs():
    ds = build(make_film())
    assert texts(ds) == [
        "RESEARCH USE ONLY - NOT FOR DIAGNOSIS. Machine output, not reviewed by a person.",
        "Not analysed: not a frontal film. Found: LL. Expected: PA or AP.\r\n"
        "Model example-1, version 0.0.0, weights sha256 0123456789ab.",
    ]
    assert not [item for item in walk(ds) if item.ValueType in ("SCOORD", "SCOORD3D")]
    numbers = {item.ConceptNameCodeSequence[0].CodeMeaning for item in walk(ds) if item.ValueType == "NUM"}
    assert numbers == {"Pixel Data Rows", "Pixel Data Columns"}
    assert (ds.SeriesDescription, ds.SeriesNumber) == ("Firstread AI - not analysed", 9006)


def test_the_reason_is_a_code_too():
    codes_of = {
        item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0]
        for item in walk(build(make_film(), TURNED))
        if item.ValueType == "CODE"
    }
    reason = codes_of["WHYNOTANALYSED"]
    assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("ROTATED", "99FIRSTREAD")
    assert codes_of["111065"].CodeMeaning == "Not Attempted"


def test_every_refusal_has_a_code_of_its_own_that_fits():
    assert list(codes.REFUSED) == list(REFUSALS)
    for attribute, most in (("CodeValue", 16), ("CodeMeaning", 64)):
        values = [getattr(concept, attribute) for concept in codes.REFUSED.values()]
        assert len(set(values)) == len(values)
        assert max(map(len, values)) <= most


def test_the_same_refusal_is_the_same_report_and_another_one_another():
    film = make_film()
    first, again = build(film), build(film)
    assert first == again
    others = [build(film, TURNED), build(film, digest="other"), build(make_film())]
    assert len({ds.SOPInstanceUID for ds in (first, *others)}) == 4
    assert first.SeriesInstanceUID == others[0].SeriesInstanceUID != film.SeriesInstanceUID


def test_it_lies_in_the_films_study_and_refers_to_the_film():
    film = make_film()
    ds = build(film)
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0]
    assert ds.StudyInstanceUID == evidence.StudyInstanceUID == film.StudyInstanceUID
    referred = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referred.ReferencedSOPInstanceUID == film.SOPInstanceUID


def test_a_node_that_gets_it_back_does_not_answer():
    with pytest.raises(OutOfScope, match="OWN_OUTPUT"):
        check_header(build(make_film()), ScopeRules())


def test_letters_of_the_header_that_ascii_lacks_are_question_marks():
    ds = build(make_film(), OutOfScope("NOT_CHEST", "BÜCKEN", "CHEST"))
    assert "Found: B?CKEN." in texts(ds)[1]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID", "Rows"])
def test_a_header_without_what_it_refers_to_is_named(keyword):
    film = make_film()
    film[keyword].value = None
    with pytest.raises(NotReportable, match=f"^found no {keyword}, expected"):
        build(film)
    del film[keyword]
    with pytest.raises(NotReportable, match=f"^found no {keyword}, expected"):
        build(film)


def test_the_text_names_no_patient(tmp_path):
    film = write_film(tmp_path / "film.dcm", make_film(PatientName=NAME, PatientID=PATIENT_ID))
    build(film).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    written = (tmp_path / "report.dcm").read_bytes()
    assert written.count(NAME.encode()) == written.count(PATIENT_ID.encode()) == 1


# One warning is the film's own: its character set is misspelt.
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning")
@pytest.mark.parametrize("name", NATIONAL)
def test_national_films_bring_no_error_of_ours(name, tmp_path):
    film = write_national_film(tmp_path / "film.dcm", *NATIONAL[name])
    build(film).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert set(dciodvfy_errors(tmp_path / "report.dcm")) <= set(dciodvfy_errors(tmp_path / "film.dcm"))


def test_reports_on_a_rich_and_on_a_bare_film_satisfy_the_validators(tmp_path):
    cases = {"rich": (make_film, LATERAL), "bare": (make_bare_film, TURNED)}
    paths = []
    for name, (make, refusal) in cases.items():
        film = write_film(tmp_path / f"{name}-film.dcm", make())
        paths.append(tmp_path / f"{name}.dcm")
        build(film, refusal).save_as(paths[-1], enforce_file_format=True)
        assert dciodvfy_errors(paths[-1]) == []
        assert "Not analysed: " in dsr2html_text(paths[-1])
    assert pixelmed_errors(*paths) == {path.name: [] for path in paths}
