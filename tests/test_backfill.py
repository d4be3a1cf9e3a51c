"""``firstread backfill``: Orthanc as the archive, real nodes; and an archive that answers as it is told."""

import contextlib
import datetime
import json
import re
import signal
import subprocess
from io import BytesIO

import pytest
import requests
import servers
from conftest import make_film
from judges import dcentvfy_errors, dciodvfy_errors
from node import Node
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from sqlalchemy import select, update

from daemon.backfill import seconds_to_hours
from daemon.results import codes, kinds
from storage import database
from storage.events import newest
from storage.tables import backfill_instance

ALL_DAY = {"begin": "00:00", "end": "00:00", "films_a_minute": 6000}
SMALL = {"model": {"version": "gao-2020-small"}, "results": {"longest_side": 512}}
JANUARY = ("--from", "2026-01-01", "--to", "2026-01-03")
OBJECTS = [name for name in kinds.OBJECTS if name != "not-analysed-capture"]


def node_of(folder, archive: int, destinations=None, **settings) -> Node:
    """A migrated node that may ask an archive on a port of loopback."""
    to = {"ae_title": "PACS", "host": "127.0.0.1", "port": archive}
    node = Node(folder, destinations, tables=SMALL | {"backfill": to | ALL_DAY | settings})
    node.migrate()
    return node


@contextlib.contextmanager
def archive_and_node(folder, our_ae_title="FIRSTREAD", **settings):
    """Orthanc as archive and PACS, and a node that may ask it; each known to the other."""
    archive = servers.free_port()
    node = node_of(folder, archive, {"pacs": archive}, **settings)
    with orthanc_that_knows(node, archive, our_ae_title) as orthanc:
        yield orthanc, node
    node.engine.dispose()


def orthanc_that_knows(node, port, our_ae_title="FIRSTREAD"):
    known = {"firstread": [our_ae_title, "127.0.0.1", node.port]}
    return servers.orthanc(DicomPort=port, DicomModalities=known)


def add(orthanc, *films):
    for ds in films:
        content = BytesIO()
        ds.save_as(content, enforce_file_format=True)
        requests.post(f"{orthanc.url}/instances", data=content.getvalue(), timeout=10).raise_for_status()


def on(day: str, **changes):
    return make_film(StudyDate=day, **changes)


def instances(node):
    with database.reading(node.engine) as connection:
        return connection.execute(select(backfill_instance).order_by(backfill_instance.c.id)).all()


def states(node) -> list[str]:
    return [row.state for row in instances(node)]


@contextlib.contextmanager
def backfilling(node, *arguments):
    """A backfill that runs meanwhile; what it says is in the file."""
    with (node.folder / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            node.command("backfill", *arguments), stdout=said, stderr=subprocess.STDOUT
        )
        try:
            yield process, lambda: (node.folder / "said").read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait()


def test_films_of_the_days_and_modalities_come_once_and_are_known_as_retrospective(tmp_path, chest):
    series = generate_uid()
    ours = [on("20260101", pixels=chest, SeriesInstanceUID=series), on("20260103", Modality="DX")]
    live = on("20260102", pixels=chest)
    others = [on("20251231"), on("20260104"), on("20260102", Modality="MG")]
    with archive_and_node(tmp_path) as (orthanc, node):
        text = node.config.read_text(encoding="utf-8")
        node.config.write_text(f"{text}\nobjects = {json.dumps(OBJECTS)}\n", encoding="utf-8")
        add(orthanc, *ours, live, *others)
        with node.running("receive", "read", "send"):
            node.store(live)
            node.wait_for_ends(1)
            counted = node.firstread("backfill", *JANUARY, "--dry-run")
            assert counted.stdout.startswith("2026-01-01 to 2026-01-03: 3 films, 1 of them here already\n")
            assert instances(node) == []
            done = node.firstread("backfill", *JANUARY, "--modality", "DX,CR")
            rows = node.wait_for_ends(3)
            again = node.firstread("backfill", *JANUARY)
        shown = node.firstread("show", "2").stdout
        told = node.firstread("tail", "--json", "--state", "READ").stdout.splitlines()
        results = [dcmread(path) for path in node.spooled("results")]
    assert (done.returncode, done.stdout) == (
        0, "2 films came, 1 were here already, 0 did not come, 0 are left\n"
    )  # fmt: skip
    assert again.stdout == "0 films came, 3 were here already, 0 did not come, 0 are left\n"
    assert {row.sop_instance_uid: row.retrospective for row in rows} == {
        live.SOPInstanceUID: False, ours[0].SOPInstanceUID: True, ours[1].SOPInstanceUID: True,
    }  # fmt: skip
    assert re.search(r"^retrospective +True$", shown, re.MULTILINE)
    flags = {row["film_id"]: row["retrospective"] for row in map(json.loads, told)}
    assert flags == {1: False, 2: True, 3: True}
    of_film = {ds.StudyInstanceUID: [] for ds in (live, *ours)}
    for ds in results:
        of_film[ds.StudyInstanceUID].append(ds)
    assert {len(found) for found in of_film.values()} >= {len(OBJECTS)}
    for film in (live, ours[0]):
        marked = {ds.SeriesDescription.endswith(" - retrospective") for ds in of_film[film.StudyInstanceUID]}
        assert marked == {film is not live}


def test_results_of_a_retrospective_film_satisfy_the_validators_and_say_so(tmp_path, chest):
    film = on("20260101", pixels=chest)
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    with archive_and_node(tmp_path) as (orthanc, node):
        text = node.config.read_text(encoding="utf-8")
        node.config.write_text(f"{text}\nobjects = {json.dumps(OBJECTS)}\n", encoding="utf-8")
        add(orthanc, film)
        with node.running("receive", "read", "send"):
            node.firstread("backfill", *JANUARY)
            node.wait_for_ends(1)
        paths = node.spooled("results")
        for path in paths:
            assert dciodvfy_errors(path) == []
        assert dcentvfy_errors(tmp_path / "film.dcm", *paths) == []
        (report,) = [ds for path in paths if (ds := dcmread(path)).SOPClassUID.endswith("88.34")]
    said = report.to_json()
    assert codes.RETROSPECTIVE.meaning in said
    assert "Read retrospectively: the film was asked of the archive." in said


def test_a_killed_backfill_goes_on_and_asks_for_nothing_twice(tmp_path):
    films = [on(f"2026010{1 + n % 3}") for n in range(6)]
    with archive_and_node(tmp_path, films_a_minute=60) as (orthanc, node):
        add(orthanc, *films)
        with node.running("receive"):
            with backfilling(node, *JANUARY) as (process, _):
                servers.wait_until(lambda: states(node).count("ARRIVED") >= 2 and "ASKED" not in states(node))
                process.kill()
            came = [row.sop_instance_uid for row in instances(node) if row.state == "ARRIVED"]
            assert len(came) < len(films)
            done = node.firstread("backfill", *JANUARY)
        rows = instances(node)
        log = node.log_text()
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "6 films came")
    assert "goes on" in done.stderr
    assert {(row.state, row.attempts) for row in rows} == {("ARRIVED", 1)}
    assert len(rows) == len(films) == log.count(" queued from ")
    assert "came again" not in log


def test_a_move_that_a_kill_cut_short_is_made_again(tmp_path):
    with archive_and_node(tmp_path) as (orthanc, node):
        add(orthanc, on("20260101"), on("20260102"))
        # Nobody is there for the archive to send to.
        with backfilling(node, *JANUARY) as (process, _):
            servers.wait_until(lambda: states(node) == ["FOUND", "FOUND"])
            process.kill()
        with node.engine.begin() as connection:
            connection.execute(update(backfill_instance).values(state="ASKED", attempts=1))
        with node.running("receive"):
            done = node.firstread("backfill", *JANUARY)
    assert done.returncode == 0
    assert [row.attempts for row in instances(node)] == [1, 1]


def test_outside_its_hours_nothing_is_asked_and_ctrl_c_says_how_to_go_on(tmp_path):
    now = datetime.datetime.now()
    begin = now + datetime.timedelta(hours=2)
    hours = {"begin": f"{begin:%H:%M}", "end": f"{begin + datetime.timedelta(hours=1):%H:%M}"}
    with archive_and_node(tmp_path, **hours) as (orthanc, node):
        add(orthanc, on("20260101"))
        with node.running("receive"), backfilling(node, *JANUARY) as (process, said):
            servers.wait_until(lambda: f"waiting: until {hours['begin']}" in said())
            second = node.firstread("backfill", "--from", "2026-01-02")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        assert "stopped; the same command goes on where it was" in said()
        assert instances(node) == []
        assert second.returncode == 1
        assert "is at the backfill of 2026-01-01 to 2026-01-03" in second.stderr


@pytest.mark.parametrize(
    ("begin", "end", "at", "seconds"),
    [
        ("20:00", "06:00", "19:59:30", 30),
        ("20:00", "06:00", "20:00:00", 0),
        ("20:00", "06:00", "05:59:59", 0),
        ("20:00", "06:00", "06:00:00", 14 * 3600),
        ("01:00", "05:00", "03:00:00", 0),
        ("01:00", "05:00", "05:00:00", 20 * 3600),
        ("01:00", "05:00", "00:30:00", 1800),
        ("00:00", "00:00", "13:00:00", 0),
    ],
)
def test_hours_may_cross_midnight(begin, end, at, seconds):
    now = datetime.datetime.fromisoformat(f"2026-01-31T{at}+13:00")
    assert seconds_to_hours(begin, end, now) == seconds


def test_no_more_are_asked_for_than_may_be_here_unread(tmp_path):
    with archive_and_node(tmp_path, most_in_hand=2) as (orthanc, node):
        add(orthanc, *(on("20260101", SeriesInstanceUID=generate_uid()) for _ in range(4)))
        with node.running("receive"), backfilling(node, *JANUARY) as (_, said):
            servers.wait_until(lambda: "waiting: 2 of these films are not read and delivered" in said())
            assert sorted(states(node)) == ["ARRIVED", "ARRIVED", "FOUND", "FOUND"]
            with node.running("read", "send"):
                servers.wait_until(lambda: states(node) == ["ARRIVED"] * 4, 60)


def test_live_films_are_read_before_those_of_a_backfill(tmp_path):
    with archive_and_node(tmp_path) as (orthanc, node):
        add(orthanc, *(on("20260101") for _ in range(8)))
        with node.running("receive"):
            node.firstread("backfill", *JANUARY)
            node.store(*(make_film() for _ in range(4)))
        assert [row.retrospective for row in node.films()] == [True] * 8 + [False] * 4
        with node.running("read"):
            servers.wait_until(lambda: {row.state for row in node.films()} == {"READ"}, 120)
        with database.reading(node.engine) as connection:
            taken = [row.film_id for row in newest(connection, 0, 1000, "READING")]
    assert taken == [9, 10, 11, 12, *range(1, 9)]


def test_an_archive_that_is_away_is_waited_for(tmp_path):
    archive = servers.free_port()
    node = node_of(tmp_path, archive)
    with node.running("receive"), backfilling(node, *JANUARY) as (process, said):
        servers.wait_until(lambda: f"waiting: no association with PACS at 127.0.0.1:{archive}" in said())
        with orthanc_that_knows(node, archive) as orthanc:
            add(orthanc, on("20260101"))
            assert process.wait(60) == 0
    assert states(node) in (["ARRIVED"], [])
    node.engine.dispose()


class Archive:
    """An archive with films of one day that answers C-FIND and C-MOVE as it is told.

    ``answers`` are the final statuses of C-MOVE, one after another; with 0x0000 it sends what is asked for,
    naming no originator. It answers queries of every modality with all that it has.
    """

    def __init__(self, films, port: int, port_of_node: int) -> None:
        self.films = {ds.SOPInstanceUID: ds for ds in films}
        self.port_of_node = port_of_node
        self.answers: list[int] = []
        self.asked: list[list[str]] = []
        self.found = 0x0000
        ae = AE(ae_title="PACS")
        for uid in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            ae.add_supported_context(uid)
        self._server = ae.start_server(
            ("127.0.0.1", port), block=False,
            evt_handlers=[(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move)],
        )  # fmt: skip

    def _find(self, event):
        asked = event.identifier
        if self.found:
            yield self.found, None
            return
        for ds in self.films.values():
            is_meant = all(
                ds[keyword].value == asked[keyword].value
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "StudyDate")
                if asked.get(keyword)
            )
            if is_meant:
                answer = Dataset()
                for element in asked:
                    answer[element.tag] = ds.get_item(element.tag) or element
                answer.ModalitiesInStudy = [ds.Modality, "PR"]
                yield 0xFF00, answer

    def _move(self, event):
        uids = event.identifier.SOPInstanceUID
        uids = [uids] if isinstance(uids, str) else list(uids)
        self.asked.append(uids)
        status = self.answers.pop(0) if self.answers else 0x0000
        if status == 0xA801:
            yield None, None
            return
        contexts = [build_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)]
        yield "127.0.0.1", self.port_of_node, {"contexts": contexts}
        yield len(uids)
        if status != 0x0000:
            yield status, None
            return
        ae = AE(ae_title="PACS")
        ae.requested_contexts = contexts
        assoc = ae.associate("127.0.0.1", self.port_of_node)
        for uid in uids:
            assoc.send_c_store(self.films[uid])
        assoc.release()
        yield 0x0000, None

    def close(self) -> None:
        self._server.shutdown()


@contextlib.contextmanager
def told_archive_and_node(folder, *films, **settings):
    port = servers.free_port()
    node = node_of(folder, port, **settings)
    with contextlib.closing(Archive(films, port, node.port)) as archive:
        yield archive, node
    node.engine.dispose()


@pytest.mark.parametrize("status", [0xA702, 0xB000])
def test_what_did_not_come_is_asked_for_again_and_is_retrospective_without_an_originator(status, tmp_path):
    films = [on("20260101", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4") for _ in range(2)]
    others = [on("20260101", Modality="CT"), on("20260102", Modality="MG")]
    with told_archive_and_node(tmp_path, *films, *others) as (archive, node), node.running("receive"):
        archive.answers = [status]
        done = node.firstread("backfill", *JANUARY)
        node.store(make_film())
    both = [ds.SOPInstanceUID for ds in films]
    assert archive.asked == [both, both]
    assert done.returncode == 0
    assert f"waiting: status 0x{status:04X}" in done.stderr
    assert [row.attempts for row in instances(node)] == [2, 2]
    assert [row.retrospective for row in node.films()] == [True, True, False]


def test_an_archive_that_does_not_know_us_is_told_of_and_what_to_enter_there(tmp_path):
    with told_archive_and_node(tmp_path, on("20260101")) as (archive, node):
        archive.answers = [0xA801]
        done = node.firstread("backfill", *JANUARY)
        assert (done.returncode, done.stdout) == (1, "")
        assert "0xA801" in done.stderr
        assert "must have FIRSTREAD as a destination of C-MOVE" in done.stderr
        assert f"port {node.port}" in done.stderr
        assert [(row.state, row.attempts) for row in instances(node)] == [("FOUND", 0)]


def test_an_archive_that_will_not_answer_such_questions_ends_the_backfill_with_its_status(tmp_path):
    with told_archive_and_node(tmp_path, on("20260101")) as (archive, node):
        archive.found = 0xC001
        done = node.firstread("backfill", *JANUARY)
    assert done.returncode == 1
    assert "PACS answered C-FIND with status 0xC001" in done.stderr


def test_an_orthanc_that_does_not_know_us_is_told_of(tmp_path):
    with archive_and_node(tmp_path, our_ae_title="ANOTHER") as (orthanc, node):
        add(orthanc, on("20260101"))
        with backfilling(node, *JANUARY) as (process, said):
            servers.wait_until(lambda: "before its answer to C-FIND; does it know FIRSTREAD?" in said())
            assert process.poll() is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "'yesterday', expected a day as 2026-01-31"),
        (
            ["--from", "2026-01-01", "--modality", "cr"],
            "'cr', expected up to four values of Modality as CR,DX",
        ),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "the days from 2026-01-02 to 2026-01-01 are none"),
    ],
)
def test_a_question_that_is_none_is_told(tmp_path, arguments, said):
    done = node_of(tmp_path, 104).firstread("backfill", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_without_an_archive_in_the_config_the_command_says_which_table_it_lacks(tmp_path):
    done = Node(tmp_path).firstread("backfill", *JANUARY)
    assert done.returncode == 1
    assert done.stderr == "firstread: the config has no table [backfill]; etc/firstread.toml shows it\n"


def test_a_film_of_the_archive_that_is_not_read_is_reported_as_retrospective(tmp_path):
    with archive_and_node(tmp_path) as (orthanc, node):
        text = node.config.read_text(encoding="utf-8")
        node.config.write_text(text.replace("[results]", '[results]\nreport_not_analysed = ["NOT_FRONTAL"]'))
        add(orthanc, on("20260101", ViewPosition="LL"))
        with node.running("receive", "read", "send"):
            node.firstread("backfill", *JANUARY)
            node.wait_for_ends(1)
        (path,) = node.spooled("results")
    assert dciodvfy_errors(path) == []
    ds = dcmread(path)
    assert ds.SeriesDescription == "Firstread AI - not analysed - retrospective"
    assert codes.RETROSPECTIVE.meaning in ds.to_json()


def test_check_tells_what_is_wrong_with_the_way_to_the_archive(tmp_path):
    node = node_of(tmp_path, 104, tls=True, ca_file="/absent.pem")
    said = node.firstread("check").stdout
    for name in ("tls to the archive", "archive"):
        assert f"PROBLEM {name}: [backfill] ca_file /absent.pem: No such file or directory" in said


def test_check_asks_the_archive(tmp_path):
    with told_archive_and_node(tmp_path) as (_, node):
        said = node.firstread("check").stdout
    assert re.search("^ok +archive: PACS at 127.0.0.1:[0-9]+ answers C-ECHO$", said, re.MULTILINE)
