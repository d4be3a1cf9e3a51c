"""storage/object_store.py: films in a bucket of a real S3 server, which may be killed."""

import dataclasses
import os
import pickle
import signal
import time

import pytest
import servers
from conftest import make_film
from node import Node
from test_sweep import DAY, arrive, claim, deliver, kept, read, row, spooled, swept

from daemon import service
from daemon.config_file import BadConfig, Storage, load_storage
from storage import backup, object_store, retention
from storage.object_store import StoreUnreachable
from storage.spool import Spool


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = servers.ObjectStore(tmp_path_factory.mktemp("s3"))
    yield server
    server.kill()


@pytest.fixture
def settings(server, tmp_path):
    return Storage(
        **server.settings | {"spool": f"s3://films/{tmp_path.name}", "s3_folder": str(tmp_path / "here")}
    )


@pytest.fixture
def spool(settings):
    return service.open_spool(settings)


def words(spool, name):
    with spool.local(name) as path:
        return path.read_bytes()


def elsewhere(settings, tmp_path, **changes):
    """The same films as another machine has them."""
    return service.open_spool(dataclasses.replace(settings, s3_folder=str(tmp_path / "there"), **changes))


def test_a_film_is_kept_in_the_bucket_and_read_on_every_machine(settings, spool, tmp_path):
    name = spool.keep_film(arrive(spool, b"x" * (2 * object_store.PART_BYTES + 5)))  # in parts
    there = elsewhere(settings, tmp_path)
    for one in (spool, there, pickle.loads(pickle.dumps(there))):
        assert words(one, name) == b"x" * (2 * object_store.PART_BYTES + 5)
        assert list(one.incoming.iterdir()) == []
    assert [file.name for file in spool.kept("films")] == [name]
    there.discard(name)
    assert not spool.has(name)
    with pytest.raises(FileNotFoundError), there.local(name):
        pass


def test_a_film_is_fetched_once_and_a_result_each_time(settings, spool, tmp_path):
    there = elsewhere(settings, tmp_path)
    film = spool.keep_film(arrive(spool, b"film"))
    result = spool.write_result("2.25.1", lambda file: file.write(b"one"))
    assert (words(there, film), words(there, result)) == (b"film", b"one")
    assert spool.write_result("2.25.1", lambda file: file.write(b"two")) == result
    assert words(there, result) == b"two"
    with there.local(film) as path:
        there.clear_incoming(
            older_than=time.time() + 60
        )  # takes the copy, and what is no longer in use by rights
        assert not path.exists()
    spool.discard(film)
    with pytest.raises(FileNotFoundError):
        words(there, film)


def test_copies_stay_within_their_bound_and_are_taken_from_nobody(settings, spool, tmp_path):
    there = elsewhere(settings, tmp_path, s3_copies_mib=1)
    with there.local(spool.keep_film(arrive(spool, b"first"))) as path:
        for _ in range(80):
            words(there, spool.keep_film(arrive(spool, bytes(100_000))))
        assert path.read_bytes() == b"first"
    # 1 MiB, and what came since the last look: one film in 16 looks.
    assert sum(one.stat().st_size for one in (tmp_path / "there" / "cache").iterdir()) < 7_000_000


def test_a_name_that_is_not_ours_is_refused(spool):
    for ask in (spool.has, spool.discard, lambda name: words(spool, name)):
        with pytest.raises(ValueError, match="expected films"):
            ask("../../etc/passwd")


def test_sweep_retention_and_backup_of_a_bucket(engine, spool, tmp_path):
    for number in range(1, 4):
        kept(engine, spool, number)
    orphan, stranger = spool.keep_film(arrive(spool)), spool.incoming.parent / "stranger"
    stranger.write_bytes(b"")
    for job in claim(engine):
        read(engine, spool, job.id, ("pacs",) if job.id < 3 else ("gone",))
    assert swept(engine, spool).removed == (orphan,)
    deliver(engine)
    assert backup.save(engine, spool, tmp_path / "backup", service.now(), ()) == (3, 2)
    assert retention.remove(engine, spool, service.now() + 31 * DAY, 30 * DAY, 0, ()) == 2
    assert len(spooled(spool)) == 2
    spool.discard(row(engine, 3).spool_name)
    assert swept(engine, spool).failed_deliveries == ()
    back = Spool(tmp_path / "folder")
    for name in backup._verified(tmp_path / "backup"):
        back.take_back(tmp_path / "backup" / name, name)
    assert len(spooled(back)) == 2


def test_a_store_that_is_away_stalls_or_has_no_such_bucket_is_told_from_a_missing_film(
    settings, spool, server, tmp_path
):
    name = spool.keep_film(arrive(spool))
    nowhere = elsewhere(settings, tmp_path, spool="s3://nowhere/x")
    strange = elsewhere(settings, tmp_path, s3_secret_key_file=settings.s3_access_key_file)
    for one, said in (
        (nowhere, "NoSuchBucket"),
        (strange, "SignatureDoesNotMatch|403 Forbidden"),
    ):
        for ask in (
            one.has,
            one.discard,
            lambda name, one=one: words(one, name),
            lambda _, one=one: one.check(),
        ):
            with pytest.raises(StoreUnreachable, match=said) as caught:
                ask(name)
            assert (str(caught.value), caught.value.errno) == (caught.value.strerror, 5)
        with pytest.raises(StoreUnreachable, match=said):
            one.keep_film(arrive(one))
    server.kill()
    try:
        with pytest.raises(StoreUnreachable):
            spool.has(name)
        with pytest.raises(StoreUnreachable):
            next(spool.kept("films"))
        assert words(spool, name) == b"film"  # its copy
    finally:
        server.start()
    spool.check()
    server.process.send_signal(signal.SIGSTOP)
    os.waitpid(server.process.pid, os.WUNTRACED)  # until it has stopped
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnreachable):
            spool.write_result("2.25.3", lambda file: file.write(b"result"))
        assert time.monotonic() - began < 40
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert [path.name for path in spool.incoming.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"spool": "gs://films"}, "expected a folder, or s3://bucket or s3://bucket/prefix"),
        ({"spool": "s3://films/../x/"}, None),
        ({"spool": "s3://Films"}, "expected a folder"),
        ({"s3_access_key_file": "/a"}, "expected both or none"),
        ({"s3_endpoint": "ftp://host"}, "s3_endpoint"),
    ],
)
def test_a_place_that_is_none_is_a_fault_of_the_config(tmp_path, keys, fault):
    path = tmp_path / "firstread.toml"
    path.write_text("[storage]\n" + "\n".join(f'{key} = "{value}"' for key, value in keys.items()))
    if fault is None:
        load_storage(path)
        return
    with pytest.raises(BadConfig, match=fault):
        load_storage(path)


def test_no_film_is_lost_to_a_store_that_is_killed_under_a_whole_node(
    tmp_path, pacs, server, monkeypatch, chest
):
    """0xA700 while it is away; what was taken is read and sent when it is back, at its first attempt."""
    folder = tmp_path / "here"
    table = server.settings | {"spool": "s3://films/node", "s3_folder": str(folder)}
    node = Node(tmp_path, {"pacs": pacs.port}, tables={"storage": table | {"s3_copies_mib": 0}})
    films = [make_film(pixels=chest) for _ in range(3)]
    with node.running("receive"):
        assert [answer.Status for answer in node.store(*films[:2])] == [0, 0]
        assert len(server.names("films/")) == 2
        server.kill()
        (answer,) = node.store(films[2])
        assert (answer.Status, "object store" in answer.ErrorComment) == (0xA700, True)
        assert len(node.films()) == 2
        assert [*(folder / "incoming").iterdir()] == []
        with node.running("read", "send"):
            servers.wait_until(lambda: "object store" in node.log_text().partition("read ready")[2], 60)
            servers.wait_until(lambda: "put back" in node.log_text(), 60)
            check = node.firstread("check")
            assert "spool" in check.stdout
            assert any("object store" in line for line in check.stdout.splitlines())
            server.start()
            assert [answer.Status for answer in node.store(films[2])] == [0]
            rows = node.wait_for_ends(3, 120)
    node.engine.dispose()
    assert {(one.state, one.attempts) for one in rows} == {("READ", 1)}
    assert len({ds.SOPInstanceUID for ds in pacs.received}) == len(pacs.received) == 6
    assert [*(folder / "incoming").iterdir()] == [*(folder / "cache").iterdir()] == []
    assert "s3://films/node" in node.firstread("check").stdout
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") is None
