"""storage/backfills.py, and the order of claims, on both databases."""

import dataclasses
import datetime

import plans
import pytest
from sqlalchemy import select
from test_jobs import received

from storage import backfills, claims, database, deliveries, films, tables
from storage.backfills import AlreadyRunning, FoundInstance, Question
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm

NOW = datetime.datetime(2026, 11, 25, 1, 20, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
FIRST, LAST = datetime.date(2026, 1, 1), datetime.date(2026, 1, 31)
QUESTION = Question("PACS", FIRST, LAST, ("CR", "DX"))


def begin(engine, question=QUESTION, is_open=False, claimant="backfill@host:1", now=NOW, gone=()):
    return backfills.begin(engine, question, is_open, claimant, gone.__contains__, now, now + HOUR)


def found(number: int, series: str = "1.2.3") -> FoundInstance:
    return FoundInstance("1.2", series, f"1.2.3.{number}")


def film(number: int, **changes) -> ReceivedFilm:
    values = {"sop_instance_uid": f"1.2.3.{number}", "digest": f"{number:064x}"} | changes
    return ReceivedFilm(
        sop_class_uid="1.2", study_instance_uid="1.2", accession_number="", modality="CR",
        transfer_syntax_uid="1.2.840.10008.1.2.1", size_bytes=10, spool_name=f"films/{number}",
        calling_ae_title="PACS", called_ae_title="FIRSTREAD", peer_address="127.0.0.1", **values,
    )  # fmt: skip


def counts(engine, number):
    with database.reading(engine) as connection:
        return dict(backfills.counts(connection, number))


def test_the_same_question_goes_on_with_what_is_not_finished_and_begins_anew_afterwards(engine):
    first = begin(engine)
    assert not first.is_resumed
    backfills.release(engine, first.id, NOW, is_finished=False)
    assert begin(engine).id == first.id
    backfills.release(engine, first.id, NOW, is_finished=True)
    assert begin(engine).id != first.id


def test_an_open_question_goes_on_to_the_day_that_it_began_with(engine):
    first = begin(engine)
    backfills.release(engine, first.id, NOW, is_finished=False)
    later = Question("PACS", FIRST, LAST + datetime.timedelta(days=3), ("CR", "DX"))
    resumed = begin(engine, later, is_open=True)
    assert (resumed.id, resumed.question) == (first.id, QUESTION)
    backfills.release(engine, first.id, NOW, is_finished=False)
    assert begin(engine, later).id != first.id


def test_two_processes_do_not_ask_at_once_unless_the_first_is_gone_or_silent(engine):
    first = begin(engine)
    with pytest.raises(
        AlreadyRunning, match="backfill@host:1 is at the backfill of 2026-01-01 to 2026-01-31"
    ):
        begin(engine, claimant="other")
    assert begin(engine, claimant="other", gone=["backfill@host:1"]).id == first.id
    assert begin(engine, claimant="third", now=NOW + 2 * HOUR).id == first.id


def test_what_is_here_is_not_asked_for_and_the_rest_series_by_series(engine):
    films.enqueue(engine, film(1), NOW)
    one = begin(engine).id
    backfills.add_day(engine, one, FIRST, [found(1), found(2), found(3), found(4, "1.2.4"), found(5)], NOW)
    assert counts(engine, one) == {"KNOWN": 1, "FOUND": 4}
    films.enqueue(engine, film(3), NOW)  # by itself, meanwhile
    asked = backfills.ask_next(engine, one, 2, NOW)
    assert [(row.sop_instance_uid, row.attempts) for row in asked] == [("1.2.3.2", 1)]
    assert [row.sop_instance_uid for row in backfills.ask_next(engine, one, 9, NOW)] == ["1.2.3.4"]
    assert [row.sop_instance_uid for row in backfills.ask_next(engine, one, 9, NOW)] == ["1.2.3.5"]
    assert backfills.ask_next(engine, one, 9, NOW) == []
    with database.reading(engine) as connection:
        assert backfills.days_named(connection, one) == {FIRST}
        assert connection.scalar(select(backfills.is_asked_for("1.2.3.2")))
        assert not connection.scalar(select(backfills.is_asked_for("1.2.3.3")))


def test_what_does_not_come_is_asked_for_again_later_and_fails_after_three_attempts(engine):
    one = begin(engine).id
    backfills.add_day(engine, one, FIRST, [found(1), found(2)], NOW)
    now = NOW
    for attempt in (1, 2, 3):
        asked = backfills.ask_next(engine, one, 9, now)
        assert [row.attempts for row in asked] == [attempt] * len(asked)
        assert backfills.ask_next(engine, one, 9, now) == []
        if attempt == 1:
            films.enqueue(engine, film(1), NOW)
        assert backfills.settle(engine, one, now, "status 0xC001") == (1 if attempt == 1 else 0)
        assert backfills.ask_next(engine, one, 9, now) == []
        now += HOUR
    assert counts(engine, one) == {"ARRIVED": 1, "FAILED": 1}
    with database.reading(engine) as connection:
        assert backfills.failures(connection, one) == {"status 0xC001": 1}
        assert backfills.next_attempt_at(connection, one) is None


def test_a_resumed_backfill_knows_what_came_and_counts_no_attempt_of_the_rest(engine):
    one = begin(engine).id
    backfills.add_day(engine, one, FIRST, [found(1), found(2)], NOW)
    backfills.ask_next(engine, one, 9, NOW)
    films.enqueue(engine, film(1), NOW)
    begin(engine, gone=["backfill@host:1"])
    assert counts(engine, one) == {"ARRIVED": 1, "FOUND": 1}
    assert [row.attempts for row in backfills.ask_next(engine, one, 9, NOW)] == [1]


def test_films_in_hand_are_those_not_read_or_not_delivered(engine):
    result = NewDelivery("SC", "pacs", "1.2", "1.9", "results/x.dcm")
    films.enqueue(engine, film(1), NOW)
    for number in (2, 3):
        films.enqueue(engine, film(number, retrospective=True), NOW)

    def in_hand(*destinations):
        with database.reading(engine) as connection:
            return backfills.in_hand(connection, destinations)

    assert in_hand("pacs") == 2
    claims.claim(engine, "r", 9, NOW, NOW)
    claims.claim(engine, "r", 1, NOW, NOW)
    assert in_hand("pacs") == 2
    films.finish_read(engine, 2, "r", NOW, {"decision": "normal"}, [result])
    assert (in_hand("pacs"), in_hand("another")) == (2, 1)
    (sending,) = deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + HOUR)
    deliveries.finish(engine, "s", [deliveries.Finished(sending, "SENT", NOW, 0, "")])
    assert in_hand("pacs") == 1


def test_retrospective_films_are_claimed_when_there_is_no_other_and_no_more_than_their_limit(engine):
    for number in range(1, 5):
        films.enqueue(engine, film(number, retrospective=True), NOW)
    films.enqueue(engine, received(), NOW)

    def claimed(*arguments):
        return [(job.id, job.retrospective) for job in claims.claim(engine, "r", 9, NOW, NOW, *arguments)]

    assert claimed(False, 2) == [(5, False)]
    assert claimed(False, 0) == []
    assert claimed(True, 2) == [(1, True), (2, True)]
    assert claimed() == [(3, True), (4, True)]


def test_a_retrospective_film_that_came_back_waits_for_live_ones(engine):
    films.enqueue(engine, film(1, retrospective=True), NOW)
    claims.claim(engine, "r", 1, NOW, NOW)
    films.release_claims(engine, lambda claimant: True, NOW, 3)
    films.enqueue(engine, received(), NOW)
    assert [job.id for job in claims.claim(engine, "r", 9, NOW, NOW)] == [2]
    assert claims.claim(engine, "r", 9, NOW, NOW, has_other_films=True) == []
    assert [job.id for job in claims.claim(engine, "r", 9, NOW, NOW)] == [1]


def test_neither_reception_nor_the_count_in_hand_looks_at_every_row(engine):
    with engine.begin() as connection:
        values = [film(number, retrospective=bool(number % 2)) for number in range(1000)]
        rows = [
            {**dataclasses.asdict(one), "state": "READ", "received_at": NOW, "changed_at": NOW}
            for one in values
        ]
        connection.execute(tables.film.insert(), rows)
        number = connection.execute(
            tables.backfill.insert()
            .values(archive="A", first_day=FIRST, last_day=LAST, modalities="CR", started_at=NOW)
            .returning(tables.backfill.c.id)
        ).scalar_one()
        connection.execute(
            tables.backfill_instance.insert(),
            [
                {
                    "backfill_id": number, "study_instance_uid": "1", "series_instance_uid": "1",
                    "sop_instance_uid": one.sop_instance_uid, "state": "ARRIVED", "next_attempt_at": NOW,
                }
                for one in values
            ],
        )  # fmt: skip
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    with plans.explained(engine) as found_plans, database.reading(engine) as connection:
        connection.scalar(select(backfills.is_asked_for("1.2.3.5")))
        backfills.in_hand(connection, ["pacs"])
    assert len(found_plans) == 3
    for plan in found_plans:
        assert "SCAN film" not in plan, plan
        assert "SCAN backfill_instance" not in plan, plan
        assert "Seq Scan on film" not in plan, plan
        assert "Seq Scan on backfill_instance" not in plan, plan
