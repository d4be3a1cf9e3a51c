"""storage/destinations.py on SQLite and on PostgreSQL: one probe of a destination that is down."""

import datetime
import threading

import pytest
from test_jobs import NOW, read_one, result

from storage import database, deliveries, destinations
from storage.retry import FIRST_WAIT_SECONDS, LONGEST_PROBE_WAIT_SECONDS
from storage.states import DeliveryState

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
LEASE = datetime.timedelta(minutes=5)


def nobody_is_gone(_claimant):
    return False


def admit(engine, now, claimant="s", is_gone=nobody_is_gone):
    return destinations.admit(engine, "pacs", claimant, 64, is_gone, now, now + LEASE)


def row(engine):
    with database.reading(engine) as connection:
        return destinations.get(connection, "pacs")


def test_a_destination_never_tried_and_one_that_is_up_get_whole_batches(engine):
    assert admit(engine, NOW) == 64
    assert not destinations.answered(engine, "pacs", NOW, True)
    assert admit(engine, NOW) == 64
    assert (row(engine).state, row(engine).last_success_at) == ("UP", NOW)


def test_a_destination_that_is_down_is_probed_after_growing_waits_with_a_ceiling(engine):
    now, waits = NOW, []
    destinations.went_down(engine, "pacs", "s", now, "no association")
    for _ in range(12):
        found = row(engine)
        assert (found.state, found.since) == ("DOWN", NOW)
        waits.append((found.next_probe_at - now).total_seconds())
        assert admit(engine, found.next_probe_at - SECOND) == 0
        now = found.next_probe_at
        assert admit(engine, now) == 1
        destinations.went_down(engine, "pacs", "s", now, "no association")
    assert FIRST_WAIT_SECONDS / 2 <= waits[0] <= FIRST_WAIT_SECONDS
    assert waits[0] < waits[2] < waits[4]
    assert LONGEST_PROBE_WAIT_SECONDS / 2 <= waits[-1] <= LONGEST_PROBE_WAIT_SECONDS
    assert row(engine).failures == 13


def test_of_many_senders_one_probes(engine):
    destinations.went_down(engine, "pacs", "s", NOW, "no association")
    admitted = []
    threads = [
        threading.Thread(target=lambda n=n: admitted.append(admit(engine, NOW + MINUTE, f"sender {n}")))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == [0, 0, 0, 0, 0, 1]


def test_many_senders_that_find_a_destination_down_at_once_make_one_wait_of_it(engine):
    threads = [
        threading.Thread(target=destinations.went_down, args=(engine, "pacs", f"s{n}", NOW, "away"))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert row(engine).failures == 1
    assert row(engine).next_probe_at <= NOW + datetime.timedelta(seconds=FIRST_WAIT_SECONDS)


def test_the_probe_of_a_sender_that_died_is_made_by_another(engine):
    destinations.went_down(engine, "pacs", "s", NOW, "away")
    assert admit(engine, NOW + MINUTE, "first") == 1
    assert admit(engine, NOW + MINUTE, "second") == 0
    assert admit(engine, NOW + MINUTE, "second", lambda name: name == "first") == 1
    assert admit(engine, NOW + MINUTE + LEASE + SECOND, "third") == 1


def test_a_probe_that_told_nothing_is_given_back_and_the_wait_stays(engine):
    destinations.went_down(engine, "pacs", "s", NOW, "away")
    assert admit(engine, NOW + MINUTE) == 1
    destinations.release_probe(engine, "pacs", "other")
    assert admit(engine, NOW + MINUTE) == 0
    destinations.release_probe(engine, "pacs", "s")
    assert admit(engine, NOW + MINUTE) == 1
    assert row(engine).failures == 1


@pytest.mark.parametrize("is_success", [True, False])
def test_a_destination_that_judges_an_object_is_back(engine, is_success):
    destinations.went_down(engine, "pacs", "s", NOW, "status 0xA700")
    assert destinations.answered(engine, "pacs", NOW + MINUTE, is_success)
    found = row(engine)
    assert (found.state, found.since, found.failures, found.next_probe_at) == ("UP", NOW + MINUTE, 0, None)
    assert (found.last_error, found.last_error_at) == ("status 0xA700", NOW)
    assert found.last_success_at == (NOW + MINUTE if is_success else None)
    assert admit(engine, NOW + MINUTE) == 64


def test_what_was_answered_out_of_resources_is_due_when_its_destination_is_back_and_what_broke_it_is_not(
    engine,
):
    job = read_one(engine)
    first, second = deliveries.claim(engine, "pacs", "s", 2, NOW, NOW + MINUTE)
    full = deliveries.Finished(first, DeliveryState.PENDING, NOW, 0xA700, "status 0xA700")
    broken = deliveries.Finished(second, DeliveryState.PENDING, NOW, None, "the association ended")
    deliveries.finish(engine, "s", [full, broken])
    assert destinations.wake(engine, "elsewhere", NOW + SECOND) == 0
    assert destinations.wake(engine, "pacs", NOW + SECOND) == 1
    assert deliveries.due_classes(engine, "pacs", NOW + SECOND) == {first.sop_class_uid}
    (due,) = deliveries.claim(engine, "pacs", "s", 9, NOW + SECOND, NOW + MINUTE)
    assert (due.id, due.film_id, due.attempts) == (first.id, job, 2)


def test_results_whose_turn_did_not_come_keep_their_attempts_and_stay_due(engine):
    read_one(engine)
    claimed = deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE)
    deliveries.put_back(engine, claimed, "s", NOW, "its turn did not come: status 0xA700")
    again = deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE)
    assert [(one.id, one.attempts) for one in again] == [(one.id, 1) for one in claimed]
    deliveries.put_back(engine, again, "somebody else", NOW, "not his")
    assert deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE) == []


def test_only_results_of_the_classes_that_were_proposed_are_claimed(engine):
    read_one(engine)
    assert deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE, {"1.9"}) == []
    assert len(deliveries.claim(engine, "pacs", "s", 9, NOW, NOW + MINUTE, {result().sop_class_uid})) == 2


def test_what_waits_longer_than_its_destinations_time_is_given_up(engine):
    job = read_one(engine)
    assert deliveries.give_up(engine, "pacs", NOW, "s", NOW + MINUTE, "given up") == 0
    assert deliveries.give_up(engine, "pacs", NOW + SECOND, "s", NOW + MINUTE, "given up") == 2
    with database.reading(engine) as connection:
        assert {(one.state, one.reason) for one in deliveries.of_film(connection, job)} == {
            ("FAILED", "given up")
        }
        assert deliveries.waiting(connection, "pacs") == 0
