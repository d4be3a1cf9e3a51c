"""Films to rows of scores: worker processes fetch and decode ahead, the network runs in this process.

A film that kills its worker, or takes too long, costs no other film its row: what was in the workers' hands
is done again one film at a time, in a worker of its own, and only what kills that one too is given up.
"""

import contextlib
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple

from daemon import logs
from daemon.archive import places, rows
from daemon.archive.film import Decoded, Refused, decode, failed, shown, skipped
from daemon.decoder import bounded, new_pool
from daemon.results import wording
from model.findings import Reading
from model.reader import PreparedFilm, Reader
from model.scope import OutOfScope, ScopeRules
from model.texture.regions import textures

# Waits for a place that is away, in seconds; then the run ends, to be gone on with.
WAITS = (5, 15, 60, 120, 300, 300)
_LOGGER = logging.getLogger("firstread.archive")

Row = dict[str, object]
Told = Callable[[Counter[str]], None]


@dataclass(frozen=True)
class Settings:
    """How films are read.

    Parameters
    ----------
    version : str
        Name of the model version.
    batch_size : int
        Films that the network takes in one call.
    film_timeout_seconds : int
        Longest that decoding a film may take, and its texture.
    rules : ScopeRules
    most_bytes : int
        A larger file is not read.
    texture : bool
        Whether the texture of lungs and main region is measured.
    """

    version: str
    batch_size: int
    film_timeout_seconds: int
    rules: ScopeRules
    most_bytes: int
    texture: bool = False


class Part(NamedTuple):
    """Films whose rows make one file.

    Parameters
    ----------
    number : int
    films : sequence of str
        Their names in their place.
    """

    number: int
    films: Sequence[str]


class _InHand(NamedTuple):
    """A film on its way: decoded, then answered."""

    part: int
    name: str
    decoded: Decoded | None = None
    answer: Reading | Refused | None = None


class _Killed(RuntimeError):
    """Work that ends its process each time."""


class Scorer:
    """The networks, loaded once, and the processes that work for them.

    Parameters
    ----------
    settings : Settings
    workers : int
        Processes that fetch, decode, and measure texture.
    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._reader = Reader(settings.version, settings.batch_size)
        self._pool = new_pool(workers)
        self._lone: ProcessPoolExecutor | None = None
        self._seconds = settings.film_timeout_seconds
        self._ahead = 2 * settings.batch_size + 2 * workers
        self.model = self._reader.model

    def close(self) -> None:
        """End the worker processes."""
        for pool in (self._pool, self._lone):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def score(self, where: str, parts: Iterable[Part], tell: Told) -> Iterator[tuple[int, list[Row]]]:
        """Read films, part after part, without a pause in between.

        Parameters
        ----------
        where : str
            Their place.
        parts : iterable of Part
        tell : callable
            Is given numbers of films by state as they get their rows.

        Yields
        ------
        number : int
            Of the part.
        rows : list of dict
            One for each film, in their order; the same on each run, whatever the number of workers.

        Raises
        ------
        daemon.archive.places.PlaceAway
            If the films' place stays away.
        """
        self._seconds = self._settings.film_timeout_seconds + places.place(where).fetch_seconds
        films = (_InHand(part.number, name) for part in parts for name in part.films)
        described = self._described(self._answered(self._decoded(where, films)), tell)
        for number, of_part in itertools.groupby(described, key=lambda pair: pair[0]):
            yield number, [row for _, row in of_part]

    def _decoded(self, where: str, films: Iterable[_InHand]) -> Iterator[_InHand]:
        settings, sizes = self._settings, self._reader.input_sizes

        def work(film: _InHand) -> tuple:
            return decode, where, film.name, settings.rules, sizes, settings.most_bytes

        for film, found in self._in_workers(films, work):
            is_given_up = isinstance(found, Refused)
            yield film._replace(decoded=Decoded(found, {"film": shown(film.name)}) if is_given_up else found)

    def _answered(self, films: Iterable[_InHand]) -> Iterator[_InHand]:
        """Batches end with their part, so that a part has the same scores whatever was read before it."""
        for _, of_part in itertools.groupby(films, key=lambda film: film.part):
            batch: list[_InHand] = []
            to_read = 0
            for film in of_part:
                batch.append(film)
                to_read += isinstance(film.decoded.outcome, PreparedFilm)
                if to_read == self._settings.batch_size:
                    yield from self._with_answers(batch)
                    batch, to_read = [], 0
            yield from self._with_answers(batch)

    def _with_answers(self, batch: Sequence[_InHand]) -> Iterator[_InHand]:
        outcomes = [film.decoded.outcome for film in batch]
        answers = iter(self._read([one for one in outcomes if isinstance(one, PreparedFilm)]))
        for film, outcome in zip(batch, outcomes, strict=True):
            yield film._replace(answer=outcome if isinstance(outcome, Refused) else next(answers))

    def _read(self, films: Sequence[PreparedFilm]) -> list[Reading | Refused]:
        if not films:
            return []
        try:
            answers = self._reader.read(films)
        except ValueError as error:
            if len(films) > 1:
                # One film's scores are no numbers: each alone, so that the others get theirs.
                return [answer for film in films for answer in self._read([film])]
            return [failed("FAULT", str(error))]
        return [skipped(one) if isinstance(one, OutOfScope) else one for one in answers]

    def _described(self, films: Iterable[_InHand], tell: Told) -> Iterator[tuple[int, Row]]:
        def work(film: _InHand) -> tuple | None:
            answer = film.answer
            if not self._settings.texture or not isinstance(answer, Reading):
                return None
            return textures, film.decoded.outcome.display, answer.lungs, wording.place_of(answer)

        for film, found in self._in_workers(films, work):
            answer = found if isinstance(found, Refused) else film.answer
            row = rows.row(film.decoded, answer, found or {}, self.model)
            tell(Counter([str(row["state"])]))
            yield film.part, row

    def _in_workers(
        self, films: Iterable[_InHand], work: Callable[[_InHand], tuple | None]
    ) -> Iterator[tuple[_InHand, object]]:
        """Films in their order with what workers made of them, while later ones are being worked on."""
        waiting: deque[tuple[_InHand, tuple | None, Future | None]] = deque()
        for film in films:
            task = work(film)
            waiting.append((film, task, task and self._submit(task)))
            if len(waiting) > self._ahead:
                yield self._finished(*waiting.popleft())
        while waiting:
            yield self._finished(*waiting.popleft())

    def _submit(self, task: tuple) -> Future:
        try:
            return self._pool.submit(bounded, self._seconds, *task)
        except BrokenProcessPool:
            self._pool = new_pool(self._workers)
            return self._pool.submit(bounded, self._seconds, *task)

    def _finished(self, film: _InHand, task: tuple | None, future: Future | None) -> tuple[_InHand, object]:
        """What became of a film in a worker; the one broad except of an archive's loop."""
        if task is None:
            return film, None
        try:
            return film, self._result(task, future)
        except _Killed:
            return film, failed("FAULT", "the worker process died or ran out of time on this film")
        except places.PlaceAway:
            raise
        except Exception as error:
            _LOGGER.exception("a film in part %d: a fault of ours", film.part)
            return film, failed("FAULT", f"a fault of ours: {logs.place(error)}")

    def _result(self, task: tuple, future: Future) -> object:
        with contextlib.suppress(BrokenProcessPool, places.PlaceAway):
            return future.result()[0]
        waits = iter(WAITS)
        while True:
            try:
                return self._alone(task)
            except places.PlaceAway as error:
                wait = next(waits, None)
                if wait is None:
                    raise
                _LOGGER.warning("%s; tried again in %d seconds", error, wait)
                time.sleep(wait)

    def _alone(self, task: tuple) -> object:
        """Work that may have killed a process, in one of its own."""
        self._lone = self._lone or new_pool(1)
        try:
            return self._lone.submit(bounded, self._seconds, *task).result()[0]
        except BrokenProcessPool as error:
            self._lone.shutdown(wait=False)
            self._lone = None
            raise _Killed from error
