"""storage/wakeup.py on SQLite and on PostgreSQL: who waits is woken by the commit that makes work."""

import contextlib
import datetime
import threading
import time

import pytest
import servers
from test_jobs import NOW, read_one, received, result

from storage import database, deliveries, films
from storage.states import DeliveryState, FilmState
from storage.wakeup import Wakeup

NEVER = threading.Event()
# Far longer than anything here lasts on a busy machine, so that who returns earlier was woken.
LONG = 60.0


@pytest.fixture
def ready(engine):
    """A wake-up that has come to rest, and whose next return has a cause."""
    with contextlib.closing(Wakeup(engine, DeliveryState.PENDING)) as wakeup:
        come_to_rest(wakeup)
        yield wakeup


def come_to_rest(wakeup):
    while seconds_of(lambda: wakeup.wait(NEVER, 0.2)) < 0.2:
        pass


def seconds_of(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def later(act):
    timer = threading.Timer(0.3, act)
    timer.start()
    return timer


def test_a_result_wakes_who_waits_for_it_and_is_there_then(engine, ready):
    timer = later(lambda: read_one(engine))
    while not deliveries.due_classes(engine, "pacs", NOW):
        assert seconds_of(lambda: ready.wait(NEVER, LONG)) < LONG / 2
    timer.join()


def test_a_film_wakes_who_waits_for_it(engine):
    with contextlib.closing(Wakeup(engine, FilmState.QUEUED)) as wakeup:
        come_to_rest(wakeup)
        timer = later(lambda: films.enqueue(engine, received(), NOW))
        assert seconds_of(lambda: wakeup.wait(NEVER, LONG)) < LONG / 2
        timer.join()


def test_what_came_between_two_waits_is_not_missed(engine, ready):
    read_one(engine)
    assert seconds_of(lambda: ready.wait(NEVER, LONG)) < LONG / 2


def test_a_result_that_is_put_back_wakes_again(engine, ready):
    read_one(engine)
    claimed = deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + datetime.timedelta(minutes=1))
    come_to_rest(ready)
    deliveries.put_back(engine, claimed, "s", NOW, "its turn did not come")
    assert seconds_of(lambda: ready.wait(NEVER, LONG)) < LONG / 2


def test_a_transaction_that_is_rolled_back_leaves_who_waits_asleep(engine, ready):
    job = read_one(engine)
    come_to_rest(ready)
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        deliveries.insert(connection, job, [result("XX")], NOW)
        raise ZeroDivisionError
    assert seconds_of(lambda: ready.wait(NEVER, 0.5)) >= 0.5


def test_films_wake_no_sender_on_postgresql(postgresql_url):
    engine = database.open_engine(servers.fresh_database(postgresql_url))
    database.migrate(engine)
    with contextlib.closing(Wakeup(engine, DeliveryState.PENDING)) as wakeup:
        come_to_rest(wakeup)
        films.enqueue(engine, received(), NOW)
        assert seconds_of(lambda: wakeup.wait(NEVER, 0.5)) >= 0.5
    engine.dispose()


def test_a_database_that_goes_away_is_listened_to_again(postgresql_url):
    url = servers.fresh_database(postgresql_url)
    engine = database.open_engine(url)
    database.migrate(engine)
    with contextlib.closing(Wakeup(engine, DeliveryState.PENDING)) as wakeup:
        come_to_rest(wakeup)
        with servers.database_away(url):
            # Neither at once, which would be a loop without a pause, nor with an exception.
            assert seconds_of(lambda: [wakeup.wait(NEVER, 0.3) for _ in range(3)]) >= 0.6
        come_to_rest(wakeup)
        read_one(engine)
        assert seconds_of(lambda: wakeup.wait(NEVER, LONG)) < LONG / 2
    engine.dispose()


def test_who_is_told_to_stop_waits_no_longer_on_sqlite(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'firstread.db'}")
    database.migrate(engine)
    stop = threading.Event()
    with contextlib.closing(Wakeup(engine, DeliveryState.PENDING)) as wakeup:
        come_to_rest(wakeup)
        timer = later(stop.set)
        assert seconds_of(lambda: wakeup.wait(stop, LONG)) < LONG / 2
        timer.join()
    engine.dispose()
