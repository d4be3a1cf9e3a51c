"""storage/{sweep,retention,backup}.py, daemon/keep.py: no film lost, and no file left over."""

import contextlib
import dataclasses
import datetime
import shutil
import subprocess
import sys
import time

import pytest
import servers
from node import Node
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from daemon import housekeeping, service
from daemon.keep import keep
from storage import backup, claims, database, deliveries, films, heartbeats, retention
from storage.backup import BadBackup
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.spool import Spool
from storage.states import DeliveryState, FilmState, IllegalMove
from storage.sweep import sweep
from storage.tables import delivery

HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def described(number=1):
    """A received film without its spool name."""
    fields = ReceivedFilm(
        f"1.2.{number}", "1.2", "1.5", "A1", "CR", "1.2.840.10008.1.2.1", f"{number:064x}", 10,
        "", "MODALITY", "FIRSTREAD", "127.0.0.1",
    )  # fmt: skip
    described = dataclasses.asdict(fields)
    del described["spool_name"]
    return described


def arrive(spool, words=b"film"):
    """A received file, not kept yet."""
    path = spool.incoming / f"{time.monotonic_ns()}.dcm"
    path.write_bytes(words)
    return path


def kept(engine, spool, number=1):
    """A film kept and queued; its job."""
    return keep(arrive(spool), described(number), engine, spool).job


def row(engine, job):
    with database.reading(engine) as connection:
        return films.get(connection, job)


def spooled(spool):
    return sorted(file.name for kind in ("films", "results") for file in spool.kept(kind))


def read(engine, spool, job, destinations=("pacs",), claimant="r"):
    """Read a claimed film with one result for each destination; its result's name."""
    name = spool.write_result(f"2.25.{job}", lambda file: file.write(b"result"))
    new = [NewDelivery("SC", one, "1.2", f"2.25.{job}", name) for one in destinations]
    films.finish_read(engine, job, claimant, service.now(), {"decision": "normal"}, new)
    return name


def deliver(engine, destination="pacs", state=DeliveryState.SENT):
    now = service.now()
    for one in deliveries.claim(engine, destination, "s", 9, now, now + HOUR):
        deliveries.finish(engine, "s", [deliveries.Finished(one, state, now, 0, "")])


def claim(engine, limit=9, claimant="r"):
    now = service.now()
    return claims.claim(engine, claimant, limit, now, now + HOUR)


def swept(engine, spool, after=2 * HOUR, grace=HOUR, has_destinations=True):
    return sweep(engine, spool, "sweep", service.now() + after, grace, has_destinations)


def test_film_of_a_crash_between_rename_and_commit_is_removed_after_its_grace(engine, spool):
    job = kept(engine, spool)
    orphan = spool.keep_film(arrive(spool))
    result = spool.write_result("2.25.9", lambda file: file.write(b""))
    assert swept(engine, spool, after=HOUR / 2).removed == ()
    found = swept(engine, spool)
    assert set(found.removed) == {orphan, result}
    assert spooled(spool) == [row(engine, job).spool_name]
    assert (found.kept, found.strangers) == (1, 0)


def test_results_of_a_node_without_destinations_stay(engine, spool):
    kept(engine, spool)
    [job] = claim(engine)
    result = read(engine, spool, job.id, ())
    assert swept(engine, spool, has_destinations=False).removed == ()
    assert spool.has(result)


def test_files_of_another_database_are_left_alone_and_told(engine, spool):
    spool.keep_film(arrive(spool))
    found = swept(engine, spool)
    assert (found.removed, found.strangers) == ((), 1)
    kept(engine, spool)
    found = swept(engine, spool, grace=datetime.timedelta(0))
    assert (found.removed, found.strangers) == ((), 1)
    assert len(spooled(spool)) == 2


def test_job_whose_film_is_gone_fails_with_the_reason_and_is_queued_when_the_film_comes_again(engine, spool):
    job = kept(engine, spool)
    spool.discard(row(engine, job).spool_name)
    assert swept(engine, spool).failed_films == (job,)
    assert row(engine, job).state == FilmState.FAILED
    assert row(engine, job).reason.startswith("MISSING: ")
    assert kept(engine, spool) == job
    assert row(engine, job).state == FilmState.QUEUED
    assert spool.has(row(engine, job).spool_name)
    assert swept(engine, spool).failed_films == ()


def test_delivery_whose_result_is_gone_fails_with_the_reason(engine, spool):
    kept(engine, spool)
    [job] = claim(engine)
    spool.discard(read(engine, spool, job.id))
    assert len(swept(engine, spool).failed_deliveries) == 1
    with database.reading(engine) as connection:
        [delivery] = deliveries.of_film(connection, job.id)
    assert (delivery.state, delivery.reason.partition(":")[0]) == (DeliveryState.FAILED, "MISSING")


@contextlib.contextmanager
def lost_answers(engine, then_away):
    """The next commit goes through and its answer is lost; the database may be away after that."""
    state = {"lost": False}

    def lose(connection):
        if not state["lost"]:
            state["lost"] = True
            connection.connection.commit()
            raise OperationalError("COMMIT", {}, ConnectionError("answer lost"))

    def refuse(connection, *_):
        if state["lost"] and then_away:
            raise OperationalError("SELECT", {}, ConnectionError("away"))

    sqlalchemy_event.listen(engine, "commit", lose)
    sqlalchemy_event.listen(engine, "before_execute", refuse)
    yield
    sqlalchemy_event.remove(engine, "commit", lose)
    sqlalchemy_event.remove(engine, "before_execute", refuse)


def test_film_whose_commits_answer_was_lost_is_kept_and_acknowledged(engine, spool):
    with lost_answers(engine, then_away=False):
        queued = keep(arrive(spool), described(), engine, spool)
    assert queued.is_new
    assert spooled(spool) == [row(engine, queued.job).spool_name]


def test_row_that_a_lost_answer_left_without_its_film_gets_it_when_it_comes_again(engine, spool):
    with lost_answers(engine, then_away=True), pytest.raises(OperationalError):
        keep(arrive(spool), described(), engine, spool)
    assert spooled(spool) == []
    job = kept(engine, spool)
    assert spooled(spool) == [row(engine, job).spool_name]
    assert row(engine, job).state == FilmState.QUEUED


def test_film_that_kills_its_reader_costs_its_own_attempts_and_no_other_films_turn(engine, spool):
    jobs = [kept(engine, spool, number) for number in range(1, 41)]
    poison, deaths = jobs[17], 0
    while batch := claim(engine, 32, f"reader {deaths}"):
        assert len(batch) == 1 or {job.attempts for job in batch} == {1}
        if poison in [job.id for job in batch]:
            films.release_claims(engine, lambda _name: True, service.now(), 3)
            deaths += 1
            continue
        for job in batch:
            read(engine, spool, job.id, claimant=f"reader {deaths}")
    rows = [row(engine, job) for job in jobs]
    assert deaths == rows[17].attempts == 3
    assert [one.state for one in rows] == ["READ"] * 17 + ["FAILED"] + ["READ"] * 22
    assert max(one.attempts for one in rows if one.id != poison) == 2


def test_film_that_came_back_is_not_claimed_beside_others(engine, spool):
    for number in (1, 2):
        kept(engine, spool, number)
    claim(engine, 1)
    films.release_claims(engine, lambda _name: True, service.now(), 3)
    now = service.now()
    assert claims.claim(engine, "r", 9, now, now, has_other_films=True) == []
    assert [job.id for job in claims.claim(engine, "r", 9, now, now)] == [1]
    films.put_back(engine, [1], "r", now, "spool: No space left on device")
    assert row(engine, 1).attempts == 1


def test_what_was_sent_before_its_destination_was_asked_for_commitment_goes_too(engine, spool):
    kept(engine, spool)
    [job] = claim(engine)
    read(engine, spool, job.id)
    deliver(engine)
    later = service.now() + 31 * DAY
    assert retention.remove(engine, spool, later, 30 * DAY, 0, ["pacs"]) == 1


@pytest.mark.parametrize("committing", [(), ("pacs",)])
def test_files_go_when_delivered_and_old_and_the_job_says_when(engine, spool, committing):
    kept(engine, spool)
    [job] = claim(engine)
    read(engine, spool, job.id)
    later = service.now() + 31 * DAY

    def remove():
        return retention.remove(engine, spool, later, 30 * DAY, 0, committing)

    assert remove() == 0
    deliver(engine)
    with engine.begin() as connection:
        connection.execute(update(delivery).values(commitment_due_at=later))
    if committing:
        assert remove() == 0
        assert len(spooled(spool)) == 2
        with engine.begin() as connection:
            connection.execute(update(delivery).values(state="COMMITTED", commitment_due_at=None))
    assert remove() == 1
    assert spooled(spool) == []
    assert row(engine, job.id).files_removed_at == later
    assert remove() == 0
    assert kept(engine, spool) == job.id  # the same bytes again: no second job


@pytest.mark.parametrize("suffix", [".hl7", ".json"])
def test_a_message_is_swept_backed_up_and_removed_as_other_results_are(engine, spool, tmp_path, suffix):
    job = kept(engine, spool)
    claim(engine)
    name = spool.write_result("2.25.1", lambda file: file.write(b"message"), suffix)
    orphan = spool.write_result("2.25.2", lambda file: file.write(b"message"), suffix)
    new = [NewDelivery("ORU", "pacs", "", "2.25.1", name)]
    films.finish_read(engine, job, "r", service.now(), {"decision": "normal"}, new)
    assert swept(engine, spool).removed == (orphan,)
    assert backup.save(engine, spool, tmp_path / "backup", service.now(), ()) == (1, 2)
    assert (tmp_path / "backup" / name).read_bytes() == b"message"
    deliver(engine)
    assert retention.remove(engine, spool, service.now() + 31 * DAY, 30 * DAY, 0, ()) == 1
    assert spooled(spool) == []


def test_a_full_spool_loses_the_oldest_delivered_films_and_nothing_else(engine, spool):
    for number in range(1, 5):
        kept(engine, spool, number)
    for job in claim(engine)[:3]:
        read(engine, spool, job.id, ("pacs",) if job.id < 3 else ("gone",))
    deliver(engine)
    deliver(engine, "gone", DeliveryState.FAILED)
    now = service.now()
    assert retention.remove(engine, spool, now, 30 * DAY, 29, ()) == 1
    assert row(engine, 1).files_removed_at == now
    assert retention.remove(engine, spool, now, 30 * DAY, 1, ()) == 1
    assert [row(engine, job).files_removed_at for job in (3, 4)] == [None, None]
    assert len(spooled(spool)) == 3


def test_a_film_whose_file_was_removed_is_not_queued_again(engine, spool):
    kept(engine, spool)
    claim(engine)
    films.finish(engine, 1, "r", FilmState.SKIPPED, service.now(), "NOT_CHEST: found HIP")
    assert retention.remove(engine, spool, service.now() + 31 * DAY, 30 * DAY, 0, ()) == 1
    with pytest.raises(IllegalMove, match="removed"):
        films.requeue(engine, 1, "admin", service.now())


def test_file_whose_removal_a_crash_cut_short_is_swept(engine, spool, monkeypatch):
    kept(engine, spool)
    [job] = claim(engine)
    read(engine, spool, job.id)
    deliver(engine)
    monkeypatch.setattr(Spool, "discard", lambda self, name: None)
    retention.remove(engine, spool, service.now() + 31 * DAY, 30 * DAY, 0, ())
    monkeypatch.undo()
    assert len(swept(engine, spool).removed) == 2
    assert spooled(spool) == []


def test_check_is_red_when_the_chores_are_old(node):
    node.migrate()
    old = service.now() - datetime.timedelta(hours=4)
    for name in housekeeping.STALE_SECONDS:
        heartbeats.beat(node.engine, name, "xr1.0a1b2c3d:4711:1", old)
    done = node.firstread("check")
    [line] = [line for line in done.stdout.splitlines() if "processes" in line]
    assert done.returncode == 1
    assert line.startswith(
        "PROBLEM processes: no sign of life of housekeeping@xr1.0a1b2c3d:4711 for 60 s, "
        "monitoring@xr1.0a1b2c3d:4711 for 600 s, retention@xr1.0a1b2c3d:4711 for "
    )


def test_a_running_nodes_chores_give_signs_of_life_and_tell_what_they_swept(node):
    with node.running("read"):

        def beats():
            with database.reading(node.engine) as connection:
                return set(heartbeats.latest(connection)) >= set(housekeeping.STALE_SECONDS)

        servers.wait_until(beats, 30)
    assert "spool swept: 0 files kept" in node.log_text()


def test_a_chore_that_hangs_ends_its_process_so_that_its_later_runs_are_not_skipped(tmp_path, postgresql_url):
    node = Node(tmp_path, database_url=servers.fresh_database(postgresql_url))
    node.migrate()
    hasty = (
        "from daemon import cli, housekeeping;"
        "housekeeping.STALE_SECONDS.update(housekeeping=1.0);"
        f"cli.main(['--config', {str(node.config)!r}, 'send'])"
    )
    with node.engine.begin() as locker:
        locker.exec_driver_sql("LOCK TABLE film IN ACCESS EXCLUSIVE MODE")
        done = subprocess.run(
            [sys.executable, "-c", hasty], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "housekeeping hangs since" in done.stderr
    node.engine.dispose()


def test_what_was_acknowledged_before_a_backup_is_read_and_delivered_after_the_restore(
    tmp_path, pacs, film, chest
):
    """Films arrive while the copy is made; then everything is destroyed."""
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"model": {"version": "gao-2020-small"}})
    sent = [film(pixels=chest[::3, ::3] + number) for number in range(6)]
    with node.running("receive"):
        node.store(*sent[:4])
        done = node.firstread("backup", str(tmp_path / "backup"))
        node.store(*sent[4:])
    assert done.stdout == f"{tmp_path}/backup: 4 jobs, 4 files of films and results not delivered\n"
    node.engine.dispose()
    refused = node.firstread("restore", str(tmp_path / "backup"))
    assert (refused.returncode, "expected an empty spool" in refused.stderr) == (1, True)
    shutil.rmtree(tmp_path / "spool")
    for path in tmp_path.glob("firstread.db*"):
        path.unlink()
    assert node.firstread("restore", str(tmp_path / "backup")).stdout.startswith(
        "4 jobs and 4 files are back"
    )
    with node.running("read", "send"):
        rows = node.wait_for_ends(4, 60)
    assert [one.state for one in rows] == ["READ"] * 4
    assert len({result.SOPInstanceUID for result in pacs.received}) == 8
    node.engine.dispose()


def test_backup_has_what_is_not_delivered_and_goes_to_either_database(engine, spool, tmp_path):
    for number in range(1, 4):
        kept(engine, spool, number)
    for job in claim(engine, 2):
        read(engine, spool, job.id, ("pacs" if job.id == 1 else "gone",))
    deliver(engine)
    jobs, files = backup.save(engine, spool, tmp_path / "backup", service.now(), ())
    assert (jobs, files) == (3, 3)  # films 2 and 3, the result of 2
    with pytest.raises(BadBackup, match="not empty"):
        backup.save(engine, spool, tmp_path / "backup", service.now(), ())
    with pytest.raises(BadBackup, match="expected an empty spool"):
        backup.restore(engine, spool, tmp_path / "backup", service.now())
    with pytest.raises(BadBackup, match="expected an empty one"):
        backup.restore(engine, Spool(tmp_path / "other"), tmp_path / "backup", service.now())
    empty = database.open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    database.migrate(empty)
    back = Spool(tmp_path / "back")
    assert backup.restore(empty, back, tmp_path / "backup", service.now()) == (3, 3)
    assert len(spooled(back)) == 3
    assert [row(empty, job).state for job in (1, 2, 3)] == ["READ", "READ", "QUEUED"]
    assert [bool(row(empty, job).files_removed_at) for job in (1, 2, 3)] == [True, False, False]
    assert kept(empty, back, 4) == 4
    empty.dispose()


def test_backup_goes_back_into_postgresql(spool, tmp_path, postgresql_url):
    here, there = (
        database.open_engine(url)
        for url in (f"sqlite:///{tmp_path / 'here.db'}", servers.fresh_database(postgresql_url))
    )
    for one in (here, there):
        database.migrate(one)
    kept(here, spool)
    backup.save(here, spool, tmp_path / "backup", service.now(), ())
    backup.restore(there, Spool(tmp_path / "back"), tmp_path / "backup", service.now())
    assert kept(there, spool, 2) == 2
    assert [row(there, job).state for job in (1, 2)] == ["QUEUED", "QUEUED"]
    for one in (here, there):
        one.dispose()


def test_damaged_or_unfinished_backup_is_not_restored(engine, spool, tmp_path):
    kept(engine, spool)
    folder = tmp_path / "backup"
    backup.save(engine, spool, folder, service.now(), ())
    [copy] = folder.glob("films/*/*.dcm")
    copy.unlink()
    copy.write_bytes(b"other")
    back = Spool(tmp_path / "back")
    with pytest.raises(BadBackup, match="damaged"):
        backup.restore(engine, back, folder, service.now())
    (folder / "index.json").unlink()
    with pytest.raises(BadBackup, match="finished"):
        backup.restore(engine, back, folder, service.now())
    assert spooled(back) == []
