"""daemon/shadow.py, storage/shadow.py: a second version that reads beside the first, never in its way."""

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import servers
from conftest import make_film
from node import Node, Pacs
from sqlalchemy import insert, select, text
from sqlalchemy.event import listen

from storage import claims, database, films, shadow
from storage.films import ReceivedFilm
from storage.tables import event, film, shadow_reading

pytestmark = pytest.mark.alone  # at the lowest priority nothing is left for it beside other tests
MAIN, SHADOW = "gao-2020-small", "gao-2020"
ROWS, POISON = 326, 11
NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
WEIGHTS = "5" * 64


def shadowed(folder: Path, pacs: Pacs | None = None, **model: object) -> Node:
    """A node with a shadow."""
    to = {"pacs": pacs.port} if pacs else {}
    return Node(folder, to, tables={"model": {"version": MAIN, "shadow": SHADOW, **model}})


def rows_of(node: Node) -> list:
    """What the shadow has begun, film by film."""
    with database.reading(node.engine) as connection:
        return connection.execute(select(shadow_reading).order_by(shadow_reading.c.film_id)).all()


def ended(node: Node, number: int) -> list:
    """The rows once so many films are read by the shadow or given up."""

    def at_end():
        rows = rows_of(node)
        return rows if sum(bool(row.reading or row.reason) for row in rows) >= number else None

    return servers.wait_until(at_end, 60, f"{number} films read by the shadow")


def small(chest, number=0):
    return chest[::3, ::3] + number


@pytest.fixture(scope="module")
def films_read(tmp_path_factory, chest):
    """Folder of a node that has read twelve films without a shadow; number `POISON` has a row more."""
    pacs = Pacs()
    node = shadowed(tmp_path_factory.mktemp("read"), pacs)
    pixels = [small(chest, number) for number in range(12)]
    pixels[POISON - 1] = np.pad(pixels[POISON - 1], ((0, 1), (0, 0)), mode="edge")
    with node.running("receive", "send"):
        node.store(*[make_film(pixels=one, PatientName="PLANTED^NAME") for one in pixels])
        assert node.firstread("read", "--once").returncode == 0
        node.wait_for_ends(12)
    pacs.close()
    node.engine.dispose()
    return node.folder


@pytest.fixture
def read_before(films_read, tmp_path):
    """A function that gives a node like that one, with its own shadow."""
    nodes = []

    def make(**model: object) -> Node:
        nodes.append(shadowed(tmp_path, **model))
        bring(films_read, tmp_path)
        return nodes[-1]

    yield make
    for node in nodes:
        node.engine.dispose()


def bring(source: Path, folder: Path) -> None:
    """Copy jobs, films and results of a node that does not run."""
    shutil.copy(source / "firstread.db", folder)
    shutil.copytree(source / "spool", folder / "spool")


@pytest.fixture(scope="module")
def both_read(films_read, tmp_path_factory, chest):
    """A node that gets a thirteenth film once it has a shadow, and all of whose films both have read."""
    pacs = Pacs()
    node = shadowed(tmp_path_factory.mktemp("node"), pacs)
    bring(films_read, node.folder)
    with node.running("run"):
        node.store(make_film(pixels=small(chest, 13)))
        node.wait_for_ends(13)
        ended(node, 13)
    yield node, pacs
    pacs.close()
    node.engine.dispose()


def test_every_film_that_is_read_is_read_by_the_shadow_too(both_read):
    node, _ = both_read
    of_main = {row.id: row for row in node.films()}
    rows = rows_of(node)
    assert [row.film_id for row in rows] == list(of_main)
    for row in rows:
        assert (row.model, row.reading["model"], of_main[row.film_id].reading["model"]) == (
            SHADOW,
            SHADOW,
            MAIN,
        )
        assert row.weights_sha256 == row.reading["weights_sha256"]
        assert (row.decision, row.attempts, row.reason) == (row.reading["decision"], 1, "")
        assert sum(row.reading["step1"].values()) == pytest.approx(1, abs=1e-5)


def test_both_keep_how_long_a_film_took(both_read):
    node, _ = both_read
    for row in rows_of(node):
        assert row.seconds == pytest.approx(sum(row.reading["seconds"].values()))
    for of_film in [row.reading["seconds"] for row in [*node.films(), *rows_of(node)]]:
        assert of_film.keys() == {"decode", "network"}
        assert all(0 < seconds < 60 for seconds in of_film.values())


def test_the_shadow_sends_nothing_and_makes_no_result(both_read):
    node, pacs = both_read
    assert len(node.spooled("results")) == len(node.deliveries()) == 26
    assert len(pacs.received) == 2  # those of the thirteenth; the others were sent before
    with database.reading(node.engine) as connection:
        assert {row.who.partition("@")[0] for row in connection.execute(select(event))} <= {
            "from MODALITY", "read", "pacs", "send-pacs",
        }  # fmt: skip


def test_the_newest_film_is_read_first(both_read):
    node, _ = both_read
    by_time = sorted(rows_of(node)[:12], key=lambda row: row.at)
    assert [row.film_id for row in by_time] == list(range(12, 0, -1))


def test_the_shadow_names_no_patient(both_read):
    node, _ = both_read
    assert "read by gao-2020" in node.log_text()
    assert "PLANTED" not in node.log_text()
    node.engine.dispose()  # to close a file is to give up the locks that SQLite holds on it
    assert b"PLANTED" not in b"".join(path.read_bytes() for path in node.folder.glob("firstread.db*"))


def test_compare_tells_how_the_two_agree(both_read):
    node, _ = both_read
    (pair,) = json.loads(node.firstread("models", "compare", "--days", "1", "--json").stdout)
    assert (pair["main"]["model"], pair["shadow"]["model"]) == (MAIN, SHADOW)
    assert (pair["films"], pair["unread"]) == (13, 0)
    assert sum(cell["films"] for cell in pair["decisions"]) == 13
    assert [point[0] for point in pair["scores"]["viral"]] == list(range(1, 14))
    assert pair["scores"]["viral"][0][1:] == [
        node.films()[0].reading["step1"]["viral"], rows_of(node)[0].reading["step1"]["viral"],
    ]  # fmt: skip
    lines = node.firstread("models", "compare").stdout.splitlines()
    assert lines[0].startswith(f"{MAIN} 0.1.0 (") and f", {SHADOW} 0.1.0 (" in lines[0]
    assert lines[1] == "films read by both  13, not read by the shadow 0"


def test_check_wants_a_sign_of_life_of_a_shadow_only_where_there_is_one(both_read):
    node, _ = both_read
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE heartbeat SET at = '2026-01-01' WHERE process = 'shadow'"))
    processes = [line for line in node.firstread("check").stdout.splitlines() if " processes: " in line]
    assert "no sign of life of " in processes[0]
    assert "shadow@" in processes[0].partition("(")[0]
    node.config.write_text(node.config.read_text().replace(f'shadow = "{SHADOW}"', 'shadow = ""'))
    lines = node.firstread("check").stdout.splitlines()
    assert not any("shadow" in line for line in lines)


def test_without_a_shadow_in_the_config_it_ends_well_at_once(node):
    done = node.firstread("shadow")
    assert done.returncode == 0
    assert "shadow, none is configured, ready" in done.stderr
    assert [path.name for path in node.folder.iterdir()] == ["firstread.toml"]


def test_the_shadow_steps_back_and_waits_while_a_film_waits_for_the_reader(read_before):
    node = read_before()
    films.requeue(node.engine, 12, "requeue", datetime.datetime.now(datetime.UTC))

    def told():
        with database.reading(node.engine) as connection:
            return connection.execute(text("SELECT note FROM heartbeat WHERE process = 'shadow'")).scalar()

    with node.running("shadow") as [process]:
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert int(stat[16]) == 19  # nice
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "500\n"
        assert servers.wait_until(told) == "11 films to read"
        assert rows_of(node) == []
        assert node.firstread("read", "--once").returncode == 0
        assert all(row.reading for row in ended(node, 12))


def test_a_killed_shadow_reads_again_what_it_had_not_stored_and_nothing_twice(read_before):
    node = read_before(attempts=20)
    stored = {}
    for number in (1, 3):
        with node.running("shadow") as [process]:
            ended(node, number)
            process.kill()
            process.wait()
        now_stored = {row.film_id: row.at for row in rows_of(node) if row.reading}
        assert stored.items() <= now_stored.items()
        stored = now_stored
    assert len(stored) < 12
    with node.running("shadow"):
        rows = ended(node, 12)
    assert all(row.reading for row in rows)
    assert stored.items() <= {row.film_id: row.at for row in rows}.items()


def test_a_film_that_kills_the_shadow_is_given_up_and_the_others_are_read(read_before):
    node = read_before(attempts=2)
    script = Path(__file__).with_name("poisoned.py")
    command = [sys.executable, str(script), str(ROWS + 1), "--config", str(node.config), "shadow"]
    with node.log.open("ab") as log:
        deaths = [subprocess.run(command, stderr=log, check=False).returncode for _ in range(2)]
        assert deaths == [-signal.SIGKILL] * 2
        process = subprocess.Popen(command, stderr=log)
        try:
            rows = ended(node, 12)
        finally:
            servers.end(process)
    assert [row.film_id for row in rows if not row.reading] == [POISON]
    assert rows[POISON - 1].reason == "2 attempts, each ended by the death of the process that made it"
    assert {row.state for row in node.films()} == {"READ"}


def test_a_film_that_retention_took_is_noted_and_a_worn_shadow_ends_for_a_new_process(read_before):
    node = read_before(films_a_process=2)
    (node.folder / "spool" / node.films()[10].spool_name).unlink()
    assert node.firstread("shadow").returncode == os.EX_TEMPFAIL
    taken, read = rows_of(node)
    assert (taken.film_id, taken.attempts, taken.reason.partition(":")[0]) == (11, 1, "MISSING")
    assert (read.film_id, bool(read.reading)) == (12, True)


def test_a_version_that_is_not_there_does_not_keep_the_node_from_reading(tmp_path, film, chest):
    node = Node(tmp_path, tables={"model": {"version": MAIN, "shadow": "absent"}})
    with node.running("run"):
        node.store(film(pixels=small(chest)))
        assert [row.state for row in node.wait_for_ends(1)] == ["READ"]
        servers.wait_until(lambda: "found no model version 'absent'" in node.log_text())
    node.engine.dispose()


def enqueue(engine, number: int) -> int:
    received = ReceivedFilm(
        f"1.2.{number}", "1.2", "1.5", "A1", "CR", "1.2.840.10008.1.2.1", f"{number:064x}", 10,
        f"films/aa/{number:032x}.dcm", "MODALITY", "FIRSTREAD", "127.0.0.1",
    )  # fmt: skip
    return films.enqueue(engine, received, NOW).job


def said(decision: str, viral: float, **more: object) -> dict:
    return {
        "model": "one", "version": "1", "weights_sha256": "1" * 64, "decision": decision,
        "step1": {"normal": 1 - viral, "viral": viral}, **more,
    }  # fmt: skip


def read(engine, number: int, reading: dict) -> int:
    enqueue(engine, number)
    (job,) = claims.claim(engine, "read@h:1", 1, NOW, NOW + MINUTE)
    films.finish_read(engine, job.id, "read@h:1", NOW, reading, [])
    return job.id


def in_shadow(engine, job: int, reading: dict | None, seconds: float, at=NOW, reason: str = "") -> None:
    shadow.take(engine, job, "two", "2", WEIGHTS, at)
    shadow.finish(engine, job, WEIGHTS, at, reading=reading, seconds=seconds, reason=reason)


def test_agreement_and_kappa_are_those_of_a_table_worked_by_hand(engine):
    """Main says normal to 6 of 10, shadow to 7; of 8 they say the same: (0.8 - 0.54) / (1 - 0.54)."""
    pairs = [("normal", "normal")] * 6 + [("viral", "normal")]
    pairs += [("viral", "viral"), ("indeterminate: a", "viral"), ("indeterminate: b", "indeterminate: c")]
    for number, (main, other) in enumerate(pairs):
        job = read(engine, number, said(main, 0.25, seconds={"decode": 0.5, "network": number / 10}))
        in_shadow(engine, job, said(other, 0.75), float(number))
    refused = read(engine, 50, said("normal", 0.1))
    in_shadow(engine, refused, None, 0.0, reason="NOT_PLAUSIBLE: found no chest")
    read(engine, 51, said("normal", 0.1))  # not yet read by the shadow
    with database.reading(engine) as connection:
        (pair,) = shadow.compare(connection, NOW - MINUTE, NOW + MINUTE)
        assert shadow.compare(connection, NOW - MINUTE, NOW) == []
        assert shadow.compare(connection, NOW + MINUTE, NOW + 2 * MINUTE) == []
    chance = (6 * 7 + 2 * 2 + 2 * 1) / 100
    assert (pair.films, pair.unread) == (10, 1)
    assert pair.agreement == pytest.approx(0.8)
    assert pair.kappa == pytest.approx((0.8 - chance) / (1 - chance))
    assert pair.decisions == {
        ("normal", "normal"): 6, ("viral", "normal"): 1, ("viral", "viral"): 1, ("indeterminate", "viral"): 1,
        ("indeterminate", "indeterminate"): 1,
    }  # fmt: skip
    assert pair.scores["viral"] == [(job, 0.25, 0.75) for job in range(1, 11)]
    assert pair.main_seconds == pytest.approx(0.95)
    assert pair.shadow_seconds == pytest.approx(4.5)
    assert pair.shadow == {"model": "two", "version": "2", "weights_sha256": WEIGHTS}


def test_versions_that_only_ever_say_one_thing_have_no_kappa(engine):
    in_shadow(engine, read(engine, 1, said("normal", 0.1)), said("normal", 0.2), 1.0)
    with database.reading(engine) as connection:
        (pair,) = shadow.compare(connection, NOW, NOW + MINUTE)
    assert (pair.agreement, pair.kappa, pair.main_seconds) == (1.0, None, None)


def test_each_pair_of_versions_is_compared_by_itself_the_last_first(engine):
    first = read(engine, 1, said("normal", 0.1))
    second = read(engine, 2, said("normal", 0.1) | {"weights_sha256": "9" * 64, "model": "nine"})
    in_shadow(engine, first, said("normal", 0.2), 1.0, NOW + MINUTE)
    in_shadow(engine, second, said("viral", 0.9), 1.0, NOW)
    with database.reading(engine) as connection:
        pairs = shadow.compare(connection, NOW, NOW + 2 * MINUTE)
        assert shadow.compare(connection, NOW, NOW + 2 * MINUTE, 1) == pairs[:1]
    assert [(pair.main["model"], pair.agreement) for pair in pairs] == [("one", 1.0), ("nine", 0.0)]


def test_a_film_tells_which_versions_have_read_it_in_the_shadow(engine):
    job, given_up = (read(engine, number, said("normal", 0.1)) for number in range(2))
    in_shadow(engine, job, said("viral", 0.8), 1.0)
    in_shadow(engine, given_up, None, 0.0, reason="MISSING")
    with database.reading(engine) as connection:
        (row,) = shadow.of_film(connection, job)
        assert (row.model, row.version, row.reading["decision"]) == ("two", "2", "viral")
        assert shadow.of_film(connection, given_up) == []


def test_films_wait_for_the_shadow_until_they_are_read_or_given_up(engine):
    jobs = [read(engine, number, said("normal", 0.1)) for number in range(5)]
    enqueue(engine, 9)
    in_shadow(engine, jobs[0], said("normal", 0.2), 1.0)
    in_shadow(engine, jobs[1], None, 0.0, reason="MISSING")
    assert shadow.take(engine, jobs[2], "two", "2", WEIGHTS, NOW).attempts == 1
    assert shadow.take(engine, jobs[2], "two", "2", WEIGHTS, NOW).attempts == 2
    with engine.begin() as connection:
        connection.execute(film.update().where(film.c.id == jobs[3]).values(files_removed_at=NOW))
    with database.reading(engine) as connection:
        assert sorted(shadow.waiting(connection, WEIGHTS)) == [jobs[2], jobs[4]]
        assert sorted(shadow.waiting(connection, "7" * 64)) == [jobs[0], jobs[1], jobs[2], jobs[4]]
        assert shadow.is_main_busy(connection)
        last = shadow.last_event(connection)
        assert sorted(shadow.waiting(connection, WEIGHTS, last)) == [jobs[2], jobs[4]]
        assert shadow.waiting(connection, WEIGHTS, last + shadow.EVENTS_LOOKED_AT_AGAIN) == []


def test_a_look_for_new_films_does_not_walk_through_old_ones(engine):
    texts = ("sop_class_uid", "study_instance_uid", "accession_number", "modality", "transfer_syntax_uid",
             "digest", "spool_name", "calling_ae_title", "called_ae_title", "peer_address")  # fmt: skip
    like_all = dict.fromkeys(texts, "CR") | {"size_bytes": 1, "state": "READ"}
    like_all |= {"received_at": NOW, "changed_at": NOW}
    old = [
        like_all | {"sop_instance_uid": f"1.2.826.0.1.3680043.8.498.{number:032}"} for number in range(20_000)
    ]
    with engine.begin() as connection:
        connection.execute(insert(film), old)
        moves = [{"at": NOW, "film_id": n, "to_state": "READ", "who": "read"} for n in range(1, 20_001)]
        connection.execute(insert(event), moves)
        connection.execute(text("ANALYZE"))
    statements = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    listen(engine, "before_cursor_execute", note)
    with database.reading(engine) as connection:
        assert len(shadow.waiting(connection, WEIGHTS, 19_990)) == 110
        statement, parameters = statements[-1]
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all()).lower()
    assert "scan film" not in plan and "seq scan on film" not in plan
    assert "scan event" not in plan and "seq scan on event" not in plan
