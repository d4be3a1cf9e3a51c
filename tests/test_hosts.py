"""Several machines, one PostgreSQL, one bucket: a machine is cut off, or its clock is wrong."""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import signal
import subprocess
from collections import Counter

import foreign
import hosts
import pytest
import servers
from conftest import make_film
from node import Node, Pacs
from sqlalchemy import text
from test_jobs import received
from test_sweep import arrive

from daemon import service
from storage import claims, database, films, heartbeats
from storage.spool import Spool


@pytest.mark.parametrize("clock", ["+20m", "-20m"])
def test_a_machine_whose_clock_is_wrong_neither_takes_a_lease_nor_leaves_one_that_lapsed(
    clock, tmp_path, postgresql_url
):
    """A sender's chores look after all claims by the time of the PostgreSQL server, first at their start."""
    node = Node(tmp_path, database_url=servers.fresh_database(postgresql_url))
    node.migrate()
    now, lease = service.now(), datetime.timedelta(minutes=5)
    spool = Spool(tmp_path / "spool")
    for uid, until in (("1.2.1", now + lease), ("1.2.2", now - datetime.timedelta(seconds=1))):
        one = dataclasses.replace(received(uid), spool_name=spool.keep_film(arrive(spool)))
        films.enqueue(node.engine, one, now)
        claims.claim(node.engine, "read@elsewhere:1:1", 1, now, until)

    def has_looked():
        with database.reading(node.engine) as connection:
            return "housekeeping" in heartbeats.latest(connection)

    with node.log.open("wb") as log:
        sender = subprocess.Popen([*foreign.clock_off_by(clock), *node.command("send")], stderr=log)
        try:
            servers.wait_until(has_looked, 120, "a pass of the chores")
        finally:
            servers.end(sender)
    held, released = node.films()
    node.engine.dispose()
    assert (held.state, released.state) == ("READING", "QUEUED")
    assert abs(released.changed_at - now) < lease
    assert f"this machine's clock is {clock[0]}1200 s from the database's" in node.log_text()


def at_once(calls):
    """What calls side by side return, all in one list."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return [one for answers in threads.map(lambda call: call(), calls) for one in answers]


@contextlib.contextmanager
def three_machines(folder):
    """Three machines that are ready, and their PACS; one PostgreSQL, one bucket, one network."""
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(hosts.bridge(3))
        url = servers.fresh_database(stack.enter_context(servers.postgresql(f"{address}/24")))
        store = servers.ObjectStore(folder / "s3", address)
        stack.callback(store.kill)
        pacs = Pacs(host=address)
        stack.callback(pacs.close)
        machines = []
        for number in (2, 3, 4):
            (folder / str(number)).mkdir()
            keys = store.settings | {"s3_folder": str(folder / str(number) / "spool")}
            machine = hosts.Machine(
                folder / str(number),
                number,
                destinations={"pacs": {"ae_title": "PACS", "host": address, "port": pacs.port}},
                database_url=url.partition("?")[0].replace("@", f"@{address}:{url.rpartition('=')[2]}"),
                tables={
                    "node": {"host": "0.0.0.0"},
                    "storage": keys,
                    "model": {"batch_size": 2, "decoders": 1},
                },
            )
            machine.start()
            stack.callback(machine.kill)
            stack.callback(machine.engine.dispose)
            machines.append(machine)
        for machine in machines:
            machine.wait_until_ready()
        yield machines, pacs


@pytest.mark.timeout(600)  # three readers load TensorFlow at once
def test_three_machines_lose_and_double_nothing_when_one_is_cut_off_in_the_middle_of_its_work(
    tmp_path, chest
):
    with three_machines(tmp_path) as ((first, second, cut), pacs):
        place = cut.place()
        assert place not in {first.place(), second.place()}
        for machine in (first, second):  # so that the third has films in hand when it is cut off
            machine.signal("read", signal.SIGSTOP)
        sent = [make_film(pixels=chest) for _ in range(18)]
        taken = at_once([lambda: first.take(*sent[:6]), lambda: second.take(*sent[6:12])])
        taken += cut.take(*sent[12:])
        servers.wait_until(lambda: pacs.received, 60, "the first result")
        held = servers.wait_until(lambda: in_hand(first, place), 60, "work of the machine to be cut off")
        cut.link("down")
        for machine in (first, second):
            machine.signal("read", signal.SIGCONT)
        held |= in_hand(first, place)
        assert cut.take(make_film(pixels=chest)) == []
        more = [make_film(pixels=chest) for _ in range(4)]
        taken += at_once([lambda: first.take(*more[:2]), lambda: second.take(*more[2:])])
        assert len(taken) == 22
        servers.wait_until(lambda: of_others_done(first, place), 120, "the work of the other machines")
        let_leases_lapse(first, place)
        first.wait_for_ends(22, 120)
        cut.link("up")
        back = [make_film(pixels=chest) for _ in range(2)]
        taken += servers.wait_until(lambda: cut.take(*back), 90, "the machine's return")
        rows, deliveries = first.wait_for_ends(24, 120), first.deliveries()
        stores = Counter(ds.SOPInstanceUID for ds in pacs.received)

    assert sorted(row.sop_instance_uid for row in rows) == sorted(ds.SOPInstanceUID for ds in taken)
    assert {row.state for row in rows} == {"READ"}
    assert {row.state for row in deliveries} == {"SENT"}
    by_film = Counter((row.film_id, row.kind) for row in deliveries)
    assert by_film == {(row.id, kind): 1 for row in rows for kind in ("SC", "SR")}
    assert set(stores) == {row.sop_instance_uid for row in deliveries}
    # Stored twice, under the one UID, is at most what the machine was in the middle of when it was cut off.
    assert {uid for uid, times in stores.items() if times > 1} <= held
    assert max(stores.values()) <= 2


def in_hand(machine, place):
    """UIDs of the films and results that a place has claimed."""
    return {
        row.sop_instance_uid
        for row in (*machine.films(), *machine.deliveries())
        if row.claimed_by and f"@{place}:" in row.claimed_by
    }


def of_others_done(machine, place):
    """Whether nothing is left but what a place has claimed."""
    held = in_hand(machine, place)
    left = [row for row in machine.films() if row.state in ("QUEUED", "READING")]
    left += [row for row in machine.deliveries() if row.state in ("PENDING", "SENDING")]
    return all(row.sop_instance_uid in held for row in left)


def let_leases_lapse(machine, place):
    """As if five minutes had passed in which the place did not renew them."""
    with machine.engine.begin() as connection:
        for table, column in (("film", "claimed"), ("delivery", "claimed"), ("destination", "probed")):
            connection.execute(
                text(
                    f"UPDATE {table} SET {column}_until = now() - interval '1 s' "
                    f"WHERE {column}_by LIKE :place"
                ),
                {"place": f"%@{place}:%"},
            )
