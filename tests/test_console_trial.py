"""daemon/console/trial.py and trying.py: a film is read by a process of its own and kept nowhere."""

import concurrent.futures
import contextlib
import functools
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from film_pages import PLANTED, browsing, real_film
from node import Node
from PIL import Image
from pydicom import dcmread
from sqlalchemy import select

from model.pixels import display_picture
from storage import database
from storage.tables import heartbeat, metadata

SECONDS = 180.0


def encoded(ds):
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def trial(tmp_path_factory, rg1_path):
    """A console alone, its temporary folder, and the chest with a planted identity; one film was tried."""
    folder, temporary = tmp_path_factory.mktemp("trial"), tmp_path_factory.mktemp("temporary")
    node = Node(folder, tables={"node": {"most_film_mib": 8}})
    name, patient_id, born = PLANTED
    content = encoded(real_film(rg1_path, PatientName=name, PatientID=patient_id, PatientBirthDate=born))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with node.running("console") as [process]:
            url = f"http://127.0.0.1:{node.console_port}/api/try"
            session = browsing(f"http://127.0.0.1:{node.console_port}/try")
            assert session.post(url, content, timeout=SECONDS).status_code == 200
            yield node, process, temporary, functools.partial(session.post, timeout=SECONDS), url, content
    node.engine.dispose()


def kept(node, temporary):
    """All that the node holds: rows, spool, temporary folder and log; signs of life apart."""
    with database.reading(node.engine) as connection:
        rows = [
            connection.execute(select(table)).all()
            for table in metadata.sorted_tables
            if table is not heartbeat
        ]
    names = [[str(path) for path in sorted(root.rglob("*"))] for root in (node.folder / "spool", temporary)]
    return rows, names, node.log_text()


def test_nothing_of_a_film_that_is_tried_is_kept(trial):
    node, _, temporary, post, url, content = trial
    before = kept(node, temporary)
    answer = post(url, content)
    page = post(url.replace("/api", ""), content)
    refused = post(url, content[:5000])
    assert (answer.status_code, page.status_code, refused.status_code) == (200, 200, 422)
    assert kept(node, temporary) == before
    files = [path.read_text(encoding="latin-1") for path in temporary.rglob("*") if path.is_file()]
    for held in (answer.text, page.text, refused.text, node.log_text(), *files):
        assert not any(planted in held for planted in PLANTED)


def test_whoever_sees_a_film_that_is_tried_is_told_of_and_the_film_is_not(trial):
    node, _, _, post, url, content = trial
    trail = node.folder / "audit" / "audit.log"
    before = len(trail.read_text(encoding="utf-8"))
    assert post(url, content).status_code == post(url.replace("/api", ""), content).status_code == 200
    assert post(url, b"no film").status_code == 422
    told = trail.read_text(encoding="utf-8")[before:]
    found = [ElementTree.fromstring(line) for line in told.splitlines()]
    said = [(one.find("*/EventID").get("csd-code"), one.find("*").get("EventActionCode")) for one in found]
    assert said == [("110103", "R")] * 2
    assert {one.find("ActiveParticipant").get("UserID") for one in found} == {"local"}
    ds = dcmread(BytesIO(content))
    named = (*PLANTED, ds.StudyInstanceUID, ds.SOPInstanceUID)
    assert not [one for one in named if one in told]


def test_the_answer_is_a_reading(trial):
    *_, post, url, content = trial
    said = post(url, content).json()
    assert said["research_use_only"].startswith("RESEARCH USE ONLY")
    assert said["headline"] == f"Highest model score: {said['figures']['decision']}"
    assert sum(said["figures"]["step1"].values()) == pytest.approx(1, abs=1e-4)
    assert said["refusal"] is None


def test_tensorflow_is_in_the_process_that_reads_and_not_in_the_console(trial):
    _, process, *_ = trial
    parents, maps = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            stat = (path / "stat").read_text(encoding="utf-8")
            parents[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
            maps[int(path.name)] = (path / "maps").read_text(encoding="utf-8")
    family = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    holders = {pid for pid in family if "tensorflow" in maps[pid]}
    assert len(holders) == 1
    assert process.pid not in holders


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_of_the_film_is_read_like_it(trial, rg1_path, kind):
    *_, post, url, content = trial
    display, _ = display_picture(dcmread(rg1_path))
    file = BytesIO()
    Image.fromarray(display).save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    plain, film = (post(url, one).json() for one in (file.getvalue(), content))
    assert plain["figures"]["decision"] == film["figures"]["decision"]
    for label, score in film["figures"]["step1"].items():
        assert plain["figures"]["step1"][label] == pytest.approx(score, abs=0.02)


def test_a_film_out_of_scope_is_refused_with_its_rule(trial):
    *_, post, url, content = trial
    ds = dcmread(BytesIO(content))
    ds.BodyPartExamined = "KNEE"
    said = post(url, encoded(ds)).json()
    assert said["figures"] is None
    assert said["refusal"]["code"] == "NOT_CHEST"
    assert said["headline"] == "Not analysed: not a chest film"


def test_what_is_no_film_is_refused_in_one_sentence(trial):
    *_, post, url, _ = trial
    for content, status, words in (
        (b"", 422, "found nothing"),
        (b"# A text", 422, "expected DICOM Part 10, PNG or JPEG"),
        (bytes(9 << 20), 413, "found more than 8 MiB"),
    ):
        answer = post(url, content)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True)


def test_more_than_a_few_at_once_are_asked_to_come_again(trial):
    *_, post, url, content = trial
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, url, content) for _ in range(8)]
        found = sorted(answer.result().status_code for answer in answers)
    assert set(found) == {200, 503}
