"""Every kind of result of many kinds of film before the foreign judges: no error, and no warning unexplained.

What each result says and how it looks is tested beside its builder.
"""

import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels, make_bare_film, make_film
from judges import (
    dcentvfy_remarks,
    dciodvfy_remarks,
    dcmpschk_errors,
    dsr2html_errors,
    pixelmed_errors,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NATIONAL, write_film, write_national_film
from test_secondary_capture import LOSSY

from daemon.results import (
    encapsulated_pdf,
    key_objects,
    not_analysed,
    presentation_state,
    secondary_capture,
    segmentation,
    structured_report,
)
from model.scope import OutOfScope, ScopeRules, check_header

SHARED = Path(__file__).parents[2] / "shared" / "films"
DISPLAY = (chest_pixels() >> 4).astype(np.uint8)
LATERAL = OutOfScope("NOT_FRONTAL", "LL", "PA or AP")
WHERE = {"rows": 600, "columns": 560}

NATIONS = ["latin 1", "utf-8", "japanese", "korean", "chinese"]
MAKERS = {
    "rich": lambda path: write_film(path, make_film(TimezoneOffsetFromUTC="-0330")),
    "bare": lambda path: write_film(path, make_bare_film()),
    "MONOCHROME1": lambda path: write_film(path, make_film(PhotometricInterpretation="MONOCHROME1")),
    "lossy": lambda path: write_film(path, make_film(**LOSSY)),
} | {name: lambda path, name=name: write_national_film(path, *NATIONAL[name]) for name in NATIONS}
if SHARED.exists():
    MAKERS |= {
        source.stem: lambda path, source=source: dcmread(shutil.copy(source, path), stop_before_pixels=True)
        for source in sorted(SHARED.glob("charset-*.dcm"))
    }


def results(film: Dataset) -> dict[str, Dataset]:
    """One of each kind and variant, by name."""
    reading = readings.covid()
    read, model = (film, reading, "digest", NOW), reading.model
    shown = (film, DISPLAY, reading, "digest", NOW)
    small = {"longest_side": 512}
    built = {
        "picture": secondary_capture.build(*shown, **small),
        "overlay": secondary_capture.build(*shown, **small, overlay_only=True),
        "jpeg": secondary_capture.build(*shown, **small, jpeg=True, modality="DX"),
        "refused picture": secondary_capture.build_not_analysed(
            film, DISPLAY, LATERAL, model, "digest", NOW, **small
        ),
        "refused": not_analysed.build(film, LATERAL, model, "digest", NOW),
        "outline": presentation_state.build(*read, **WHERE),
        "regions": segmentation.build(*read, **WHERE),
        "page": encapsulated_pdf.build(*shown, **small),
    }
    built |= {iod: structured_report.build(*read, **WHERE, iod=iod) for iod in structured_report.IODS}
    german = structured_report.build(*read, **WHERE, language="de")
    if german.SOPInstanceUID != built["comprehensive-3d"].SOPInstanceUID:  # the film has the letters for it
        built["german"] = german
    built["flag"] = key_objects.flag(*read, results=[built["picture"]])
    rejected = [built["picture"], built["comprehensive-3d"]]
    built["note"] = key_objects.rejection_note(film, rejected, "quality", model, NOW)
    return built


REPORTS = ("german", *structured_report.IODS, "refused", "flag", "note")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A film and its results on disk, by the name of the film; each is built once."""

    @cache
    def write(name: str) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("film")
        film = MAKERS[name](folder / "film.dcm")
        paths = {"film": folder / "film.dcm"}
        for kind, ds in results(film).items():
            paths[kind] = folder / f"{kind.replace(' ', '-')}.dcm"
            ds.save_as(paths[kind], enforce_file_format=True)
        return paths

    return write


# Remarks that are allowed, and why.
ALLOWED = {
    # Device UID in Contributing Equipment Sequence (PS3.3 C.12.1.1.5, asked for by IHE AIR) is younger than
    # the judge, which takes it for an extension.
    r"Warning - Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID ",
    r"Warning - Dicom dataset contains attributes not present in standard DICOM IOD - .*",
    # A private scheme, identified in the same object (PS3.3 C.12.1.1.13).
    r"Warning - Unrecognized defined term <99FIRSTREAD> for value 1 of attribute <Coding Scheme Designator>",
    # The film has none, and nothing is invented.
    r"Warning - Missing attribute or value that would be needed to build DICOMDIR - .*",
}
# Of the picture of a lossy film: the first step was of another transfer syntax (PS3.3 C.7.6.1.1.5).
ALLOWED_OF_LOSSY = {r"Warning - method inconsistent with Transfer Syntax - .*"}
# Type 2, empty where the film lacks them (PS3.3 C.7.1.1 and C.7.2.1); and the judge, which knows Accession
# Number in the study only, misplaces that of the presentation state.
ALLOWED_TOGETHER = {
    r"Warning - Attribute present in one instance but not the other - .*",
    r"Warning - Different information entities for attribute - Element=<AccessionNumber> .*",
}


def unexplained(remarks: list[str], allowed: set[str]) -> list[str]:
    return [line for line in remarks if not any(re.fullmatch(pattern, line) for pattern in allowed)]


@pytest.mark.parametrize("name", MAKERS)
def test_every_result_satisfies_dicom3tools(name, written):
    paths = written(name)
    allowed = ALLOWED | (ALLOWED_OF_LOSSY if name == "lossy" else set())
    remarks = {
        kind: unexplained(dciodvfy_remarks(path), allowed) for kind, path in paths.items() if kind != "film"
    }
    assert not any(remarks.values()), remarks
    assert unexplained(dcentvfy_remarks(*paths.values()), ALLOWED_TOGETHER) == []


@pytest.mark.parametrize("name", MAKERS)
def test_every_report_satisfies_dcmtk(name, written):
    errors = {kind: dsr2html_errors(path) for kind, path in written(name).items() if kind in REPORTS}
    assert not any(errors.values()), errors


@pytest.mark.parametrize("name", ["rich", "bare", "MONOCHROME1", "lossy", "latin 1"])
def test_every_presentation_state_satisfies_dcmtk(name, written):
    """Which takes every other letter in a name for an error."""
    assert dcmpschk_errors(written(name)["outline"]) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("rich", "comprehensive"), ("bare", "enhanced"), ("latin 1", "german"), ("korean", "refused")],
)
def test_reports_satisfy_pixelmed(name, kind, written):
    """Nine seconds each, so that not each kind of each film is judged."""
    path = written(name)[kind]
    assert pixelmed_errors(path) == {path.name: []}


@pytest.mark.parametrize("name", MAKERS)
def test_every_result_keeps_the_names_bytes_and_the_study_and_comes_back_unread(name, written):
    paths = written(name)
    film = dcmread(paths["film"], stop_before_pixels=True)
    raw = {
        keyword: film.get_item(keyword) for keyword in ("PatientName", "PatientID", "SpecificCharacterSet")
    }
    found = {kind: dcmread(path, stop_before_pixels=True) for kind, path in paths.items() if kind != "film"}
    for ds in found.values():
        for keyword, element in raw.items():
            assert (ds.get_item(keyword).value or b"" if keyword in ds else b"") == (
                element.value or b"" if element else b""
            )
        assert ds.StudyInstanceUID == film.StudyInstanceUID
        assert ds.SeriesInstanceUID != film.SeriesInstanceUID
        with pytest.raises(OutOfScope, match="OWN_OUTPUT"):
            check_header(ds, ScopeRules())
    assert len({ds.SOPInstanceUID for ds in found.values()}) == len(found)
    series = {
        (ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber, ds.SeriesDescription) for ds in found.values()
    }
    assert len(series) == len({uid for uid, *_ in series})


def test_the_same_film_gives_the_same_results():
    film = make_film()
    first = results(film)
    assert results(film) == first


def test_every_series_has_the_number_and_the_name_of_its_kind(written):
    numbers = {}
    for kind, path in written("rich").items():
        if kind != "film":
            ds = dcmread(path, stop_before_pixels=True)
            numbers.setdefault(int(ds.SeriesNumber), set()).add(ds.SeriesDescription)
    product = "Firstread AI - not for diagnosis - "
    assert numbers == {
        9001: {f"{product}heatmap"},
        9002: {f"{product}report"},
        9003: {f"{product}regions"},
        9004: {f"{product}outline"},
        9005: {f"{product}overlay"},
        9006: {"Firstread AI - not analysed"},
        9007: {f"{product}summary"},
        9008: {f"{product}flag"},
        9009: {"Firstread AI - results withdrawn"},
    }
