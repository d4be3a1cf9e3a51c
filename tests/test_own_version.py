"""Versions of another finding and of another part of the body, from model folders alone.

Trained, judged, read with and shown.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import judges
import numpy as np
import opacities
import pytest
import requests
import visitor
from conftest import make_film
from lxml import html
from node import Node, Pacs
from pydicom import dcmread

from daemon.config import load
from daemon.config_file import BadConfig
from model.reader import Reader
from model.weights import WeightsInvalid
from storage.states import Role

pytestmark = pytest.mark.timeout(900)  # the fixtures train and read
DATA = Path(__file__).parent / "data"
RECIPE = DATA / "opacity"
HAND = {"BodyPartExamined": "HAND", "StudyDescription": "Hand", "ViewPosition": "PA"}
OBJECTS = ["capture", "overlay", "report", "presentation-state", "segmentation", "pdf"]


def firstread(*arguments: object) -> str:
    """A verb run to its end; what it printed."""
    command = [sys.executable, "-m", "daemon.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A set of drawn films; its folder, with ``manifest.csv``."""
    folder = tmp_path_factory.mktemp("set")
    opacities.write_set(folder)
    return folder


@pytest.fixture(scope="module")
def version(films, tmp_path_factory):
    """The version that the recipe and these films make; its folder."""
    pytest.importorskip("matplotlib")
    out = tmp_path_factory.mktemp("made") / "opacity"
    firstread("train", RECIPE, "--manifest", films / "manifest.csv", "--root", films, "--out", out)
    return out


def patched(**changes: object):
    """A film with a patch, and one without, as a modality sends them."""
    return [
        make_film(pixels=opacities.drawn(900 + has_patch, has_patch=bool(has_patch)), **changes)
        for has_patch in (1, 0)
    ]


@contextlib.contextmanager
def read_by_a_node(folder, version, films, places, to, **tables):
    """A node that has read films with a version, what its PACS got, and pages of its console."""
    pacs = Pacs()
    to = {"ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port} | to
    node = Node(folder, {"pacs": to}, tables={"model": {"version": str(version)}} | tables)
    try:
        with node.running("receive", "read", "send", "console"):
            assert [status.Status for status in node.store(*films)] == [0x0000] * len(films)
            node.wait_for_ends(len(films), 300)
            visitor.add_user(node, "reader", Role.READER)
            bearer = {"Authorization": f"Bearer {visitor.token_of(node, 'reader')}"}
            address = f"http://127.0.0.1:{node.console_port}"
            pages = {
                place: requests.get(f"{address}{place}", headers=bearer, timeout=120) for place in places
            }
        yield node, pacs.received, pages
    finally:
        pacs.close()
        node.engine.dispose()


@pytest.fixture(scope="module")
def read_once(version, tmp_path_factory):
    """A node that has read both films, what its PACS got, and pages of the console."""
    places = ("/film/1", "/film/2", "/", "/api/jobs/1/reading", "/node")
    folder, german = tmp_path_factory.mktemp("node"), {"language": "de"}
    with read_by_a_node(folder, version, patched(), places, {}, results=german) as found:
        yield found


def test_the_version_is_judged_by_its_own_classes(version, films):
    manifest = films / "manifest.csv"
    told = firstread(
        "evaluate", "--model", version, "--manifest", manifest, "--root", films, "--folds", 8, "--json"
    )
    found = json.loads(told)
    assert found["classes"] == ["none", "opacity"]
    assert found["accuracy"] > 0.8
    assert set(found["auc"]) == {"none_against_findings", "opacity_against_none"}
    assert set(found["operating_points"]) == {"any_finding", "opacity"}
    assert np.array(found["confusion"]).sum() == found["n"] - found["n_refused"]
    assert found["accuracy_in_paper_mix"] is None


def test_a_report_of_it_has_one_step_and_its_own_classes(version, films, tmp_path):
    manifest, out = films / "manifest.csv", tmp_path / "report"
    firstread(
        "evaluate", "--model", version, "--manifest", manifest, "--root", films, "--folds", 8, "--report", out
    )
    text = " ".join(html.parse(out / "report.html").getroot().text_content().split())
    assert "There is one step, which tells none and opacity." in text
    assert "AUC opacity against none" in text
    assert "bacterial" not in text.lower()


def test_classify_writes_reports_with_the_codes_of_the_model_folder(version, tmp_path):
    for name, film in zip(("patch", "clear"), patched(), strict=True):
        film.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    (tmp_path / "firstread.toml").write_text(f"[model]\nversion = {json.dumps(str(version))}\n")
    told = firstread(
        "--config", tmp_path / "firstread.toml", "classify", tmp_path / "patch.dcm", tmp_path / "clear.dcm",
        "--out", tmp_path / "out",
    )  # fmt: skip
    with_patch, without = told.splitlines()
    assert ": opacity (none " in with_patch
    assert ": none (none " in without
    assert dcmread(tmp_path / "out" / "patch-SC.dcm").Rows > 500
    for name, present in (("patch", "OPACITY"), ("clear", "168733007")):
        said = {}
        for item in dcmread(tmp_path / "out" / f"{name}-SR.dcm").ContentSequence:
            said |= _decisions(item)
        assert said[present] == "Present"
        assert sorted(said.values()) == ["Absent", "Present"]


def _decisions(item) -> dict[str, str]:
    """By the code of a class what the decision says of it, anywhere below an item."""
    inside = list(item.get("ContentSequence", []))
    named = {
        one.ConceptNameCodeSequence[0].CodeValue: one.ConceptCodeSequence[0]
        for one in inside
        if "ConceptCodeSequence" in one and "ConceptNameCodeSequence" in one
    }
    found = {named["121071"].CodeValue: named["DECISION"].CodeMeaning} if "DECISION" in named else {}
    for one in inside:
        found |= _decisions(one)
    return found


def test_a_node_answers_with_results_that_foreign_programs_accept(read_once, tmp_path):
    _, received, _ = read_once
    assert sorted(ds.Modality for ds in received) == ["OT", "OT", "SR", "SR"]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(received))]
    for path, ds in zip(paths, received, strict=True):
        ds.save_as(path, enforce_file_format=True)
    reports = [path for path, ds in zip(paths, received, strict=True) if ds.Modality == "SR"]
    told = [
        str(item.TextValue)
        for path in reports
        for item in dcmread(path).ContentSequence
        if "TextValue" in item
    ]
    summary = next(text for text in told if "Höchster Modellwert: Verschattung." in text)
    assert "Schritt 2" not in summary
    for path in paths:
        assert judges.dciodvfy_errors(path) == []
    assert set(map(tuple, judges.pixelmed_errors(*reports).values())) == {()}


def test_the_console_shows_the_one_step_and_its_two_answers(read_once):
    node, _, pages = read_once
    assert [row.decision for row in node.films()] == ["opacity", "none"]
    assert {place: page.status_code for place, page in pages.items()} == dict.fromkeys(pages, 200)
    film, clear = pages["/film/1"].text, pages["/film/2"].text
    assert "Highest model score: opacity" in film
    assert "two possibilities" in film
    assert "Step 2" not in film
    assert "Two answers only." in film
    assert "None has no place to point at." in clear
    assert pages["/api/jobs/1/reading"].json()["figures"]["step2"] is None


def test_a_rule_may_ask_for_the_labels_of_the_version_and_no_others(version, tmp_path):
    config = tmp_path / "firstread.toml"
    text = """
[model]
version = {version}
[[destination]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104
[[rule]]
when = 'score["{label}"] > 50'
send = ["pacs"]
"""
    config.write_text(text.format(version=json.dumps(str(version)), label="opacity"))
    assert load(config).rule[0].when == 'score["opacity"] > 50'
    config.write_text(text.format(version=json.dumps(str(version)), label="viral"))
    with pytest.raises(BadConfig, match="no label 'viral', expected one of none, opacity"):
        load(config)


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """A set of drawn hands; its folder, with ``manifest.csv``."""
    folder = tmp_path_factory.mktemp("hands")
    opacities.write_set(folder, opacities.drawn_hand)
    return folder


@pytest.fixture(scope="module")
def of_hands(hands, tmp_path_factory):
    """The version that the recipe without lungs and these films make; its folder."""
    pytest.importorskip("matplotlib")
    out = tmp_path_factory.mktemp("made") / "fracture"
    manifest = hands / "manifest.csv"
    firstread("train", DATA / "fracture", "--manifest", manifest, "--root", hands, "--out", out)
    return out


@pytest.fixture(scope="module")
def hands_read(of_hands, tmp_path_factory):
    """A node that got a broken hand, a whole one and a chest, what its PACS got, and pages of the console."""
    films = [
        make_film(pixels=opacities.drawn_hand(900 + has_patch, has_patch=bool(has_patch)), **HAND)
        for has_patch in (1, 0)
    ]
    places, folder = ("/film/1", "/film/2", "/film/3", "/"), tmp_path_factory.mktemp("node")
    to, scope = {"objects": OBJECTS}, {"body_parts": ["HAND"]}
    with read_by_a_node(folder, of_hands, [*films, make_film()], places, to, scope=scope) as found:
        yield found


def test_a_version_for_hands_is_judged_without_lungs_also_on_dicom_films(of_hands, hands, tmp_path):
    manifest = hands / "manifest.csv"
    told = firstread(
        "evaluate", "--model", of_hands, "--manifest", manifest, "--root", hands, "--folds", 8, "--json"
    )
    found = json.loads(told)
    assert (found["classes"], found["n_refused"], found["inside_lungs"]) == (["none", "fracture"], 0, None)
    assert found["accuracy"] > 0.8
    rows = ["file,label,group_id,source,fold"]
    for number in range(8):
        broken = bool(number % 2)
        film = make_film(pixels=opacities.drawn_hand(700 + number, has_patch=broken), **HAND)
        film.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        rows.append(f"{number}.dcm,{'patch' if broken else 'clear'},g{number},site,8")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    of_dicom = tmp_path / "manifest.csv", "--root", tmp_path, "--folds", 8
    found = json.loads(firstread("evaluate", "--model", of_hands, "--manifest", *of_dicom, "--json"))
    assert (found["n"], found["n_refused"]) == (8, 0)
    firstread("evaluate", "--model", of_hands, "--manifest", *of_dicom, "--report", tmp_path / "report")
    text = html.parse(tmp_path / "report" / "report.html").getroot().text_content()
    assert "Lung networknone" in "".join(text.split("\n"))
    assert "chest" not in text.lower()
    assert "the lungs" not in text.lower()


def test_a_node_for_hands_reads_them_and_skips_chests(hands_read):
    node, _, pages = hands_read
    rows = node.films()
    assert [row.decision for row in rows] == ["fracture", "none", None]
    assert rows[2].state == "SKIPPED"
    assert "NOT_CHEST" not in pages["/film/1"].text
    assert [page.status_code for page in pages.values()] == [200] * len(pages)
    assert 'data-source="/film/1/texture"' not in pages["/film/1"].text


def test_what_is_said_of_a_hand_names_no_lung_and_no_chest(hands_read, tmp_path):
    _, received, pages = hands_read
    # Of a whole hand there is nothing to draw.
    assert sorted(ds.Modality for ds in received) == ["DOC"] * 2 + ["OT"] * 4 + ["PR", "SEG", "SR", "SR"]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(received))]
    for path, ds in zip(paths, received, strict=True):
        ds.save_as(path, enforce_file_format=True)
        said = str(ds).lower()
        assert "lung" not in said
        assert "chest" not in said
        assert judges.dciodvfy_errors(path) == []
    reports = [path for path, ds in zip(paths, received, strict=True) if ds.Modality == "SR"]
    assert set(map(tuple, judges.pixelmed_errors(*reports).values())) == {()}
    for place in ("/film/1", "/film/2"):
        page = html.fromstring(pages[place].text).xpath("//main")[0].text_content().lower()
        assert "inside the lungs" not in page
        assert "lung outline" not in page
        assert "mean grey level" not in page
        assert "findings other than fracture are not assessed" in " ".join(page.split())


def test_lungs_that_are_not_looked_for_cannot_frame(of_hands, tmp_path):
    for line, told in (("lungs = 1\n", "true or false"), ("lungs = false\n[framing]\n", "cuts at the lungs")):
        folder = tmp_path / line[:9]
        shutil.copytree(of_hands, folder)
        recipe = (folder / "model.toml").read_text()
        mended = "\n".join(row for row in recipe.splitlines() if not row.startswith("lungs"))
        keys, tables = mended.split("[step1]", 1)
        (folder / "model.toml").write_text(f"{keys}{line}[step1]{tables}")
        with pytest.raises(WeightsInvalid, match=told):
            Reader(folder, 1)
