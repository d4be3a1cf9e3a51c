"""daemon/ledger.py: ends of deliveries are committed behind the sender, and never too many at once."""

import contextlib
import threading
import time

import pytest
import servers
from sqlalchemy.exc import SQLAlchemyError
from test_jobs import LATER, NOW, read_one, result

from daemon.ledger import MOST_UNWRITTEN, Ledger
from storage import database, deliveries
from storage.states import DeliveryState

MANY = 3 * MOST_UNWRITTEN


def claimed(engine):
    """Ends of many deliveries that ``s`` has in hand."""
    job = read_one(engine)
    with engine.begin() as connection:
        deliveries.insert(connection, job, [result(chr(ord("a") + n)) for n in range(MANY - 2)], NOW)
    some = deliveries.claim(engine, "pacs", "s", MANY, NOW, LATER)
    return [deliveries.Finished(one, DeliveryState.SENT, NOW, 0, "") for one in some]


def states(engine):
    with database.reading(engine) as connection:
        return [row.state for row in deliveries.of_film(connection, 1)]


@contextlib.contextmanager
def ledger_of(engine):
    """A ledger and what it told."""
    told = []
    ledger = Ledger(engine, "s", lambda end, is_committed: told.append((end, is_committed)))
    yield ledger, told
    ledger.close()


def test_every_end_is_committed_and_told_in_its_order_and_who_lost_a_claim_is_told_too(engine):
    ends = claimed(engine)
    deliveries.put_back(engine, [ends[1].delivery], "s", NOW, "somebody else's now")
    with ledger_of(engine) as (ledger, told):
        for end in ends:
            ledger.enter(end)
        ledger.settle()
        assert told == [(end, end is not ends[1]) for end in ends]
        assert sorted(states(engine)) == ["PENDING"] + ["SENT"] * (MANY - 1)


def test_a_sender_is_ahead_of_the_database_by_a_few_objects_and_no_more(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'firstread.db'}")
    database.migrate(engine)
    ends, entered = claimed(engine), []

    def send():
        for end in ends:
            ledger.enter(end)
            entered.append(end)

    with ledger_of(engine) as (ledger, told):
        sender = threading.Thread(target=send)
        with engine.begin():  # the one lock that SQLite has
            sender.start()
            servers.wait_until(lambda: len(entered) == MOST_UNWRITTEN)
            time.sleep(0.3)
            assert (len(entered), told) == (MOST_UNWRITTEN, [])
        sender.join()
        ledger.settle()
        assert states(engine) == ["SENT"] * MANY
    engine.dispose()


def test_a_database_that_is_away_is_told_to_the_sender_and_what_follows_is_committed(postgresql_url):
    url = servers.fresh_database(postgresql_url)
    engine = database.open_engine(url)
    database.migrate(engine)
    ends = claimed(engine)
    with ledger_of(engine) as (ledger, told):
        with servers.database_away(url):
            with pytest.raises(SQLAlchemyError):
                for end in ends:
                    ledger.enter(end)
            with contextlib.suppress(SQLAlchemyError):
                ledger.settle()
            assert told == []
        ledger.enter(ends[0])
        ledger.settle()
        assert states(engine).count("SENT") == 1
    engine.dispose()
