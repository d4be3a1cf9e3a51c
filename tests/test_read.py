"""daemon/read.py, daemon/supervise.py: real processes and films; what dies, and what must not be lost."""

import contextlib
import gc
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest
import servers
from demo import words_of
from faulty import source_of
from node import Node, Pacs
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    Comprehensive3DSRStorage,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from sqlalchemy import select

from storage import database
from storage.tables import event

# pynetdicom leaves the socket of a refused connection, here to a receiver just killed, to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
RESULTS = (SecondaryCaptureImageStorage, Comprehensive3DSRStorage)


@pytest.fixture(autouse=True)
def collected():
    """What a test leaves to the collector is collected within it, not within another module's test."""
    yield
    gc.collect()


def real_film(name):
    """A film of pydicom-data under a fresh UID: several of them share one."""
    ds = pydicom.dcmread(get_testdata_file(name, download=False))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def turned_film():
    """RG1 lying on its side under a header that says nothing of it."""
    ds = real_film("RG1_UNCI.dcm")
    pixels = np.rot90(ds.pixel_array)
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.tobytes()
    return ds


@pytest.fixture(scope="module")
def read_films(tmp_path_factory):
    """A node that has read RG1 in three codings, an ankle, and a film with planted identity."""
    pacs = Pacs()
    node = Node(tmp_path_factory.mktemp("node"), {"pacs": pacs.port})
    films = [real_film(f"{name}.dcm") for name in ("RG1_UNCI", "RG1_J2KI", "RG1_J2KR", "RG3_UNCI")]
    planted = real_film("RG1_UNCR.dcm")
    planted.PatientName, planted.PatientID, planted.PatientBirthDate = (
        "PLANTED^NAME",
        "PLANTED-ID",
        "19010203",
    )
    with node.running("run"):
        node.store(*films, planted)
        node.wait_for_ends(5)
    yield node, pacs, films
    pacs.close()
    node.engine.dispose()


def test_a_real_chest_film_is_read_and_an_ankle_is_skipped_with_the_reason(read_films):
    node, _, _ = read_films
    rows = node.films()
    assert [row.state for row in rows] == ["READ", "READ", "READ", "SKIPPED", "READ"]
    assert rows[3].reason == "NOT_CHEST: found EXTREMITY, expected CHEST or THORAX or LUNG"


def test_one_film_scores_alike_in_every_coding(read_films):
    node, _, _ = read_films
    scores = [list(row.reading["step1"].values()) for row in node.films()[:3]]
    assert np.ptp(scores, axis=0).max() < 0.02


@pytest.mark.alone  # beside other tests a film may take longer to be made ready than another waits for it
def test_films_that_are_made_ready_together_are_read_in_one_call_of_the_networks(tmp_path, film):
    node = Node(tmp_path, {}, tables={"model": {"version": "gao-2020"}})
    with node.running("receive"):
        node.store(*(film() for _ in range(6)))
    assert node.firstread("read", "--once").returncode == 0
    # Each film of a call has its equal share of the call's seconds.
    calls = {row.reading["seconds"]["network"] for row in node.films()}
    assert len(calls) == 1
    node.engine.dispose()


def test_one_capture_and_one_report_of_each_film_lie_in_its_study(read_films):
    _, pacs, films = read_films
    for ds in films[:3]:
        for sop_class in RESULTS:
            mine = [
                result
                for result in pacs.of(sop_class)
                if ds.SOPInstanceUID in str(result)
            ]  # fmt: skip
            assert len(mine) == 1
            assert mine[0].StudyInstanceUID == ds.StudyInstanceUID
            assert mine[0].SeriesInstanceUID != ds.SeriesInstanceUID
    assert len(pacs.received) == 8


def test_no_patient_identity_in_log_database_or_file_names(read_films):
    node, _, _ = read_films
    names = " ".join(str(path) for path in node.folder.rglob("*"))
    raw = b"".join(path.read_bytes() for path in node.folder.glob("firstread.db*"))
    for planted in ("PLANTED", "19010203"):
        assert planted not in node.log_text()
        assert planted not in names
        assert planted.encode() not in raw


def test_nothing_half_written_is_left(read_films):
    node, _, _ = read_films
    assert node.spooled("incoming") == []
    assert len(node.spooled("films")) == 5
    assert len(node.spooled("results")) == 8


def test_the_job_keeps_how_much_of_the_activation_lies_in_each_lung(read_films):
    node, _, _ = read_films
    for row in node.films():
        if row.state == "READ":
            inside = row.reading["inside_lungs"]
            assert inside["both"] == pytest.approx(inside["right"] + inside["left"])
            assert 0 <= row.reading["least_inside"] <= 1


def test_a_turned_film_is_skipped_and_the_pacs_hears_nothing(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port})
    with node.running("run"):
        node.store(turned_film(), real_film("RG1_J2KI.dcm"))
        rows = node.wait_for_ends(2)
    assert [row.state for row in rows] == ["SKIPPED", "READ"]
    assert rows[0].reason == "ROTATED: found a chest turned by 90 degrees, expected an upright film"
    assert len(pacs.received) == len(node.spooled("results")) == 2
    node.engine.dispose()


def test_a_site_may_have_the_pacs_told_why_a_film_is_not_read(tmp_path, pacs):
    """By the picture, by the header, not at all for another reason; once, though the film is tried again."""
    codes = ["ROTATED", "NOT_CHEST"]
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"results": {"report_not_analysed": codes}})
    turned, ankle = turned_film(), real_film("RG3_UNCI.dcm")
    lateral = real_film("RG1_J2KI.dcm")
    lateral.ViewPosition = "LL"
    nowhere = real_film("RG3_UNCI.dcm")
    del nowhere.StudyInstanceUID
    with node.running("run"):
        node.store(turned, ankle, lateral, nowhere)
        node.wait_for_ends(4)
        assert node.firstread("requeue", "1").returncode == 0
        servers.wait_until(lambda: [row.state for row in node.films()] == ["SKIPPED"] * 4)
    rows = node.films()
    assert [row.reason.partition(":")[0] for row in rows] == [
        "ROTATED",
        "NOT_CHEST",
        "NOT_FRONTAL",
        "NOT_CHEST",
    ]
    assert sorted((row.film_id, row.kind, row.state) for row in node.deliveries()) == [
        (1, "NA", "SENT"),
        (2, "NA", "SENT"),
    ]
    assert "  NA to pacs: SENT 0x0000" in node.firstread("show", "2").stdout
    assert len(node.spooled("results")) == 2
    told = {report.StudyInstanceUID: words_of(report)[1] for report in pacs.of(Comprehensive3DSRStorage)}
    assert len(told) == len(pacs.received) == 2
    assert "Not analysed: rotated. Found: a chest turned by 90 degrees." in told[turned.StudyInstanceUID]
    assert "Not analysed: not a chest film. Found: EXTREMITY." in told[ankle.StudyInstanceUID]
    [line] = [line for line in node.log_text().splitlines() if "no report on it" in line]
    assert line.endswith("found no StudyInstanceUID, expected them in the film's header")
    assert "Traceback" not in node.log_text()
    node.engine.dispose()


def slow_film(film, path):
    """JPEG-LS of noise, so large that its decoding takes seconds."""
    from jpeg_ls import encode_array

    noise = np.random.default_rng(1).integers(0, 4096, (7000, 7000), np.uint16)
    ds = film(pixels=noise)
    ds.PixelData = encapsulate([bytes(encode_array(noise))])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    ds.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def test_a_film_that_hangs_its_decoder_fails_after_its_attempts_and_the_others_are_read(tmp_path, film, pacs):
    node = Node(
        tmp_path,
        {"pacs": pacs.port},
        tables={
            "model": {"film_timeout_seconds": 1, "attempts": 2},
            "results": {"report_not_analysed": ["NOT_CHEST"]},
        },
    )
    with node.running("receive"):
        node.store(
            real_film("RG1_UNCI.dcm"), slow_film(film, tmp_path / "slow.dcm"), real_film("RG1_UNCI.dcm"),
            real_film("RG3_UNCI.dcm"), real_film("RG3_UNCI.dcm"),
        )  # fmt: skip
    with node.running("read"):
        servers.wait_until(lambda: not {row.state for row in node.films()} & {"QUEUED", "READING"}, 60)
    rows = node.films()
    assert [row.state for row in rows] == ["READ", "FAILED", "READ", "SKIPPED", "SKIPPED"]
    assert rows[1].reason == "attempt 2 of 2: the worker process died or ran out of time on this film"
    assert len(node.spooled("films")) == 5
    assert len(node.spooled("results")) == 6
    node.engine.dispose()


def kill(process):
    """SIGKILL, unless the process has just ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def workers_of(process):
    """Process numbers of the decoders of a reader: grandchildren, through the fork server."""
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat")]

    def parent(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return None

    servers_of = {pid for pid in children if parent(pid) == process}
    return [pid for pid in children if parent(pid) in servers_of]


def test_killed_decoders_cost_no_film_and_no_reader(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port})
    with node.running("receive", "read") as [_, reader]:
        node.store(*[real_film("RG1_J2KI.dcm") for _ in range(6)])
        servers.wait_until(lambda: any(row.state == "READ" for row in node.films()))
        killed = workers_of(reader.pid)
        for worker in killed:
            kill(worker)
        node.store(*[real_film("RG1_J2KI.dcm") for _ in range(3)])
        servers.wait_until(lambda: [row.state for row in node.films()] == ["READ"] * 9, 60)
        assert killed
        assert reader.poll() is None
    node.engine.dispose()


def test_decoders_killed_while_idle_are_replaced(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port})
    with node.running("receive", "read") as [_, reader]:
        killed = workers_of(reader.pid)
        for worker in killed:
            kill(worker)
        node.store(real_film("RG1_J2KI.dcm"))
        servers.wait_until(lambda: [row.state for row in node.films()] == ["READ"], 60)
        assert killed
        assert reader.poll() is None
    node.engine.dispose()


def test_a_worn_reader_hands_over_to_a_new_one_and_no_film_is_lost(tmp_path, film, chest, pacs):
    tables = {"model": {"version": "gao-2020-small", "films_a_process": 3, "batch_size": 2}}
    node = Node(tmp_path, {"pacs": pacs.port}, tables=tables)
    with node.running("run"):
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(8)])
        rows = node.wait_for_ends(8)
    assert [row.state for row in rows] == ["READ"] * 8
    assert {row.attempts for row in rows} == {1}
    assert "a new process takes over" in node.log_text()
    assert node.log_text().count("read started as process") > 1
    node.engine.dispose()


def test_a_late_film_adds_to_its_study_and_restarts_nothing(tmp_path, film, chest, pacs):
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"model": {"version": "gao-2020-small"}})
    first, late = film(pixels=chest[::3, ::3]), film(pixels=chest[::3, ::3] + 1)
    late.StudyInstanceUID = first.StudyInstanceUID
    with node.running("receive", "read", "send"):
        node.store(first)
        node.wait_for_ends(1)
        of_first = {result.SOPInstanceUID for result in pacs.received}
        node.store(late)
        node.wait_for_ends(2)
    assert {result.StudyInstanceUID for result in pacs.received} == {first.StudyInstanceUID}
    assert [result.SOPInstanceUID in of_first for result in pacs.received] == [True, True, False, False]
    node.engine.dispose()


def test_patient_ids_that_differ_in_a_study_are_logged_and_shown_and_each_result_has_its_films(
    tmp_path, film, chest, pacs
):
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"model": {"version": "gao-2020-small"}})
    one, same, other = (film(pixels=chest[::3, ::3] + number) for number in range(3))
    for ds, patient_id in ((one, "KXQZ"), (same, "KXQZ "), (other, "WVXJ")):
        ds.StudyInstanceUID, ds.PatientID = one.StudyInstanceUID, patient_id
    with node.running("receive", "read", "send"):
        node.store(one, same, other)
        rows = node.wait_for_ends(3)
    told = "patient ID or its issuer differs from that of job 1, in the same study"
    assert [told in row.reading["warnings"] for row in rows] == [False, False, True]
    assert f"job 3: {told}" in node.log_text()
    assert told in node.firstread("show", "3").stdout
    ids = {source_of(result): result.PatientID for result in pacs.received}
    assert ids == {one.SOPInstanceUID: "KXQZ", same.SOPInstanceUID: "KXQZ", other.SOPInstanceUID: "WVXJ"}
    assert not any(one in node.log_text() for one in ("KXQZ", "WVXJ"))
    node.engine.dispose()


@pytest.mark.parametrize("role", ["receive", "read", "send"])
def test_a_killed_process_is_started_again_and_nothing_is_lost_or_doubled(tmp_path, pacs, role):
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"model": {"attempts": 10}})
    films = [real_film("RG1_J2KI.dcm") for _ in range(5)]
    seed = random.Random(role)
    with node.running("run"):
        for ds in films:
            servers.wait_until(lambda ds=ds: _stored(node, ds), 30, "acknowledgement")
            if seed.random() < 0.6:
                kill(started(node, role))
        kill(started(node, role))
        rows = node.wait_for_ends(5, 90)
    assert [row.state for row in rows] == ["READ"] * 5
    contents = {}
    for result in pacs.received:
        contents.setdefault(result.SOPInstanceUID, set()).add(result.SOPClassUID)
    assert len(contents) == 10
    assert {len(node.spooled(kind)) for kind in ("films", "results")} == {5, 10}
    node.engine.dispose()


def _stored(node, ds):
    with node.association(ds) as assoc:
        return assoc.is_established and assoc.send_c_store(ds).get("Status") == 0x0000


def started(node, role):
    """Number of the process that the supervisor last started for `role`."""
    lines = [line for line in node.log_text().splitlines() if f"{role} started as process" in line]
    return int(lines[-1].rpartition(" ")[2])


def test_stopping_the_node_finishes_what_is_in_hand(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port})
    with node.running("run"):
        node.store(*[real_film("RG1_J2KI.dcm") for _ in range(4)])
        servers.wait_until(lambda: any(row.state == "READING" for row in node.films()))
    assert "READING" not in {row.state for row in node.films()}
    assert "SENDING" not in {row.state for row in node.deliveries()}
    node.engine.dispose()


def test_two_readers_share_the_queue_of_one_postgresql(tmp_path, pacs, postgresql_url):
    node = Node(tmp_path, {"pacs": pacs.port}, servers.fresh_database(postgresql_url))
    with node.running("receive", "read", "read", "send"):
        node.store(*[real_film("RG1_J2KI.dcm") for _ in range(40)])
        rows = node.wait_for_ends(40, 90)
    assert {(row.state, row.attempts) for row in rows} == {("READ", 1)}
    assert len({result.SOPInstanceUID for result in pacs.received}) == len(pacs.received) == 80
    with database.reading(node.engine) as connection:
        claims = connection.execute(select(event.c.who).where(event.c.to_state == "READING").distinct())
        assert len(claims.all()) == 2
    node.engine.dispose()


def test_read_once_drains_the_queue_and_ends(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port})
    with node.running("receive"):
        node.store(*[real_film("RG1_J2KI.dcm") for _ in range(3)])
    ended = node.firstread("read", "--once")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert [row.state for row in node.films()] == ["READ"] * 3
    node.engine.dispose()


@contextlib.contextmanager
def poisonable_reader(node, rows):
    """Readers one after another, each until a film of so many rows kills it; yields how many there were."""
    script = Path(__file__).with_name("poisoned.py")
    command = [sys.executable, str(script), str(rows), "--config", str(node.config), "read"]
    deaths = []
    stop = threading.Event()

    def supervise():
        while not stop.is_set():
            with node.log.open("ab") as log:
                process = subprocess.Popen(command, stderr=log)
            while process.poll() is None and not stop.wait(0.05):
                pass
            if process.poll() is not None:
                deaths.append(process.returncode)
            servers.end(process, 60)

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        yield deaths
    finally:
        stop.set()
        thread.join()


def test_a_film_that_kills_the_reader_fails_after_its_attempts_and_forty_others_are_read(
    tmp_path, film, chest
):
    node = Node(tmp_path, tables={"model": {"version": "gao-2020-small"}})
    node.migrate()
    small = chest[::3, ::3]
    others = [film(pixels=small + number) for number in range(40)]
    poison = film(pixels=np.pad(small, ((0, 1), (0, 0)), mode="edge"))
    with node.running("receive"):
        node.store(*others[:11], poison, *others[11:])
    with poisonable_reader(node, poison.Rows) as deaths:
        servers.wait_until(lambda: not {row.state for row in node.films()} & {"QUEUED", "READING"}, 400)
    rows = {row.sop_instance_uid: row for row in node.films()}
    killer = rows.pop(poison.SOPInstanceUID)
    assert (killer.state, killer.attempts, deaths) == ("FAILED", 3, [-signal.SIGKILL] * 3)
    assert "stopped in the middle of attempt 3 of 3" in killer.reason
    assert {row.state for row in rows.values()} == {"READ"}
    assert max(row.attempts for row in rows.values()) == 2
    node.engine.dispose()


def test_what_the_database_does_not_take_is_written_when_it_is_back_by_the_same_reader(
    tmp_path, film, chest, postgresql_url
):
    """No claim has to lapse, and no film is read twice."""
    node = Node(
        tmp_path,
        database_url=servers.fresh_database(postgresql_url),
        tables={"model": {"version": "gao-2020-small"}},
    )
    with node.running("receive", "read") as [_, reader]:
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(30)])
        servers.wait_until(lambda: any(row.state == "READING" for row in node.films()))
        with servers.database_away(node.url):
            servers.wait_until(lambda: "to be written again" in node.log_text(), 40)
        servers.wait_until(lambda: _all_read(node), 60)
        assert ({row.attempts for row in node.films()}, reader.poll()) == ({1}, None)
    node.engine.dispose()


def test_a_reader_waits_for_a_disk_that_is_full_and_no_film_fails(tmp_path, film, chest):
    """A bound on the size of its files stands for the disk: any user may set one."""
    node = Node(tmp_path, tables={"model": {"version": "gao-2020-small"}})
    with node.running("receive"):
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(4)])
    with node.running("read") as [reader]:
        workers = workers_of(reader.pid)
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        servers.wait_until(lambda: "File too large; put back" in node.log_text() or _all_read(node), 30)
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        servers.wait_until(lambda: _all_read(node), 60)
    assert {row.attempts for row in node.films()} == {1}
    node.engine.dispose()


def _all_read(node):
    return {row.state for row in node.films()} == {"READ"}


def test_roles_and_decoders_end_with_the_supervisor_that_is_killed(tmp_path):
    node = Node(tmp_path)
    with node.running("run") as [run]:
        children = [started(node, role) for role in ("receive", "read", "send")]
        decoders = workers_of(children[1])
        kill(run.pid)
        servers.wait_until(lambda: not alive(children + decoders), 60, "their end")
        assert len(decoders) == 2
    node.engine.dispose()


def test_decoders_and_their_fork_server_end_with_the_reader_that_is_killed(tmp_path):
    node = Node(tmp_path)
    with node.running("read") as [reader]:
        decoders = workers_of(reader.pid)
        servers_of = {
            int(Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[1]) for one in decoders
        }
        kill(reader.pid)
        servers.wait_until(lambda: not alive([*decoders, *servers_of]), 30, "their end")
        assert len(decoders) == 2
    node.engine.dispose()


def alive(processes):
    """Those that are there and no zombies."""
    found = []
    for pid in processes:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            found += [pid] if state != "Z" else []
    return found
