"""storage/search.py and storage/today.py: the right jobs, and at a million of them by an index."""

import datetime
import re

import console_films
import million
import plans
import pytest
import readings
import servers

from storage import database, search, today
from storage.search import Filter
from storage.states import DeliveryState, FilmState

NOW = datetime.datetime.now(datetime.UTC)
FILMS = 1_000_000
DAY = {"since": NOW - datetime.timedelta(days=300), "before": NOW - datetime.timedelta(days=299)}
# What is on every page anyhow is found by any index that has the order.
ANY = ""
MIDDLE = {"older_than": FILMS // 2}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request, tmp_path_factory):
    """A database with a million jobs."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('many') / 'firstread.db'}"
    else:
        url = servers.fresh_database(request.getfixturevalue("postgresql_url"))
    engine = database.open_engine(url)
    try:
        database.migrate(engine)
        million.fill(engine, FILMS, NOW)
        yield engine
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("wanted", "first", "count", "index"),
    [
        (Filter(), 499_999, 51, ANY),
        (Filter(accession_end="4711"), 494_711, 50, "ix_film_accession_reversed"),
        (Filter(state=FilmState.SKIPPED), 499_999, 51, ANY),
        (Filter(state=FilmState.FAILED), None, 0, "ix_film_state_id"),
        (Filter(calling_ae_title="RARE"), 400_007, 5, "ix_film_calling_ae_title"),
        (Filter(calling_ae_title="RARE", state=FilmState.READ), 400_007, 5, "ix_film_calling_ae_title"),
        (Filter(destination="rare"), 450_009, 10, "ix_delivery_destination_film_id"),
        (Filter(destination="main"), 499_999, 51, ANY),
        (Filter(destination="main", calling_ae_title="RARE"), 400_007, 5, "ix_film_calling_ae_title"),
        (Filter(delivery_failed=True), 499_003, 51, "ix_delivery_failed"),
        (Filter(delivery_failed=True, destination="main"), 499_003, 51, "ix_delivery_failed"),
        (Filter(delivery_failed=True, destination="rare"), None, 0, "ix_delivery_failed"),
    ],
    ids=str,
)
@pytest.mark.timeout(600)
def test_a_page_from_the_middle_of_a_million_jobs_is_read_by_an_index(many, wanted, first, count, index):
    with database.reading(many) as connection, plans.explained(many) as found:
        jobs = search.page(connection, wanted, 51, **MIDDLE)
    assert (jobs[0] if jobs else None, len(jobs)) == (first, count)
    assert jobs == sorted(jobs, reverse=True)
    [plan] = found
    assert index in plan
    assert not scans(plan)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(**DAY),
        Filter(state=FilmState.READ, **DAY),
        Filter(calling_ae_title="XR-3", **DAY),
        Filter(destination="main", **DAY),
        Filter(delivery_failed=True, **DAY),
    ],
    ids=["all", "state", "calling_ae_title", "destination", "delivery_failed"],
)
def test_a_day_of_a_million_jobs_is_cut_out_by_its_numbers(many, wanted):
    with database.reading(many) as connection, plans.explained(many) as found:
        jobs = search.page(connection, wanted, 51)
        rows = search.load(connection, jobs)
    assert rows
    assert all(DAY["since"] <= film.received_at < DAY["before"] for film, _ in rows)
    assert not any(scans(plan) for plan in found)


def test_what_the_pages_ask_beside_the_list_reads_no_whole_table_of_a_million(many):
    with database.reading(many) as connection, plans.explained(many) as found:
        assert len(today.films_since(connection, NOW - datetime.timedelta(hours=12), 5000)) > 400
        counts, failed = search.count_between(connection, **DAY)
        assert len(search.senders(connection)) == 21
        assert search.with_uid(connection, "1.2.4.4711") == [4711]
        assert search.with_uid(connection, "1.9.4711") == [4711]
        assert today.in_work(connection) == (0, 0)
    assert sum(counts.values()) in (1004, 1005)
    assert failed in (1, 2)
    assert not any(scans(plan) for plan in found)


def scans(plan: str) -> bool:
    """Whether a plan looks at every row; one in the order of the numbers ends at its limit."""
    by_row = [
        line for line in plan.splitlines() if re.search(r"(Seq Scan on |'SCAN )(film|delivery|event)", line)
    ]
    return bool(by_row) and "LIMIT" not in plan


@pytest.fixture
def evening(engine):
    return console_films.Evening(engine, NOW)


def pages(engine, wanted, rows, **of):
    with database.reading(engine) as connection:
        return search.page(connection, wanted, rows, **of)


def test_paging_back_and_forth_shows_every_job_once(engine, evening):
    every = [evening.queue(minutes) for minutes in range(20, 3, -1)]
    seen, older = [], None
    while page := pages(engine, Filter(), 5, older_than=older):
        seen += page
        older = page[-1]
    assert seen == every[::-1]
    assert pages(engine, Filter(), 5, newer_than=seen[10]) == seen[5:10]


def test_accession_numbers_are_found_by_their_end_alone(engine, evening):
    job = evening.queue(1)
    evening.queue(1)
    assert pages(engine, Filter(accession_end="4681"), 5) == [job]
    assert pages(engine, Filter(accession_end="26110-4681"), 5) == [job]
    assert pages(engine, Filter(accession_end="26110"), 5) == []
    assert pages(engine, Filter(accession_end="%"), 5) == []


def test_filters_of_films_and_deliveries_hold_together(engine, evening):
    sent = evening.read(readings.covid(), 9, DeliveryState.SENT)
    failed = evening.read(readings.covid(), 8, DeliveryState.SENT, DeliveryState.FAILED, sender="XR-ROOM-2")
    outside = evening.read(readings.outside_lungs(), 7)
    assert pages(engine, Filter(destination="main"), 9) == [failed, sent]
    assert pages(engine, Filter(destination="research"), 9) == [failed]
    assert pages(engine, Filter(delivery_failed=True), 9) == [failed]
    assert pages(engine, Filter(delivery_failed=True, destination="main"), 9) == []
    assert pages(engine, Filter(destination="main", calling_ae_title="XR-ROOM-2"), 9) == [failed]
    assert pages(engine, Filter(destination="main", state=FilmState.SKIPPED), 9) == []
    assert pages(engine, Filter(indeterminate=True), 9) == [outside]


def test_old_jobs_are_found_by_the_end_of_their_accession_number_after_migration(engine, evening):
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import text

    job = evening.queue(1)
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
        columns = connection.execute(text("SELECT * FROM film")).keys()
        assert "accession_reversed" not in columns
        command.upgrade(config, "head")
    assert pages(engine, Filter(accession_end="4681"), 5) == [job]
