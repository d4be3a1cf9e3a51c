"""What is kept for the page of one film: maps, in their table and as arrays, and verdicts."""

import numpy as np
import pytest
import readings
from conftest import NOW
from test_jobs import READING, received

from daemon.results import maps
from storage import claims, database, film_maps, films, verdicts
from storage.states import Opinion
from storage.verdicts import Verdict


@pytest.fixture
def read_film(engine):
    """Job of a film that was read as COVID-19, with its maps."""
    job = films.enqueue(engine, received(), NOW).job
    claims.claim(engine, "r", 1, NOW, NOW, False)
    figures = READING | {"decision": "COVID-19", "model": "example-1", "version": "0.0.0"}
    films.finish_read(engine, job, "r", NOW, figures, [], maps.pack(readings.covid()))
    return job


def test_maps_come_back_as_they_were(engine, read_film):
    with database.reading(engine) as connection:
        kept = film_maps.of_film(connection, read_film)
    activation, lungs = maps.unpack(kept)
    reading = readings.covid()
    assert (kept.label, kept.step, kept.cell_rows, kept.cell_columns) == ("COVID-19", 2, 8, 8)
    assert np.abs(activation - reading.activation).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(lungs, reading.lungs)
    assert len(kept.activation) + len(kept.lungs) < 2000


def test_a_film_read_again_has_the_newer_maps(engine, read_film):
    films.requeue(engine, read_film, "test", NOW)
    claims.claim(engine, "r", 1, NOW, NOW, False)
    films.finish_read(engine, read_film, "r", NOW, READING, [], maps.pack(readings.bacterial()))
    with database.reading(engine) as connection:
        assert film_maps.of_film(connection, read_film).label == "bacterial"


def test_a_verdict_is_kept_with_user_time_and_what_it_is_about_and_changes_no_score(engine, read_film):
    with database.reading(engine) as connection:
        before = films.get(connection, read_film)
    verdicts.add(engine, read_film, Verdict(Opinion.AGREE), "reader-1", NOW)
    verdicts.add(engine, read_film, Verdict(Opinion.DISAGREE, "other finding", "nodules "), "reader-2", NOW)
    with database.reading(engine) as connection:
        newest, first = verdicts.of_film(connection, read_film)
        assert films.get(connection, read_film) == before
    assert (newest.opinion, newest.finding, newest.remark) == ("DISAGREE", "other finding", "nodules")
    assert (first.user_name, first.at, first.version, first.decision) == (
        "reader-1", NOW, "example-1 0.0.0", "COVID-19",
    )  # fmt: skip


def test_there_is_no_verdict_on_a_film_that_was_not_read(engine):
    job = films.enqueue(engine, received(), NOW).job
    with pytest.raises(verdicts.NoReading, match="QUEUED, expected READ"):
        verdicts.add(engine, job, Verdict(Opinion.AGREE), "reader-1", NOW)
    with pytest.raises(films.NoSuchJob):
        verdicts.add(engine, job + 1, Verdict(Opinion.AGREE), "reader-1", NOW)


@pytest.mark.parametrize(
    "said",
    [("DISAGREE", "", ""), ("DISAGREE", "cancer", ""), ("DISAGREE", "other finding", " "),
     ("DISAGREE", "normal", "a remark"), ("AGREE", "normal", ""), ("UNSURE", "", "a remark")],
)  # fmt: skip
def test_a_verdict_whose_parts_do_not_go_together_is_refused(said):
    with pytest.raises(ValueError, match="expected"):
        Verdict(Opinion(said[0]), *said[1:])
