"""How a reader's films are moved on, also while the database is away."""

import dataclasses
import time

import pytest
from sqlalchemy.exc import OperationalError
from test_jobs import LATER, NOW, READING, received, result, state_of

from daemon import moves
from storage import claims, films
from storage.films import ReadFilm
from storage.states import FilmState


@pytest.fixture
def claimed(engine):
    """Moves of a claimant, and the three films that it has READING."""
    for n in range(3):
        films.enqueue(engine, received(f"1.2.{n}", f"{n:064x}"), NOW)
    return moves.Moves(engine, "r"), claims.claim(engine, "r", 3, NOW, LATER)


def read(of_claimant: moves.Moves, jobs) -> None:
    for job in jobs:
        one = dataclasses.replace(result(), sop_instance_uid=f"2.25.{job.id}")
        of_claimant.read(job, ReadFilm(job.id, NOW, READING, [one]))


def states(engine, jobs) -> set[str]:
    return {state_of(engine, job.id) for job in jobs}


def test_what_was_read_waits_shortly_for_what_is_on_its_way_and_for_nothing_else(engine, claimed):
    of_claimant, jobs = claimed
    read(of_claimant, jobs[:2])
    of_claimant.write(more_to_come=True)
    assert of_claimant.gathered == {job.id for job in jobs[:2]}
    of_claimant.write(more_to_come=False)
    assert states(engine, jobs[:2]) == {FilmState.READ}
    read(of_claimant, jobs[2:])
    limit = time.monotonic() + 30
    while of_claimant.gathered and time.monotonic() < limit:
        of_claimant.write(more_to_come=True)
    assert states(engine, jobs) == {FilmState.READ}


def test_what_the_database_does_not_take_together_it_is_given_one_by_one(engine, claimed, monkeypatch):
    of_claimant, jobs = claimed

    def away(*_arguments):
        raise OperationalError("UPDATE", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(films, "finish_all_read", away)
        read(of_claimant, jobs)
        of_claimant.write(more_to_come=False)
    assert of_claimant.is_behind
    assert states(engine, jobs) == {FilmState.READING}
    films.put_back(engine, [jobs[0].id], "r", NOW, "elsewhere")
    of_claimant.wait(0)
    of_claimant.write(more_to_come=False)
    assert not of_claimant.is_behind
    assert [state_of(engine, job.id) for job in jobs] == [FilmState.QUEUED, FilmState.READ, FilmState.READ]


def test_a_film_whose_figures_the_database_refuses_fails_and_holds_up_no_other(engine, claimed):
    of_claimant, jobs = claimed
    refused, *others = jobs
    nameless = dataclasses.replace(result(), sop_instance_uid=None)
    of_claimant.read(refused, ReadFilm(refused.id, NOW, READING, [nameless]))
    read(of_claimant, others)
    for _ in range(3):
        of_claimant.wait(0)
        of_claimant.write(more_to_come=False)
    assert not of_claimant.is_behind
    assert states(engine, others) == {FilmState.READ}
    with engine.connect() as connection:
        row = films.get(connection, refused.id)
    assert row.state == FilmState.FAILED
    assert row.reason == "a fault of ours: the database refuses what was found (IntegrityError)"


def test_a_move_that_the_database_never_takes_is_asked_for_after_the_others(engine, claimed, monkeypatch):
    of_claimant, jobs = claimed
    finish, stuck = films.finish, {job.id for job in jobs}

    def troubled(engine, job, *arguments):
        if job in stuck:
            raise OperationalError("UPDATE", {}, Exception("of this row alone"))
        finish(engine, job, *arguments)

    monkeypatch.setattr(films, "finish", troubled)
    for job in jobs:
        of_claimant.finish(job, FilmState.SKIPPED, "MODALITY: found MG, expected CR or DX")
    stuck &= {jobs[0].id}
    for _ in range(2):
        of_claimant.wait(0)
        of_claimant.write(more_to_come=False)
    assert of_claimant.is_behind
    assert states(engine, jobs[1:]) == {FilmState.SKIPPED}
