"""The Structured Report."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import readings
from conftest import NOW, make_bare_film, make_film
from judges import dciodvfy_errors, dsr2html_text, pixelmed_errors
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NAME, NATIONAL, PATIENT_ID, write_film, write_national_film

from daemon.results import film as of_film
from daemon.results import report_groups, structured_report, wording
from model.activation import Inside

STORED = Path(__file__).parent / "data"
PRESENT, ABSENT, UNDETERMINED = "Present", "Absent", "Undetermined"


def build(film: Dataset, reading, **variant: object) -> Dataset:
    return structured_report.build(film, reading, "digest", NOW, rows=600, columns=560, **variant)


def children(item: Dataset, meaning: str) -> list[Dataset]:
    return [
        child
        for child in item.get("ContentSequence", ())
        if child.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def groups(ds: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    found = children(children(ds, "Imaging Measurements")[0], "Measurement Group")
    return {children(group, "Tracking Identifier")[0].TextValue: group for group in found}


def decisions(ds: Dataset) -> dict[str, str]:
    concept = "Model decision at the threshold"
    return {
        name: children(group, concept)[0].ConceptCodeSequence[0].CodeMeaning
        for name, group in groups(ds).items()
    }


def walk(item: Dataset):
    yield item
    for child in item.get("ContentSequence", ()):
        yield from walk(child)


def test_comment_and_summary_come_before_all_else_that_is_contained():
    ds = build(make_film(), readings.covid())
    contained = [item for item in ds.ContentSequence if item.RelationshipType == "CONTAINS"]
    names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in contained]
    assert names == ["Comment", "Summary", "Image Library", "Imaging Measurements"]
    assert contained[0].TextValue.startswith("RESEARCH USE ONLY - NOT FOR DIAGNOSIS.")
    assert contained[1].TextValue.split("\r\n")[0] == "Highest model score: COVID-19."


def test_the_report_is_complete_preliminary_unverified_and_by_a_device():
    ds = build(make_film(), readings.covid())
    assert (ds.CompletionFlag, ds.PreliminaryFlag, ds.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    observer = children(ds, "Observer Type")[0].ConceptCodeSequence[0]
    assert (observer.CodeValue, observer.CodingSchemeDesignator) == ("121007", "DCM")
    assert (ds.Modality, ds.SeriesNumber) == ("SR", 9002)
    assert ds.SeriesDescription == "Firstread AI - not for diagnosis - report"


def test_every_container_is_separate():
    ds = build(make_film(), readings.covid())
    assert {item.ContinuityOfContent for item in walk(ds) if item.ValueType == "CONTAINER"} == {"SEPARATE"}


def written(ds: Dataset) -> bytes:
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


class Actual:
    """A film's own values where a template has stand-ins."""

    def __init__(self, values: dict):
        self.uid = self.text = self.number = self.line = values.__getitem__


@pytest.mark.parametrize("name", readings.ALL)
def test_a_report_from_a_template_is_what_highdicom_makes_of_the_film_itself(name):
    reading, film = readings.ALL[name](), make_film(InstanceNumber=17)
    build(make_film(), readings.ALL[name]())  # another film came before, so that the template is there
    ds = build(film, reading)
    header = of_film.complete_header(film)
    header.Rows, header.Columns = 600, 560
    region = wording.region_of(reading, 600, 560)
    values = report_groups.values(reading, region, ds.SOPInstanceUID, 600, 560)
    values.setdefault(report_groups.REGION, np.zeros((1, 2)))
    groups = report_groups.groups(report_groups.said(reading, region, False), header, Actual(values))
    series = (ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription)
    model, summary, uid = reading.model, wording.summary(reading), ds.SOPInstanceUID
    itself = structured_report.document(film, header, groups, summary, model, series, uid)
    itself = of_film.finish(itself, film, NOW, character_set="ISO_IR 100")
    assert written(ds) == written(itself)


STEP1 = ["Step 1: normal", "Step 1: bacterial", "Step 1: viral"]
STEP2 = ["Step 2: COVID-19", "Step 2: other virus"]
EXPECTED = {
    "normal": dict(zip(STEP1, [PRESENT, ABSENT, ABSENT], strict=True)),
    "bacterial": dict(zip(STEP1, [ABSENT, PRESENT, ABSENT], strict=True)),
    "viral": dict(zip(STEP1 + STEP2, [ABSENT, ABSENT, PRESENT, UNDETERMINED, UNDETERMINED], strict=True)),
    "covid": dict(zip(STEP1 + STEP2, [ABSENT, ABSENT, PRESENT, PRESENT, ABSENT], strict=True)),
    "other_virus": dict(zip(STEP1 + STEP2, [ABSENT, ABSENT, PRESENT, ABSENT, PRESENT], strict=True)),
    "below_threshold": dict.fromkeys(STEP1 + STEP2, UNDETERMINED),
    "steps_disagree": dict.fromkeys(STEP1 + STEP2, UNDETERMINED),
    "unlike_training": dict.fromkeys(STEP1 + STEP2, UNDETERMINED),
    "outside_lungs": dict.fromkeys(STEP1 + STEP2, UNDETERMINED),
}


@pytest.mark.parametrize("name", readings.ALL)
def test_each_scored_class_has_a_group_that_states_the_decision(name):
    assert decisions(build(make_film(), readings.ALL[name]())) == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "normality"),
    [("normal", "Normal"), ("covid", "Abnormal"), ("outside_lungs", "Normality Undetermined")],
)
def test_normality_follows_the_decision(name, normality):
    group = groups(build(make_film(), readings.ALL[name]()))["Step 1: normal"]
    assert children(group, "Normality")[0].ConceptCodeSequence[0].CodeMeaning == normality


def test_a_score_is_rounded_in_numeric_value_and_full_in_floating_point_value():
    reading = readings.make_reading((0.1, 0.304, 0.596), (0.1, 0.123456789012345, 0.7))
    scores = {
        name: children(group, "Certainty of Finding")[0].MeasuredValueSequence[0]
        for name, group in groups(build(make_film(), reading)).items()
    }
    shown = {name: str(value.NumericValue) for name, value in scores.items()}
    assert list(shown.values()) == ["10", "30", "59.6", "12", "70"]
    assert scores["Step 2: COVID-19"].FloatingPointValue == pytest.approx(12.3456789012345)
    assert {value.MeasurementUnitsCodeSequence[0].CodeValue for value in scores.values()} == {"%"}


def test_the_class_with_the_activation_has_its_region_and_every_other_class_the_whole_film():
    outlines = {
        name: np.reshape(children(group, "Image Region")[0].GraphicData, (-1, 2))
        for name, group in groups(build(make_film(), readings.covid())).items()
    }
    own = outlines.pop("Step 2: COVID-19")
    columns, rows = own.T
    assert 51 / 96 * 560 < columns.min() < 6.5 * 70 < columns.max() < 86 / 96 * 560  # the left lung
    assert rows.min() < 4.5 * 75 < rows.max() <= 600
    for outline in outlines.values():
        assert outline.tolist() == [[0, 0], [560, 0], [560, 600], [0, 600], [0, 0]]


def test_a_normal_reading_points_at_no_place():
    report = build(make_film(), readings.normal())
    outline = children(groups(report)["Step 1: normal"], "Image Region")[0]
    assert list(outline.GraphicData) == [0, 0, 560, 0, 560, 600, 0, 600, 0, 0]
    assert shares(report) == {}
    assert sites(report) == {}


def site(item: Dataset) -> tuple[str, str]:
    """Code of the place that an item is about, and of its side."""
    (place,) = children(item, "Finding Site")
    side = children(place, "Laterality")[0].ConceptCodeSequence[0]
    return place.ConceptCodeSequence[0].CodeValue, side.CodeValue


def sites(ds: Dataset) -> dict[str, tuple[str, str]]:
    """Places of the groups that have one, by tracking identifier."""
    return {name: site(group) for name, group in groups(ds).items() if children(group, "Finding Site")}


def shares(ds: Dataset) -> dict[tuple[str, str], str]:
    """Shares of the activation, by tracking identifier and code of the side."""
    return {
        (name, site(item)[1]): str(item.MeasuredValueSequence[0].NumericValue)
        for name, group in groups(ds).items()
        for item in children(group, "Activation inside the lungs")
    }


RIGHT, LEFT, BOTH = "24028007", "7771000", "51440002"


@pytest.mark.parametrize(("column", "side"), [(2.0, RIGHT), (6.0, LEFT)])
def test_the_region_is_in_the_lung_that_it_lies_in_and_no_other_class_has_a_place(column, side):
    reading = readings.make_reading((0.04, 0.18, 0.78), (0.06, 0.84, 0.10), readings.blob(column=column))
    assert sites(build(make_film(), reading)) == {"Step 2: COVID-19": ("39607008", side)}


def test_a_region_outside_the_lungs_has_no_place():
    assert sites(build(make_film(), readings.outside_lungs())) == {}


def test_machines_can_read_how_much_of_the_activation_lies_in_each_lung():
    name = "Step 2: COVID-19"
    ds = build(make_film(), readings.covid())
    assert shares(ds) == {(name, BOTH): "92", (name, RIGHT): "30", (name, LEFT): "62"}
    item = children(groups(ds)[name], "Activation inside the lungs")[0]
    assert item.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99FIRSTREAD"
    value = item.MeasuredValueSequence[0]
    assert value.MeasurementUnitsCodeSequence[0].CodeValue == "%"
    assert value.FloatingPointValue == pytest.approx(92)


def test_a_share_just_below_the_threshold_is_not_rounded_up_to_it():
    reading = readings.make_reading((0.1, 0.8, 0.1), inside=Inside(0.1, 0.4996))
    ds = build(make_film(), reading)
    assert shares(ds)["Step 1: bacterial", BOTH] == "59.9"
    assert set(decisions(ds).values()) == {UNDETERMINED}


def test_the_algorithm_names_its_thresholds_and_the_network_that_found_the_lungs():
    for group in groups(build(make_film(), readings.covid())).values():
        assert [item.TextValue for item in children(group, "Algorithm Parameters")] == [
            "threshold 60 of 100",
            "lungs found by lungs-0 0.0.0",
            "inside lungs at least 60 %",
            "weights sha256 0123456789ab",
        ]


def test_the_report_refers_to_its_film():
    film = make_film()
    ds = build(film, readings.covid())
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == film.StudyInstanceUID
    series = evidence.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == film.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID


def test_private_codes_name_who_is_responsible_for_them():
    ds = build(make_film(), readings.other_virus())
    scheme = ds.CodingSchemeIdentificationSequence[0]
    assert scheme.CodingSchemeDesignator == "99FIRSTREAD"
    assert scheme.CodingSchemeResponsibleOrganization == "Firstread"


def test_an_activation_that_is_no_number_is_refused_even_where_it_is_not_shown():
    with pytest.raises(ValueError, match="NaN or infinity"):
        build(make_film(), readings.make_reading((0.9, 0.05, 0.05), activation=np.full((8, 8), np.nan)))


def test_the_text_names_no_patient(tmp_path):
    build(make_film(PatientName=NAME, PatientID=PATIENT_ID), readings.covid()).save_as(
        tmp_path / "report.dcm", enforce_file_format=True
    )
    written = (tmp_path / "report.dcm").read_bytes()
    assert written.count(NAME.encode()) == 1
    assert written.count(PATIENT_ID.encode()) == 1


def test_a_report_reads_as_stored(tmp_path):
    """After a wanted change, look at the new text and store it: the failure shows it in full."""
    fixed = {
        f"{level}InstanceUID": f"1.2.3.{number}" for number, level in enumerate(["Study", "Series", "SOP"])
    }
    film = make_film(**fixed)
    for name in ("covid", "normal", "outside_lungs"):
        path = tmp_path / f"{name}.dcm"
        build(film, readings.ALL[name]()).save_as(path, enforce_file_format=True)
        assert dsr2html_text(path) == (STORED / f"report-{name}.txt").read_text()


# One warning is the film's own: its character set is misspelt.
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning")
@pytest.mark.parametrize("name", NATIONAL)
def test_national_films_bring_no_error_of_ours(name, tmp_path):
    film = write_national_film(tmp_path / "film.dcm", *NATIONAL[name])
    build(film, readings.covid()).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert set(dciodvfy_errors(tmp_path / "report.dcm")) <= set(dciodvfy_errors(tmp_path / "film.dcm"))


def test_reports_of_a_rich_and_of_a_bare_film_satisfy_the_validators(tmp_path):
    cases = {
        "rich": (make_film, readings.other_virus),
        "bare": (make_bare_film, readings.normal),
        "outside": (make_film, readings.outside_lungs),
    }
    paths = []
    for name, (make, reading) in cases.items():
        film = write_film(tmp_path / f"{name}-film.dcm", make())
        paths.append(tmp_path / f"{name}.dcm")
        build(film, reading()).save_as(paths[-1], enforce_file_format=True)
        assert dciodvfy_errors(paths[-1]) == []
    assert pixelmed_errors(*paths) == {path.name: [] for path in paths}


def test_a_retrospective_report_says_so_in_its_last_line_and_by_one_code(tmp_path):
    live, ds = (build(make_film(), readings.covid(), retrospective=said) for said in (False, True))
    path = tmp_path / "report.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert dciodvfy_errors(path) == []
    assert pixelmed_errors(path) == {path.name: []}
    (summary,) = children(ds, "Summary")
    assert summary.TextValue.endswith("\r\nRead retrospectively: the film was asked of the archive.")
    found = {name: children(group, "Occasion of the reading") for name, group in groups(ds).items()}
    assert [name for name, items in found.items() if items] == ["Step 1: normal"]
    (item,) = found["Step 1: normal"]
    assert item.ConceptCodeSequence[0].CodeMeaning == "Film asked of the archive"
    assert not any(children(group, "Occasion of the reading") for group in groups(live).values())


OLDER = {"comprehensive": "1.2.840.10008.5.1.4.1.1.88.33", "enhanced": "1.2.840.10008.5.1.4.1.1.88.22"}


@pytest.mark.parametrize("iod", OLDER)
def test_older_classes_hold_the_same_content(iod, tmp_path):
    film = write_film(tmp_path / "film.dcm", make_film())
    usual, older = build(film, readings.covid()), build(film, readings.covid(), iod=iod)
    assert older.SOPClassUID == OLDER[iod]
    assert older.ContentSequence == usual.ContentSequence
    assert older.SOPInstanceUID != usual.SOPInstanceUID
    older.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []
    assert "Highest model score: COVID-19." in dsr2html_text(tmp_path / "report.dcm")


def test_no_item_refers_to_another_and_regions_are_in_the_plane():
    """What Enhanced SR does not allow (PS3.3 A.35.2.3)."""
    items = list(walk(build(make_film(), readings.covid())))
    assert not [item for item in items if "ReferencedContentItemIdentifier" in item]
    assert {item.ValueType for item in items} <= {
        "CONTAINER",
        "TEXT",
        "CODE",
        "NUM",
        "UIDREF",
        "IMAGE",
        "SCOORD",
    }


def test_a_written_report_can_be_read_by_the_library_that_made_it(tmp_path):
    from highdicom import sr

    path = tmp_path / "report.dcm"
    build(make_film(), readings.covid()).save_as(path, enforce_file_format=True)
    report = sr.srread(path)
    found = report.content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in found] == STEP1 + STEP2
    assert dcmread(path).SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
