"""The results as OHIF shows them, before Orthanc and its DICOMweb plug-in, in headless Chromium.

What OHIF cannot show has a test of its own: when that one fails, a later OHIF can.
"""

import contextlib
import datetime
import shutil
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import requests
import servers
from playwright.sync_api import Locator, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from pydicom import dcmread
from pydicom.dataset import Dataset
from test_structured_report import children, groups
from viewer import SECONDS, Viewer, context_of, serving

from daemon.config import Config
from daemon.results import (
    encapsulated_pdf,
    key_objects,
    kinds,
    object_set,
    presentation_state,
    segmentation,
)
from model.findings import Reading
from model.reader import PreparedFilm, Reader, prepare

BUILD = Path(__file__).parents[1] / "build" / "viewer"
PAGES = BUILD / "ohif"
NOW = datetime.datetime(2026, 11, 25, 10, 20, 7, tzinfo=datetime.UTC)
PRODUCT = "Firstread AI - not for diagnosis - "
STUDY, OPTIONAL, REGIONLESS, LINEAR = "2.25.4711", "2.25.4712", "2.25.4713", "2.25.4714"


# Of each group that OHIF draws, by its UID: what it writes, line by line, and where its outline runs.
DRAWN = """groups => groups.map(group => [
    group.dataset.annotationUid,
    [...group.querySelectorAll("tspan")].map(line => line.textContent),
    [...group.previousElementSibling.points].map(point => [point.x, point.y]),
])"""


def write_film(folder: Path, study: str, rg1_path: str, **changes: str) -> Path:
    """RG1 in a study of its own; keywords replace elements."""
    film = dcmread(rg1_path)
    film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID = study, f"{study}.1", f"{study}.1.1"
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    del film.PixelSpacing  # it is 0 by 0 mm, and OHIF draws nothing that has no extent
    film.update(changes)
    film.save_as(folder / f"{study}.dcm", enforce_file_format=True)
    return folder / f"{study}.dcm"


class Read(NamedTuple):
    """A film on disk and what the default model makes of it."""

    path: Path
    prepared: PreparedFilm
    reading: Reading

    def header(self) -> Dataset:
        return dcmread(self.path, stop_before_pixels=True)

    def sent(self) -> dict[str, Dataset]:
        """What the node sends."""
        read = (self.header(), self.prepared, self.reading, "digest", NOW, Config().results)
        return {
            object_set.kind(name, False): ds
            for name, ds in object_set.of_reading(kinds.DEFAULT_OBJECTS, *read)
        }

    def optional(self) -> dict[str, Dataset]:
        """Results of the kinds that a PACS may get besides."""
        read = (self.reading, "digest", NOW)
        matrix = {"rows": self.prepared.rows, "columns": self.prepared.columns}
        return {
            "PR": presentation_state.build(self.header(), *read, **matrix),
            "SEG": segmentation.build(self.header(), *read, **matrix),
            "PDF": encapsulated_pdf.build(self.header(), self.prepared.display, *read),
            "KO": key_objects.flag(self.header(), *read),
        }


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of the browser. Not every machine that judges has npm, so that CI goes without, too."""
    found = shutil.which("chromium")
    if found is None or not PAGES.exists():
        pytest.skip("no Chromium (Debian package chromium) or no OHIF (make viewer; it needs npm)")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("viewer")


@pytest.fixture(scope="module")
def read(rg1_path, folder) -> Read:
    """RG1 in the study of what the node sends."""
    path = write_film(folder, STUDY, rg1_path)
    config = Config()
    reader = Reader(config.model.version, 1)
    prepared = prepare(path, config.scope, reader.input_sizes)
    [reading] = reader.read([prepared])
    return Read(path, prepared, reading)


@pytest.fixture(scope="module")
def sent(read) -> dict[str, Dataset]:
    return read.sent()


@pytest.fixture(scope="module")
def also(read, folder, rg1_path) -> Read:
    """RG1 in the study of the optional results."""
    path = write_film(folder, OPTIONAL, rg1_path, PatientName="Optional", PatientID="2")
    return read._replace(path=path)


@pytest.fixture(scope="module")
def optional(also) -> dict[str, Dataset]:
    return also.optional()


@pytest.fixture(scope="module")
def regionless(read, folder, rg1_path) -> list[Dataset]:
    """RG1 in one more study, and its report without the region of the second group."""
    path = write_film(folder, REGIONLESS, rg1_path, PatientName="Regionless", PatientID="3")
    report = read._replace(path=path).sent()["SR"]
    group = list(groups(report).values())[1]
    [region] = children(group, "Image Region")
    group.ContentSequence.remove(region)
    return [dcmread(path), report]


@pytest.fixture(scope="module")
def linear(folder, rg1_path) -> Dataset:
    changes = {"PatientName": "Linear", "PatientID": "4", "VOILUTFunction": "LINEAR"}
    return dcmread(write_film(folder, LINEAR, rg1_path, **changes))


@pytest.fixture(scope="module")
def pages(chromium, read, sent, also, optional, regionless, linear):
    """A browser and the address of the viewer, before a PACS with these studies."""
    with servers.orthanc() as orthanc:
        films = [dcmread(read.path), dcmread(also.path), linear]
        for ds in [*films, *sent.values(), *optional.values(), *regionless]:
            file = BytesIO()
            ds.save_as(file, enforce_file_format=True)
            answer = requests.post(f"{orthanc.url}/instances", file.getvalue(), timeout=SECONDS)
            answer.raise_for_status()
        with serving(PAGES, orthanc.url) as url, sync_playwright() as playwright:
            # Software draws where there is no graphics card, and Chromium wants to be asked for it.
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--enable-unsafe-swiftshader"], timeout=1000 * SECONDS
            )
            with context_of(browser, url) as context:
                yield context, url
            browser.close()


@pytest.fixture
def viewer(pages):
    """A page of the viewer, empty."""
    context, url = pages
    viewer = Viewer(context.new_page(), url, BUILD)
    yield viewer
    viewer.page.close()


@pytest.fixture
def opened(viewer, read) -> Viewer:
    """A page with the study of what is sent, which shows the film."""
    viewer.open_study(STUDY)
    assert viewer.shows(read.prepared.display)
    return viewer


@pytest.fixture
def opened_also(viewer, also) -> Viewer:
    """A page with the study of the optional results, which shows the film."""
    viewer.open_study(OPTIONAL)
    assert viewer.shows(also.prepared.display)
    return viewer


def test_the_study_is_listed_with_its_series_by_their_descriptions(viewer, sent):
    viewer.page.goto(viewer.url)
    viewer.page.get_by_role("row").filter(has_text="CompressedSamples, RG1").dblclick()
    viewer.series.nth(len(sent)).wait_for()
    listed = [text.split("\n")[:2] for text in viewer.series.all_inner_texts()]
    described = [[ds.Modality, ds.SeriesDescription] for ds in sent.values()]
    assert sorted(listed) == sorted([["CR", "S:1"], *described])
    assert viewer.errors == []


def test_the_film_is_shown_as_the_capture_shows_it(opened):
    opened.keep("film")
    assert opened.errors == []


def test_the_capture_is_shown_in_its_colours_below_a_player_for_films_in_motion(opened, sent):
    opened.open_series(f"{PRODUCT}heatmap")
    assert opened.shows(sent["SC"].pixel_array)
    red, _, blue = np.moveaxis(opened.picture().astype(int), -1, 0)
    assert np.mean(red - blue > 60) > 0.01  # amber
    opened.page.locator('[data-cy="cine-player-close"]').click()
    opened.keep("capture")
    assert opened.errors == []


def attached(item: Locator) -> bool:
    """Whether the page has this, at once or after a while: it may not come at all."""
    with contextlib.suppress(PlaywrightTimeout):
        item.wait_for(state="attached", timeout=5000)
    return item.count() == 1


def draws_report(viewer: Viewer, display: np.ndarray, last: Locator) -> bool:
    """Whether the report, opened from the study with its film, shows its outlines up to the last.

    OHIF may draw none until the next is asked for and, on a busy machine, none until all is opened anew.
    """
    viewer.open_study(STUDY)
    assert viewer.shows(display)
    viewer.open_series(f"{PRODUCT}report")
    # It would make measurements of its own of them.
    viewer.page.get_by_role("button", name="No", exact=True).click()
    arrow = viewer.page.locator('[data-cy="viewport-action-arrows-right"]')
    return any(arrow.click() or attached(last) for _ in range(4))


def lines(group: Dataset) -> list[str]:
    """What OHIF writes of a group: its numbers and its place, but not its finding."""
    numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    values = [item.MeasuredValueSequence[0].NumericValue for item in numbers]
    names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in numbers]
    places = children(group, "Finding Site")
    return [f"{name}: {value:.2f} %" for name, value in zip(names, values, strict=True)] + [
        f"363698007: {place.ConceptCodeSequence[0].CodeMeaning}" for place in places
    ]


def test_the_report_is_shown_as_an_outline_and_numbers_for_each_class(viewer, read, sent):
    expected = {
        children(group, "Tracking Unique Identifier")[0].UID: group for group in groups(sent["SR"]).values()
    }
    drawn = viewer.page.locator("svg g[data-annotation-uid]")
    display, last = read.prepared.display, drawn.nth(len(expected) - 1)
    servers.wait_until(lambda: draws_report(viewer, display, last), 3 * SECONDS, "outlines")
    found = {uid: (written, outline) for uid, written, outline in drawn.evaluate_all(DRAWN)}
    assert {uid: written for uid, (written, _) in found.items()} == {
        uid: lines(group) for uid, group in expected.items()
    }
    height = viewer.picture().shape[0]
    for uid, group in expected.items():
        outline = np.reshape(children(group, "Image Region")[0].GraphicData, (-1, 2))
        across = np.ptp(outline, axis=0) * height / read.prepared.rows
        assert np.ptp(found[uid][1], axis=0) == pytest.approx(across, abs=1)
    assert viewer.shows(display)
    viewer.keep("report")
    assert viewer.errors == []


@pytest.mark.parametrize("kind", ["outline", "flag"])
def test_a_presentation_state_and_key_objects_are_listed_and_change_nothing(opened_also, also, kind):
    opened_also.open_series(f"{PRODUCT}{kind}")
    assert opened_also.says("Unsupported displaySet")
    assert opened_also.shows(also.prepared.display)
    assert opened_also.errors == []


def test_the_pdf_is_given_to_the_browser(opened_also, optional):
    opened_also.open_series(f"{PRODUCT}summary")
    given = opened_also.page.locator('object[type="application/pdf"]')
    size = given.evaluate("async given => (await (await fetch(given.data)).blob()).size")
    assert size == len(optional["PDF"].EncapsulatedDocument)
    assert opened_also.errors == []


def test_a_segmentation_of_a_film_takes_the_whole_page_away(opened_also):
    """OHIF wants Pixel Measures, and with these the plane of a slice, which no film has."""
    opened_also.open_series(f"{PRODUCT}regions")
    assert opened_also.says("Cannot destructure property 'PixelMeasuresSequence'")
    opened_also.series.first.wait_for(state="detached")


def test_a_film_that_says_that_its_window_is_linear_is_not_shown(viewer):
    viewer.open_study(LINEAR)
    assert viewer.says("Invalid VOI LUT function")
    viewer.page.get_by_text("Something went wrong").first.wait_for()


def test_a_report_with_a_group_that_has_no_region_leaves_the_pane_empty(viewer, read):
    viewer.open_study(REGIONLESS)
    assert viewer.shows(read.prepared.display)
    viewer.open_series(f"{PRODUCT}report")
    assert viewer.says("Cannot read properties of undefined (reading 'ReferencedSOPSequence')")
    viewer.canvas.wait_for(state="detached")
