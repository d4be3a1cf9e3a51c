"""storage/films.py, storage/deliveries.py, storage/database.py on SQLite and on PostgreSQL."""

import dataclasses
import datetime
import os
import shutil
import subprocess
import sys
import threading
from importlib.resources import files

import foreign
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import false, insert, inspect, select, text

from daemon import service
from storage import claims, database, deliveries, events, films
from storage.deliveries import NewDelivery
from storage.films import ReadFilm, ReceivedFilm
from storage.states import DELIVERY_MOVES, FILM_MOVES, DeliveryState, FilmState, IllegalMove, LostClaim
from storage.tables import film, metadata

NOW = datetime.datetime(2026, 11, 25, 0, 0, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=5)
READING = {"decision": "normal", "step1": [0.9, 0.05, 0.05]}


def received(uid: str = "1.2.3", digest: str = "a" * 64) -> ReceivedFilm:
    return ReceivedFilm(
        uid, "1.2", "1.5", "A1", "CR", "1.2.840.10008.1.2.1", digest, 10,
        f"films/aa/{digest[:32]}.dcm", "MOD", "FIRSTREAD", "127.0.0.1",
    )  # fmt: skip


def result(kind: str = "SC", destination: str = "pacs") -> NewDelivery:
    return NewDelivery(kind, destination, "1.2", f"2.25.{len(kind)}{ord(kind[-1])}", "results/bb/" + "b" * 64)


def nobody_is_gone(_claimant):
    return False


def state_of(engine, job):
    with database.reading(engine) as connection:
        return films.get(connection, job).state


def test_every_state_is_in_its_table_of_moves():
    assert set(FILM_MOVES) == set(FilmState)
    assert set(DELIVERY_MOVES) == set(DeliveryState)


def test_database_refuses_a_state_that_the_life_cycle_does_not_have(engine):
    job = films.enqueue(engine, received(), NOW).job
    with pytest.raises(Exception, match=r"(?i)state_known"), engine.begin() as connection:
        connection.execute(film.update().where(film.c.id == job).values(state="DONE"))


def test_the_same_bytes_again_make_no_second_job(engine):
    first = films.enqueue(engine, received(), NOW)
    second = films.enqueue(engine, received(), LATER)
    assert (first.is_new, second.is_new, second.job) == (True, False, first.job)


def test_other_bytes_under_the_same_uid_are_kept_apart_and_shown(engine):
    first = films.enqueue(engine, received(), NOW)
    second = films.enqueue(engine, received(digest="b" * 64), LATER)
    assert second.conflict_with == first.job
    with database.reading(engine) as connection:
        row = films.get(connection, second.job)
    assert row.state == FilmState.QUEUED
    assert f"job {first.job}" in row.reason
    assert state_of(engine, first.job) == FilmState.QUEUED


def test_one_film_is_claimed_by_one_reader_only(engine):
    for number in range(40):
        films.enqueue(engine, received(f"1.2.{number}", f"{number:064x}"), NOW)
    claimed: list[int] = []

    def reader(name):
        while batch := claims.claim(engine, name, 3, NOW, LATER):
            claimed.extend(job.id for job in batch)

    threads = [threading.Thread(target=reader, args=(f"reader {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 40 == len(set(claimed))


def test_claims_come_oldest_first_and_count_attempts(engine):
    jobs = [films.enqueue(engine, received(f"1.2.{n}", f"{n:064x}"), NOW).job for n in range(3)]
    claimed = claims.claim(engine, "r", 2, NOW, LATER)
    assert [job.id for job in claimed] == jobs[:2]
    assert [job.attempts for job in claimed] == [1, 1]


def test_a_film_that_someone_else_moved_is_not_moved_again(engine):
    job = films.enqueue(engine, received(), NOW).job
    claims.claim(engine, "first", 1, NOW, LATER)
    with pytest.raises(LostClaim):
        films.finish(engine, job, "second", FilmState.FAILED, NOW, "no")
    with pytest.raises(LostClaim):
        films.finish_read(engine, job, "second", NOW, READING, [result()])
    assert state_of(engine, job) == FilmState.READING
    with database.reading(engine) as connection:
        assert deliveries.of_film(connection, job) == []


def test_of_films_read_together_the_one_that_someone_else_moved_is_left_and_named(engine):
    jobs = [films.enqueue(engine, received(f"1.2.{n}", f"{n:064x}"), NOW).job for n in range(3)]
    claims.claim(engine, "r", 3, NOW, LATER)
    films.put_back(engine, [jobs[1]], "r", NOW, "elsewhere")
    claims.claim(engine, "other", 1, NOW, LATER)
    kinds = ("SC", "SR", "PR")
    read = [ReadFilm(job, NOW, READING, [result(kind)]) for job, kind in zip(jobs, kinds, strict=True)]
    lost = films.finish_all_read(engine, "r", read)
    assert set(lost) == {jobs[1]}
    assert str(lost[jobs[1]]) == f"job {jobs[1]} is no longer READING by r; someone else moved it"
    assert [state_of(engine, job) for job in jobs] == [FilmState.READ, FilmState.READING, FilmState.READ]
    with database.reading(engine) as connection:
        assert [len(deliveries.of_film(connection, job)) for job in jobs] == [1, 0, 1]


def test_a_film_that_kills_its_reader_fails_after_the_attempts_are_used_up(engine):
    job = films.enqueue(engine, received(), NOW).job
    for _ in range(2):
        claims.claim(engine, "r", 1, NOW, LATER)
        assert films.release_claims(engine, nobody_is_gone, NOW, 2) == []
        moved = films.release_claims(engine, nobody_is_gone, LATER + datetime.timedelta(seconds=1), 2)
    assert moved == [(job, FilmState.FAILED)]
    with database.reading(engine) as connection:
        assert "attempt 2 of 2" in films.get(connection, job).reason


def test_the_work_of_a_process_that_is_gone_comes_back_before_its_claim_lapses(engine):
    job = films.enqueue(engine, received(), NOW).job
    claims.claim(engine, "gone", 1, NOW, LATER)
    assert films.release_claims(engine, lambda name: name == "other", NOW, 3) == []
    assert films.release_claims(engine, lambda name: name == "gone", NOW, 3) == [(job, FilmState.QUEUED)]


def test_a_claimant_is_gone_only_when_its_process_is():
    me = service.claimant("read")
    assert not service.is_gone(me)
    assert not service.is_gone(me.replace("@", "@another-host-"))
    assert service.is_gone(me + "1")
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert service.is_gone(me.replace(f":{os.getpid()}:", f":{ended.pid}:"))


def test_of_a_container_whose_host_name_is_ours_nothing_is_known():
    if os.geteuid() or not shutil.which("unshare"):
        foreign.missing("only root may make a PID namespace, by unshare of util-linux")
    code = "from daemon import service; print(service.claimant('read'))"
    inside = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert inside.partition(".")[0] == service.claimant("read").partition(".")[0]
    assert not service.is_gone(inside)
    assert len(inside) <= film.c.claimed_by.type.length


def test_a_renewed_claim_does_not_lapse(engine):
    job = films.enqueue(engine, received(), NOW).job
    claims.claim(engine, "r", 1, NOW, LATER)
    claims.renew(engine, [job], "r", LATER + datetime.timedelta(hours=1))
    assert films.release_claims(engine, nobody_is_gone, LATER + datetime.timedelta(minutes=1), 3) == []


def test_films_at_an_end_can_be_requeued(engine):
    job = films.enqueue(engine, received(), NOW).job
    with pytest.raises(IllegalMove):
        films.requeue(engine, job, "admin", NOW)
    claims.claim(engine, "r", 1, NOW, LATER)
    films.finish(engine, job, "r", FilmState.SKIPPED, NOW, "NOT_CHEST: found HIP, expected CHEST")
    films.requeue(engine, job, "admin", LATER)
    assert claims.claim(engine, "r", 1, LATER, LATER)[0].attempts == 1
    with pytest.raises(LookupError):
        films.requeue(engine, 999, "admin", NOW)


def read_one(engine, destinations=("pacs",)):
    job = films.enqueue(engine, received(), NOW).job
    claims.claim(engine, "r", 1, NOW, LATER)
    new = [result(kind, destination) for destination in destinations for kind in ("SC", "SR")]
    films.finish_read(engine, job, "r", NOW, READING, new)
    return job


def test_a_skipped_film_may_have_a_report_to_be_delivered_and_has_it_once(engine):
    job = films.enqueue(engine, received(), NOW).job
    report = [result("NA", destination) for destination in ("pacs", "archive")]
    for _ in range(2):
        claims.claim(engine, "r", 1, NOW, LATER)
        films.finish(engine, job, "r", FilmState.SKIPPED, NOW, "NOT_FRONTAL: found LL", report)
        films.requeue(engine, job, "admin", NOW)
    with database.reading(engine) as connection:
        rows = deliveries.of_film(connection, job)
    assert [(row.kind, row.destination, row.state) for row in rows] == [
        ("NA", "pacs", "PENDING"),
        ("NA", "archive", "PENDING"),
    ]
    with pytest.raises(LostClaim):
        films.finish(engine, job, "r", FilmState.SKIPPED, NOW, "", [result("NA", "third")])
    with database.reading(engine) as connection:
        assert len(deliveries.of_film(connection, job)) == 2


def test_a_read_film_has_one_delivery_for_each_result_and_destination(engine):
    job = read_one(engine, ("pacs", "archive"))
    with database.reading(engine) as connection:
        rows = deliveries.of_film(connection, job)
        assert films.get(connection, job).reading == READING
    assert [(row.kind, row.destination, row.state) for row in rows] == [
        ("SC", "pacs", "PENDING"),
        ("SR", "pacs", "PENDING"),
        ("SC", "archive", "PENDING"),
        ("SR", "archive", "PENDING"),
    ]


def test_a_delivery_waits_longer_after_each_refusal_and_keeps_its_uid(engine):
    read_one(engine)
    now, waits, uids = NOW, [], set()
    for _ in range(4):
        one = deliveries.claim(engine, "pacs", "s", 1, now, now + datetime.timedelta(minutes=1))[0]
        uids.add(one.sop_instance_uid)
        deliveries.finish(engine, "s", [deliveries.Finished(one, DeliveryState.PENDING, now, 0xA700, "full")])
        with database.reading(engine) as connection:
            row = next(row for row in deliveries.of_film(connection, one.film_id) if row.id == one.id)
        waits.append((row.next_attempt_at - now).total_seconds())
        assert deliveries.claim(engine, "none", "s", 1, now, now) == []
        now = row.next_attempt_at
        other = deliveries.claim(engine, "pacs", "t", 5, NOW, now)
        for held in other:
            deliveries.finish(
                engine, "t", [deliveries.Finished(held, DeliveryState.FAILED, NOW, 0xC000, "refused")]
            )
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
    assert len(uids) == 1


def test_a_lapsed_delivery_is_sent_again(engine):
    read_one(engine)
    claimed = deliveries.claim(engine, "pacs", "s", 5, NOW, LATER)
    assert len(claimed) == 2
    deliveries.renew(engine, [claimed[1].id], "s", LATER + datetime.timedelta(hours=1))
    assert deliveries.release_claims(engine, nobody_is_gone, LATER + datetime.timedelta(seconds=1)) == [
        claimed[0].id
    ]
    lapsed, mine = (deliveries.Finished(one, DeliveryState.SENT, NOW, 0, "") for one in claimed)
    assert deliveries.finish(engine, "s", [lapsed, mine]) == [lapsed]
    with database.reading(engine) as connection:
        rows = deliveries.of_film(connection, claimed[0].film_id)
    assert [row.state for row in rows] == ["PENDING", "SENT"]


def test_failed_deliveries_can_be_requeued(engine):
    job = read_one(engine)
    for one in deliveries.claim(engine, "pacs", "s", 5, NOW, LATER):
        deliveries.finish(
            engine, "s", [deliveries.Finished(one, DeliveryState.FAILED, NOW, 0xA900, "refused")]
        )
    assert deliveries.claim(engine, "pacs", "s", 5, LATER, LATER) == []
    assert deliveries.requeue_failed(engine, job, "admin", LATER) == 2
    assert len(deliveries.claim(engine, "pacs", "s", 5, LATER, LATER)) == 2


def test_a_film_read_again_by_the_same_model_gets_no_second_delivery(engine):
    job = read_one(engine)
    with engine.begin() as connection:
        deliveries.insert(connection, job, [result("SC"), result("SR")], LATER)
        assert len(deliveries.of_film(connection, job)) == 2


def test_history_tells_every_move_in_order(engine):
    job = read_one(engine)
    with database.reading(engine) as connection:
        moves = [(row.from_state, row.to_state, row.kind) for row in events.of_film(connection, job)]
        newest = events.newest(connection, 0, 2)
        sent = events.newest(connection, 0, 10, "READ")
    assert moves == [
        (None, "QUEUED", None),
        ("QUEUED", "READING", None),
        ("READING", "READ", None),
        (None, "PENDING", "SC"),
        (None, "PENDING", "SR"),
    ]
    assert [row.kind for row in newest] == ["SC", "SR"]
    assert len(sent) == 1
    assert sent[0].at == NOW


def test_migrated_schema_is_the_one_the_tables_describe(engine):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        # What the tables leave to the migrations.
        partial = {
            index["name"]: str(index["dialect_options"][f"{engine.name}_where"])
            for table in ("film", "delivery")
            for index in inspect(connection).get_indexes(table)
            if index.get("dialect_options", {}).get(f"{engine.name}_where") is not None
        }
    assert "QUEUED" in partial.pop("ix_film_state_id")
    assert "FAILED" in partial.pop("ix_delivery_failed")
    assert not partial


def test_a_database_of_the_first_schema_keeps_its_deliveries_when_it_is_migrated(engine):
    from alembic import command
    from alembic.config import Config

    read_one(engine)
    config = Config()
    config.set_main_option("script_location", str(files("storage.migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert "destination" not in inspect(engine).get_table_names()
    with engine.begin() as connection:
        # An admin's view stands in nobody's way.
        connection.exec_driver_sql("CREATE VIEW waiting AS SELECT id, state FROM delivery")
    database.migrate(engine)
    claimed = deliveries.claim(engine, "pacs", "s", 5, NOW, LATER)
    assert len(claimed) == 2
    deliveries.finish(engine, "s", [deliveries.Finished(claimed[0], DeliveryState.SENT, NOW, 0, "", LATER)])
    with database.reading(engine) as connection:
        rows = deliveries.of_film(connection, claimed[0].film_id)
    assert [(row.commitment_due_at, row.commitment_requests, row.resends) for row in rows] == [
        (LATER, 0, 0),
        (None, 0, 0),
    ]


def test_a_newer_schema_is_refused_with_what_to_do(engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(database.NewerSchema, match="schema 9999, newer than 0"):
        database.migrate(engine)


def test_a_database_that_is_away_is_one_clear_error(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'none' / 'db'}")
    with pytest.raises(database.DatabaseUnavailable, match="unable to open"):
        database.migrate(engine)


def test_processes_that_start_together_migrate_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'db'}"
    errors = []

    def start():
        try:
            engine = database.open_engine(url)
            database.migrate(engine)
            engine.dispose()
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    engine = database.open_engine(url)
    assert "film" in inspect(engine).get_table_names()
    engine.dispose()


def test_sqlite_keeps_a_commit_through_power_loss(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'db'}")
    with database.reading(engine) as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    engine.dispose()


def test_claims_stay_fast_behind_many_finished_films(engine):
    rows = [
        dataclasses.asdict(received(f"1.9.{n}", f"{n:064x}"))
        | {"state": "READ", "received_at": NOW, "changed_at": NOW}
        for n in range(2000)
    ]
    with engine.begin() as connection:
        connection.execute(insert(film), rows)
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        connection.execute(text("ANALYZE"))
        queued = select(film.c.id).where(film.c.state == "QUEUED", film.c.retrospective == false())
        came_back = queued.where(film.c.attempts > 0).order_by(film.c.attempts, film.c.id).limit(1)
        never_tried = queued.where(film.c.attempts == 0).order_by(film.c.id).limit(8)
        plans = [
            connection.exec_driver_sql(
                f"{explain} {query.compile(engine, compile_kwargs={'literal_binds': True})}"
            ).all()
            for query in (came_back, never_tried)
        ]
    for plan in plans:
        assert "ix_film_state_" in str(plan)
        assert "sort" not in str(plan).lower()
        assert "temp b-tree" not in str(plan).lower()


def test_writers_go_on_while_somebody_reads(engine):
    with database.reading(engine) as connection:
        assert events.newest(connection, 0, 2) == []
        films.enqueue(engine, received(), NOW)
        assert [row.to_state for row in events.newest(connection, 0, 2)] == ["QUEUED"]


def test_look_at_the_schema_changes_nothing_and_names_what_is_missing(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'firstread.db'}")
    with pytest.raises(database.SchemaMissing, match="not made yet"):
        database.require_schema(engine)
    assert list(tmp_path.iterdir()) == []
    with engine.connect():
        pass
    with pytest.raises(database.SchemaMissing, match="found schema none"):
        database.require_schema(engine)
    database.migrate(engine)
    database.require_schema(engine)
    engine.dispose()


def test_files_of_the_migrations_begin_with_their_revisions():
    scripts = ScriptDirectory(str(files("storage.migrations")))
    assert database.revisions() == {script.revision for script in scripts.walk_revisions()}
    assert max(database.revisions()) == scripts.get_current_head()
