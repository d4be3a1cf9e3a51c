"""The views of etc/ in the programs an admin uses, over rows that the storage functions made."""

import csv
import datetime
import os
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import foreign
import pytest

from storage import claims, deliveries, destinations, films
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.states import DeliveryState, FilmState

ETC = Path(__file__).parents[1] / "etc"
NOW = datetime.datetime.now(datetime.UTC)
EARLIER = NOW - datetime.timedelta(minutes=20)
ZONE = "Pacific/Auckland"


@pytest.fixture
def admin(engine):
    """A function that runs SQL in the database's own shell; rows as dictionaries of text."""
    url = engine.url
    environment = os.environ | {"TZ": ZONE, "PGTZ": ZONE}
    if engine.dialect.name == "sqlite":
        shell = [foreign.require("sqlite3", "sqlite3"), "-bail", "-csv", "-header", url.database]
        views = ETC / "firstread.sql"
    else:
        shell = [
            foreign.require("psql", "postgresql-client"), "--csv", "--quiet", "-v", "ON_ERROR_STOP=1",
            "-h", url.query["host"], "-p", url.query["port"], "-U", url.username, url.database,
        ]  # fmt: skip
        views = ETC / "firstread-postgresql.sql"

    def ask(sql: str) -> list[dict[str, str]]:
        done = subprocess.run(shell, input=sql, capture_output=True, text=True, env=environment, check=False)
        # psql says in a notice that a view to drop was not there.
        complaints = [line for line in done.stderr.splitlines() if "NOTICE" not in line]
        assert (done.returncode, complaints) == (0, [])
        return list(csv.DictReader(done.stdout.splitlines()))

    ask(views.read_text(encoding="utf-8"))
    ask(views.read_text(encoding="utf-8"))  # loaded again, as after an upgrade
    return ask


def enqueue(engine, number: int, at: datetime.datetime = NOW) -> int:
    received = ReceivedFilm(
        f"1.2.{number}", "1.2", "1.5", f"A{number}", "CR", "1.2.840.10008.1.2.1", f"{number:064x}", 10,
        f"films/aa/{number:032x}.dcm", "MODALITY", "FIRSTREAD", "127.0.0.1",
    )  # fmt: skip
    return films.enqueue(engine, received, at).job


def read(engine, number: int, *kinds: str, at: datetime.datetime = NOW) -> int:
    """A film that is READ with a PENDING delivery of each kind."""
    job = enqueue(engine, number, at)
    claims.claim(engine, "read@host:1", 1, at, at)
    new = [
        NewDelivery(kind, "pacs", "1.2", f"2.25.{number}{index}", f"results/bb/{number:064x}.dcm")
        for index, kind in enumerate(kinds)
    ]
    films.finish_read(engine, job, "read@host:1", at, {"decision": "normal"}, new)
    return job


def send(engine, state: DeliveryState, status: int | None, reason: str, at: datetime.datetime = NOW) -> None:
    (one,) = deliveries.claim(engine, "pacs", "send-pacs@host:2", 1, at, at)
    deliveries.finish(engine, "send-pacs@host:2", [deliveries.Finished(one, state, at, status, reason)])


def just_now() -> datetime.datetime:
    """For what the views hold against their own clock; NOW is from when the tests were collected."""
    return datetime.datetime.now(datetime.UTC)


def local(at: datetime.datetime) -> str:
    """How the views write a time."""
    return at.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S")


def test_job_tail_has_the_last_fifty_moves_newest_last(engine, admin):
    job = read(engine, 0, "SC")
    for number in range(1, 60):
        enqueue(engine, number)
    send(engine, DeliveryState.SENT, 0xB000, "warning, status 0xB000")
    rows = admin("SELECT * FROM job_tail")
    assert len(rows) == 50
    assert rows[-1] == {
        "at": local(NOW), "job": str(job), "what": "SC to pacs", "from_state": "SENDING", "to_state": "SENT",
        "who": "send-pacs@host:2", "message": "warning, status 0xB000",
    }  # fmt: skip


def test_job_today_counts_the_results_of_each_film(engine, admin):
    today = just_now()
    enqueue(engine, 1, today - datetime.timedelta(days=2))
    job = enqueue(engine, 2, today)
    assert admin("SELECT * FROM job_today") == [
        {
            "received_at": local(today), "job": str(job), "calling_ae_title": "MODALITY",
            "accession_number": "A2", "state": "QUEUED", "decision": "", "reason": "",
            "results_sent": "0", "results_waiting": "0", "results_failed": "0",
        }
    ]  # fmt: skip


def test_job_today_tells_sent_from_waiting_and_failed(engine, admin):
    today = just_now()
    read(engine, 1, "SC", "SR", "PR", at=today)
    send(engine, DeliveryState.SENT, 0, "", today)
    send(engine, DeliveryState.FAILED, 0xA900, "status 0xA900", today)
    (row,) = admin("SELECT decision, results_sent, results_waiting, results_failed FROM job_today")
    assert list(row.values()) == ["normal", "1", "1", "1"]


def test_nothing_is_stuck_that_is_claimed_or_not_yet_due(engine, admin):
    not_yet_due = just_now() - datetime.timedelta(minutes=9)
    enqueue(engine, 1, EARLIER)
    claims.claim(engine, "read@host:1", 1, EARLIER, just_now() + datetime.timedelta(minutes=5))
    read(engine, 2, "SC", at=not_yet_due)
    enqueue(engine, 3, not_yet_due)
    assert admin("SELECT * FROM stuck") == []


def test_film_whose_claim_lapsed_is_stuck(engine, admin):
    job = enqueue(engine, 1, EARLIER)
    claims.claim(engine, "read@host:1", 1, EARLIER, NOW - datetime.timedelta(seconds=2))
    (row,) = admin("SELECT * FROM stuck")
    said = row.pop("what_to_do")
    assert row == {
        "since": local(EARLIER), "job": str(job), "what": "film", "state": "READING",
        "claimed_by": "read@host:1",
    }  # fmt: skip
    assert "firstread-read" in said


def test_film_that_nobody_reads_is_stuck_after_ten_minutes(engine, admin):
    job = enqueue(engine, 1, NOW - datetime.timedelta(minutes=11))
    (row,) = admin("SELECT job, state, what_to_do FROM stuck")
    assert (row["job"], row["state"]) == (str(job), "QUEUED")
    assert "firstread-read" in row["what_to_do"]


def test_delivery_whose_claim_lapsed_and_one_that_nobody_sends_are_stuck(engine, admin):
    job = read(engine, 1, "SC", "SR", at=EARLIER)
    deliveries.claim(engine, "pacs", "send-pacs@host:2", 1, EARLIER, NOW - datetime.timedelta(seconds=2))
    rows = admin("SELECT * FROM stuck ORDER BY what")
    assert [(row["job"], row["what"], row["state"]) for row in rows] == [
        (str(job), "SC to pacs", "SENDING"),
        (str(job), "SR to pacs", "PENDING"),
    ]
    assert all(row["since"] == local(EARLIER) for row in rows)
    assert "firstread-send" in rows[1]["what_to_do"] and rows[1]["what_to_do"].endswith("destination pacs")


def test_result_of_a_destination_that_is_down_is_stuck_for_that_reason(engine, admin):
    read(engine, 1, "SC", at=EARLIER)
    destinations.went_down(engine, "pacs", "send-pacs@host:2", EARLIER, "no association")
    (row,) = admin("SELECT what, what_to_do FROM stuck")
    assert row == {
        "what": "SC to pacs", "what_to_do": "it takes nothing now: see view destinations for its last error",
    }  # fmt: skip


def test_result_whose_commitment_nobody_asks_for_is_stuck(engine, admin):
    job = read(engine, 1, "SC", "SR", at=EARLIER)
    for due_at in (EARLIER, just_now()):
        (one,) = deliveries.claim(engine, "pacs", "s", 1, EARLIER, EARLIER)
        deliveries.finish(engine, "s", [deliveries.Finished(one, DeliveryState.SENT, EARLIER, 0, "", due_at)])
    (row,) = admin("SELECT * FROM stuck")
    assert (row["job"], row["what"], row["state"], row["since"]) == (
        str(job), "SC to pacs", "SENT", local(EARLIER),
    )  # fmt: skip
    assert row["what_to_do"].startswith("nobody asks for its commitment: see that firstread-send runs")


def test_destinations_tells_since_when_each_takes_nothing_why_and_what_waits(engine, admin):
    read(engine, 1, "SC", "SR", "PR", at=EARLIER)
    (one,) = deliveries.claim(engine, "pacs", "s", 1, EARLIER, EARLIER)
    deliveries.finish(engine, "s", [deliveries.Finished(one, DeliveryState.SENT, EARLIER, 0, "", NOW)])
    send(engine, DeliveryState.FAILED, 0xA900, "status 0xA900", EARLIER)
    destinations.answered(engine, "pacs", EARLIER, True)
    destinations.answered(engine, "archive", EARLIER, True)
    destinations.went_down(engine, "pacs", "s", NOW, "no association")
    archive, pacs = admin("SELECT * FROM destinations")
    assert pacs.pop("next_probe_at") > local(NOW)
    assert pacs == {
        "name": "pacs", "state": "DOWN", "since": local(NOW), "results_waiting": "1",
        "results_not_committed": "1", "results_failed": "1", "last_success_at": local(EARLIER),
        "last_error_at": local(NOW), "last_error": "no association",
    }  # fmt: skip
    assert (archive["state"], archive["results_waiting"], archive["last_error"]) == ("UP", "0", "")


def test_failed_tells_films_and_deliveries_with_the_peers_status_in_hexadecimal(engine, admin):
    film = enqueue(engine, 1, EARLIER)
    claims.claim(engine, "read@host:1", 1, EARLIER, EARLIER)
    films.finish(engine, film, "read@host:1", FilmState.FAILED, EARLIER, "UNREADABLE: found no pixels")
    result = read(engine, 2, "SC", "SR")
    send(engine, DeliveryState.FAILED, 0x0122, "status 0x0122")
    send(engine, DeliveryState.FAILED, None, "given up after 72 hours")
    assert [list(row.values()) for row in admin("SELECT * FROM failed")] == [
        [local(EARLIER), str(film), "film", "1", "", "UNREADABLE: found no pixels"],
        [local(NOW), str(result), "SC to pacs", "1", "0x0122", "status 0x0122"],
        [local(NOW), str(result), "SR to pacs", "1", "", "given up after 72 hours"],
    ]


def test_views_of_both_databases_have_the_same_columns_in_the_same_order():
    names = [
        [
            line.split(" AS ")[-1].strip(" ,")
            for line in path.read_text(encoding="utf-8").splitlines()
            if " AS " in line
        ]
        for path in (ETC / "firstread.sql", ETC / "firstread-postgresql.sql")
    ]
    assert names[0] == names[1]
