"""daemon/board.py: films between a reader and its workers, in real worker processes."""

import dataclasses
import operator
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from daemon import decoder
from daemon.board import Board, SharedFilm
from model.reader import InputSizes, prepare
from model.scope import ScopeRules

RULES, SIZES = ScopeRules(), InputSizes(lungs=192, steps=64)
RG1 = Path(get_testdata_file("RG1_UNCI.dcm", download=False, read=False))


@pytest.fixture(scope="module")
def board():
    return Board.of(3, SIZES)


@pytest.fixture(scope="module")
def pool(board):
    with decoder.new_pool(2, board) as workers:
        yield workers


@pytest.fixture(scope="module")
def rg1():
    return prepare(RG1, RULES, SIZES)


def mirrored(film):
    """Another picture of the same size."""
    return dataclasses.replace(film, display=film.display[:, ::-1])


def prepared_at(pool, place: int) -> SharedFilm:
    """The film, made ready by a worker that needs no spool: no other one had its UID."""
    return pool.submit(decoder.prepare_on_board, RG1, place, None, None, RULES, SIZES).result()


def test_a_film_from_a_worker_is_the_one_that_was_prepared(pool, board, rg1):
    film = prepared_at(pool, 1)
    assert film.board is board
    for field in ("display", "lungs_input", "network_input"):
        assert np.array_equal(getattr(film, field), getattr(rg1, field))
    assert (film.rows, film.columns, film.warnings) == (rg1.rows, rg1.columns, rg1.warnings)


def test_a_worker_that_is_given_the_film_sees_its_picture(pool, rg1):
    film = prepared_at(pool, 2).answered()
    seen = pool.submit(operator.attrgetter("display"), film).result()
    assert np.array_equal(seen, rg1.display)


def test_no_pixel_of_a_film_goes_through_a_pipe(pool, rg1):
    film = prepared_at(pool, 0)
    assert len(pickle.dumps(film)) < 1000 < rg1.display.nbytes


def test_films_at_other_places_stay_as_they_are(pool, board, rg1):
    first = prepared_at(pool, 0)
    board.put(mirrored(rg1), 1)
    assert np.array_equal(first.display, rg1.display)


def test_a_film_is_carried_to_the_board_of_the_workers_that_come_after(pool, board, rg1):
    film, later = prepared_at(pool, 0), Board.of(3, SIZES)
    carried = later.put(film, 0)
    board.put(mirrored(rg1), 0)  # as a worker might that is not quite dead
    assert carried.board is later
    assert np.array_equal(carried.display, rg1.display)
    assert later.put(carried, 0) is carried
