"""storage/spool.py and storage/retry.py."""

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import space
from storage.retry import LONGEST_WAIT_SECONDS, wait_seconds
from storage.spool import Spool, SpoolUnavailable


@pytest.fixture
def incoming_file(spool):
    path = spool.incoming / "received.dcm"
    path.write_bytes(b"bytes as received")
    return path


def test_a_kept_film_is_whole_under_our_own_name_and_gone_from_incoming(spool, incoming_file):
    name = spool.keep_film(incoming_file)
    assert spool.path(name).read_bytes() == b"bytes as received"
    assert name.startswith("films/")
    assert list(spool.incoming.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.from_regex(r"(films|results)/[0-9a-f./]{2,8}/[0-9a-f./]{30,70}\.dcm", fullmatch=True))
def test_no_name_leads_out_of_the_spool(spool, name):
    try:
        path = spool.path(name)
    except ValueError:
        return
    assert path.resolve().parent.parent in {spool.root / "films", spool.root / "results"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "films/aa/../../../x.dcm", "films/aa/b"])
def test_a_name_that_is_not_ours_is_refused(spool, name):
    with pytest.raises(ValueError, match="expected films"):
        spool.path(name)


def test_a_result_written_twice_is_stored_once(spool):
    first = spool.write_result("2.25.1", lambda file: file.write(b"one"))
    second = spool.write_result("2.25.1", lambda file: file.write(b"two"))
    assert first == second
    assert spool.path(second).read_bytes() == b"two"
    assert list(spool.incoming.iterdir()) == []


def test_a_result_whose_writing_fails_leaves_nothing(spool):
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        spool.write_result("2.25.1", fail)
    assert list(spool.incoming.iterdir()) == []
    assert list(spool.root.glob("results/*/*")) == []


def test_leftovers_of_aborted_associations_go_and_files_being_written_stay(spool, incoming_file):
    fresh = spool.incoming / "fresh"
    fresh.write_bytes(b"")
    os.utime(incoming_file, (1, 1))
    assert spool.clear_incoming(older_than=time.time() - 60) == 1
    assert list(spool.incoming.iterdir()) == [fresh]


def test_a_spool_with_too_little_space_takes_nothing(tmp_path):
    with pytest.raises(space.OutOfSpace, match="MiB free"):
        space.require([tmp_path], floor_bytes=1 << 62, watermark_percent=100)
    with pytest.raises(space.OutOfSpace, match="% in use"):
        space.require([tmp_path], floor_bytes=0, watermark_percent=1e-6)


def test_a_spool_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolUnavailable, match="expected a folder to write in"):
        Spool(tmp_path / "file" / "spool")


@given(st.integers(1, 10_000), st.integers(0, 2**63))
def test_waits_grow_to_a_ceiling_and_differ_between_deliveries(attempts, seed):
    wait = wait_seconds(attempts, seed)
    assert 2.5 <= wait <= LONGEST_WAIT_SECONDS
    assert wait == wait_seconds(attempts, seed)
    assert wait_seconds(attempts + 1, seed) >= wait / 2


def test_a_wait_before_any_attempt_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        wait_seconds(0, 1)
