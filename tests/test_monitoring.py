"""Scores by day in the database, and what is made of them."""

import dataclasses
import datetime
import random

import month
import plans
import pytest
from sqlalchemy import func, select

from daemon import monitoring, service
from daemon.config import Monitoring
from storage import claims, database, films, traffic
from storage import monitoring as counts
from storage.films import ReceivedFilm
from storage.states import FilmState, Opinion
from storage.tables import film, score_histogram, verdict

NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
TODAY = NOW.date()


def queue(engine, number: int, at: datetime.datetime = NOW, sender: str = "XR-1") -> int:
    received = ReceivedFilm(
        f"1.2.{number}", "1.2", "1.5", "A1", "CR", "1.2.840.10008.1.2.1", f"{number:064x}", 10,
        f"films/aa/{number:032x}.dcm", sender, "FIRSTREAD", "127.0.0.1", "Maker", "PA",
    )  # fmt: skip
    job = films.enqueue(engine, received, at).job
    claims.claim(engine, "r", 1, at, at)
    return job


def reading(normal: float, version: str = "1") -> dict[str, object]:
    decision = "normal" if normal > 0.5 else "bacterial"
    return {"decision": decision, "model": "m", "version": version, "step1": {"normal": normal}}


def rows(engine) -> list:
    with database.reading(engine) as connection:
        return counts.histogram(connection, TODAY - datetime.timedelta(days=400), TODAY)


def count(engine) -> None:
    while counts.count_new(engine):
        pass


def test_films_are_counted_by_score_and_by_reason(engine):
    films.finish_read(engine, queue(engine, 1), "r", NOW, reading(0.97), [])
    films.finish_read(engine, queue(engine, 2), "r", NOW, reading(0.0), [])
    films.finish(
        engine, queue(engine, 3), "r", FilmState.SKIPPED, NOW, "NOT_CHEST: found HAND, expected CHEST"
    )
    films.finish(engine, queue(engine, 4), "r", FilmState.FAILED, NOW, "attempt 3 of 3: the worker died")
    count(engine)
    found = {row.reason: row for row in rows(engine)}
    assert {reason: row.films for reason, row in found.items()} == {"": 2, "NOT_CHEST": 1, "FAILED": 1}
    read = found[""]
    assert (read.scores[0], read.scores[-1], sum(read.scores)) == (1, 1, 2)
    assert (read.flagged, read.version, read.calling_ae_title) == (1, "m 1", "XR-1")


def test_a_film_that_is_read_again_counts_once_with_its_new_version(engine):
    job = queue(engine, 1, NOW - datetime.timedelta(days=40))
    films.finish_read(engine, job, "r", NOW, reading(0.9), [])
    count(engine)
    films.requeue(engine, job, "admin", NOW)
    count(engine)
    assert rows(engine) == []
    claims.claim(engine, "r", 1, NOW, NOW)
    films.finish_read(engine, job, "r", NOW, reading(0.1, "2"), [])
    count(engine)
    assert [(row.version, row.films, row.flagged) for row in rows(engine)] == [("m 2", 1, 1)]


def test_counts_are_those_of_the_films_however_they_come(engine):
    """Counted in between at random, the sums are those of counting all at the end."""
    chance = random.Random(4)
    for number in range(60):
        at = NOW - datetime.timedelta(hours=chance.randrange(100))
        job = queue(engine, number, at, f"XR-{number % 3}")
        films.finish_read(engine, job, "r", NOW, reading(chance.random()), [])
        if chance.random() < 0.3:
            count(engine)
    count(engine)
    in_between = sorted(rows(engine))
    with engine.begin() as connection:
        connection.execute(score_histogram.delete())
        connection.execute(counts.score_histogram_progress.update().values(event_id=0))
    count(engine)
    assert sorted(rows(engine)) == in_between
    assert sum(row.films for row in in_between) == 60


@pytest.fixture
def six_weeks(engine):
    now = service.now()
    month.fill(engine, now, 100)
    return engine


def test_a_sender_whose_scores_moved_is_the_only_alert(six_weeks):
    with database.reading(six_weeks) as connection:
        found = monitoring.report(connection, Monitoring(least_films=50), service.now().date())
    assert [one.name for one in found.alerts] == ["XR-PORT-3"]
    moved = found.alerts[0]
    assert moved.index > 0.2
    assert moved.flagged.low > moved.flagged_before.high
    assert found.overall.index < 0.1
    assert found.reference.films > 2500
    assert {one.part for one in found.refusals} == {"sender", "manufacturer", "view"}
    view = {one.name: one for one in found.refusals if one.part == "view"}
    assert view["PA"].refused.low < view["PA"].refused_before.high


def test_the_reference_may_be_days_that_somebody_chose(six_weeks):
    today = service.now().date()
    days = [(today - datetime.timedelta(days=back)).isoformat() for back in (20, 15)]
    settings = Monitoring(reference_from=days[0], reference_to=days[1])
    with database.reading(six_weeks) as connection:
        found = monitoring.report(connection, settings, today)
        by_hand = sum(
            row.films
            for row in counts.histogram(connection, *map(datetime.date.fromisoformat, days))
            if row.version
        )
    assert found.reference.films == by_hand > 400


def test_nothing_is_compared_before_there_are_days_for_a_reference(engine):
    films.finish_read(engine, queue(engine, 1), "r", NOW, reading(0.9), [])
    count(engine)
    with database.reading(engine) as connection:
        found = monitoring.report(connection, Monitoring(), TODAY)
    assert (found.reference, found.overall.index, found.alerts) == (None, None, [])
    assert found.window.films == 1


def test_the_newest_word_on_a_film_counts_by_version(engine):
    jobs = [queue(engine, number) for number in range(3)]
    said = [(0, "AGREE"), (0, "DISAGREE"), (1, "AGREE"), (2, "UNSURE")]
    with engine.begin() as connection:
        for place, opinion in said:
            connection.execute(
                verdict.insert().values(
                    film_id=jobs[place], at=NOW, user_name="u", opinion=Opinion(opinion), version="m 1",
                    finding="other finding" if opinion == "DISAGREE" else "", decision="normal",
                )
            )  # fmt: skip
    (found,) = counts.agreement(engine, NOW - datetime.timedelta(days=1))
    assert dataclasses.astuple(found) == ("m 1", 1, 1, 1, 1)


def test_the_longest_queue_of_a_quarter_of_an_hour_is_kept(engine):
    at = datetime.datetime(2026, 11, 25, 12, 1, tzinfo=datetime.UTC)
    traffic.note_queue(engine, at)
    received = ReceivedFilm(
        "1.9", "1.2", "1.5", "A", "CR", "1.2", "f" * 64, 1, "films/aa/f.dcm", "XR", "F", "h"
    )
    films.enqueue(engine, received, at)
    traffic.note_queue(engine, at)
    claims.claim(engine, "r", 1, at, at)
    traffic.note_queue(engine, at + datetime.timedelta(minutes=5))
    traffic.note_queue(engine, at + datetime.timedelta(minutes=15))
    with database.reading(engine) as connection:
        peaks = traffic.queue_peaks(connection, at - datetime.timedelta(hours=1))
    assert [(row.quarter.minute, row.waiting) for row in peaks] == [(0, 1), (15, 0)]


def test_no_figure_of_the_page_looks_at_every_job(six_weeks):
    """Each query goes by an index; the one that reads counts reads all of its small table."""
    now = service.now()
    since = now - datetime.timedelta(days=1)
    hours = [since + datetime.timedelta(hours=n) for n in range(24)]
    with six_weeks.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    with plans.explained(six_weeks) as found, database.reading(six_weeks) as connection:
        traffic.queue(connection)
        traffic.films_by_hour(connection, hours)
        traffic.by_sender(connection, since)
        traffic.seconds_to_result(connection, "pacs", since)
        traffic.unsent(connection, ["pacs", "research"])
        traffic.sent(connection, ["pacs", "research"], since)
        traffic.queue_peaks(connection, since)
        monitoring.report(connection, Monitoring(), now.date())
    assert len(found) >= 9
    for plan in found:
        # Of ten thousand results PostgreSQL reads a table of a few pages as a whole: SQLite's plan tells.
        if six_weeks.dialect.name == "sqlite":
            assert "SCAN film" not in plan
            assert "SCAN delivery" not in plan
        else:
            assert "Seq Scan on film" not in plan
    with database.reading(six_weeks) as connection:
        assert connection.execute(select(func.count()).select_from(film)).scalar_one() == 4500
