"""Claim queued films, read them in batches, write their results.

Three things overlap: decoding and building in worker processes, the network in this one. A worker that
dies (a decoder's crash, out of memory, a film that takes too long) takes down no reader: the films it
had in hand are tried again one by one, so that only the one that kills is marked. What came back from a
reader that died is claimed one by one for the same reason. Trouble of the node's own, a full disk or a
database away, costs no film an attempt: it waits.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import errno
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import decoder, logs, metrics, service
from daemon.board import Board, SharedFilm
from daemon.config import Config
from daemon.moves import DATABASE_WAIT_SECONDS, Moves
from daemon.results import maps
from daemon.results.not_analysed import NotReportable
from daemon.results.notification import figures
from model.decode import UnreadableFilm
from model.findings import Reading
from model.reader import Reader
from model.scope import OutOfScope
from storage import claims, database, films, withdrawals
from storage.claims import Job
from storage.films import ReadFilm
from storage.spool import Spool
from storage.states import FilmState
from storage.wakeup import Wakeup

POLL_SECONDS = 0.25
LEASE = datetime.timedelta(minutes=5)
# How long a film that is ready waits for others that are being made ready: a batch costs less a film.
BATCH_SECONDS = 0.1
# A disk in trouble is asked again after so long.
DISK_WAIT_SECONDS = 5.0
DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LOGGER = logging.getLogger("firstread.read")


@dataclasses.dataclass
class InHand:
    """A claimed film on its way through this process: made ready, then answered or refused."""

    job: Job
    renewed: float  # monotonic, seconds
    place: int  # on the board
    prepared: SharedFilm | None = None
    ready: float = 0.0  # monotonic, seconds
    answer: Reading | OutOfScope | None = None
    decode_seconds: float = 0.0
    network_seconds: float = 0.0


class ReadLoop:
    """Reads films until told to stop.

    Parameters
    ----------
    config : Config
    engine : sqlalchemy.Engine
    spool : Spool
    reader : Reader
    beat : callable
        Called after each pass as a sign of life.
    """

    def __init__(
        self, config: Config, engine: Engine, spool: Spool, reader: Reader, beat: Callable[[], None]
    ) -> None:
        self._config = config
        self._engine = engine
        self._spool = spool
        self._reader = reader
        self._claimant = service.claimant("read")
        self._working: dict[Future, InHand] = {}
        self._prepared: list[InHand] = []
        self._pool = self._new_pool()
        self._beat = beat
        self._moves = Moves(engine, self._claimant)
        self._claim_is_unsure = False
        self._claimed = 0
        self._last_batch = (0, 0.0)
        self._wakeup = Wakeup(engine, FilmState.QUEUED)
        _LOGGER.info("networks on %s", reader.device)

    def describe(self) -> str:
        """What reads and how fast; the note of the heartbeat."""
        model, (films_read, seconds) = self._reader.model, self._last_batch
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return json.dumps(
            {
                "model": f"{model.name} {model.version}",
                "weights_sha256": model.weights_sha256,
                "batch": films_read,
                "milliseconds": round(1000 * seconds),
                "memory_mib": resident * os.sysconf("SC_PAGE_SIZE") >> 20,
            }
        )

    def run(
        self, stop: threading.Event, once: bool, look: Callable[[Config], Config | None]
    ) -> Config | None:
        """Work until `stop`, a new config or `films_a_process`, or with `once` until nothing is queued.

        What is in hand is finished first.

        Parameters
        ----------
        stop : threading.Event
        once : bool
        look : callable
            Is given the running config; the one to take over, None if there is no other.

        Returns
        -------
        Config or None
            What another loop is to go on with; None if this process has nothing more to do.
        """
        new = None
        try:
            while True:
                is_worn = not once and self._claimed >= self._config.model.films_a_process
                new = new or (None if once else look(self._config))
                claimed = 0 if stop.is_set() or is_worn or new else self._claim(once)
                if not (self._working or self._prepared or claimed):
                    # What is unwritten when told to stop comes back at this process's end, and is read again.
                    if stop.is_set() or (once and not self._moves.is_behind):
                        return None
                    if is_worn and not self._moves.is_behind:
                        _LOGGER.info("%d films read; a new process takes over", self._claimed)
                        return None
                    if new and not self._moves.is_behind:
                        return new
                    self._wakeup.wait(stop, POLL_SECONDS)
                if self._working:
                    patience = self._seconds_to_wait() if self._prepared else POLL_SECONDS
                    concurrent.futures.wait(
                        self._working, patience, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                self._take_finished()
                self._run_network()
                self._moves.write(more_to_come=bool(self._working or self._prepared))
                self._beat()
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._wakeup.close()

    def _claim(self, once: bool) -> int:
        """Claim as many films as keep the workers busy while the network runs."""
        in_hand = [*self._working.values(), *self._prepared]
        room = 2 * self._config.model.batch_size - len(in_hand)
        is_alone = any(film.job.attempts > 1 for film in in_hand)
        if room < self._config.model.batch_size or is_alone or self._moves.is_troubled:
            return 0
        now = service.now()
        # No more of these at once than keep the workers busy: a live film waits until they are done with.
        retrospective = max(0, 2 * self._config.model.decoders - len(in_hand))
        try:
            self._put_back_unknown({film.job.id for film in in_hand} | self._moves.gathered)
            jobs = claims.claim(
                self._engine, self._claimant, room, now, now + LEASE, bool(in_hand), retrospective
            )
        except SQLAlchemyError as error:
            if once:
                raise
            _LOGGER.error("database: nothing claimed: %s", service.first_line(error))
            self._claim_is_unsure = True
            self._moves.wait(DATABASE_WAIT_SECONDS)
            return 0
        taken = {film.place for film in in_hand}
        free = (place for place in range(2 * self._config.model.batch_size) if place not in taken)
        for job in jobs:
            metrics.took("wait", (now - job.received_at).total_seconds())
            self._prepare(InHand(job, time.monotonic(), next(free)))
        self._claimed += len(jobs)
        return len(jobs)

    def _put_back_unknown(self, in_hand: set[int]) -> None:
        """Give back what a claim took whose answer was lost."""
        if not self._claim_is_unsure:
            return
        with database.reading(self._engine) as connection:
            unknown = claims.claimed_by(connection, self._claimant) - in_hand
        films.put_back(self._engine, sorted(unknown), self._claimant, service.now(), "never taken in hand")
        self._claim_is_unsure = False

    def _prepare(self, film: InHand) -> None:
        before = film.job.same_uid
        same_uid = None if before is None else before.spool_name
        self._submit(
            film, decoder.prepare_on_board, film.place, self._spool, same_uid, self._config.scope,
            self._reader.input_sizes,
        )  # fmt: skip

    def _build(self, film: InHand) -> None:
        prepared = film.prepared and film.prepared.answered()
        self._submit(
            film, decoder.build, self._spool, film.job, prepared, film.answer, self._reader.model,
            self._config, service.now().astimezone(),
        )  # fmt: skip

    def _submit(self, film: InHand, work: Callable, *arguments: object) -> None:
        try:
            future = self._pool.submit(*self._task(film, work, arguments))
        except BrokenProcessPool:
            # A worker died idle, so that no film is suspect; those in other workers' hands come back broken.
            self._pool = self._new_pool()
            future = self._pool.submit(*self._task(film, work, arguments))
        self._working[future] = film

    def _task(self, film: InHand, work: Callable, arguments: Sequence[object]) -> tuple:
        """What a worker is to do, with pictures on the board that it has, perhaps another than before."""
        seconds, name = self._config.model.film_timeout_seconds, film.job.spool_name
        seen = (self._board.put(one, film.place) if isinstance(one, SharedFilm) else one for one in arguments)
        return decoder.bounded_on, seconds, self._spool, name, work, *seen

    def _take_finished(self) -> None:
        done = [future for future in self._working if future.done()]
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            self._try_one_by_one()
            return
        for future in done:
            self._take(self._working.pop(future), future)

    def _take(self, film: InHand, future: Future) -> None:
        with logs.about(job=film.job.id, sop_instance_uid=film.job.sop_instance_uid):
            self._take_found(film, future)

    def _take_found(self, film: InHand, future: Future) -> None:
        """Move a film on by what its worker found; the one broad except of the read loop."""
        try:
            found, seconds = future.result()
            if film.answer is None:
                metrics.took("decode", seconds)
                film.prepared, film.ready, film.decode_seconds = found, time.monotonic(), seconds
                self._prepared.append(film)
            else:
                self._finish_answered(film, found)
        except OutOfScope as error:
            self._answer(film, error)
        except decoder.Conflict:
            self._moves.finish(film.job, FilmState.SKIPPED, conflict(film.job.same_uid.job))
        except NotReportable as error:
            self._retry_or_give_up(film, str(error))
        except UnreadableFilm as error:
            self._moves.finish(film.job, FilmState.FAILED, f"UNREADABLE: {error}")
        except FileNotFoundError:
            self._retry_or_give_up(film, "MISSING: found no file in the spool, expected the film")
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
                self._wait_for_disk(film, f"spool: {error.strerror}")
                return
            _LOGGER.exception("job %d: a fault of ours", film.job.id)
            self._retry_or_give_up(film, f"a fault of ours: {logs.place(error)}")

    def _wait_for_disk(self, film: InHand, reason: str) -> None:
        self._moves.wait(DISK_WAIT_SECONDS)
        _LOGGER.error("job %d: %s; put back", film.job.id, reason)
        self._moves.put_back(film.job, reason)

    def _run_network(self) -> None:
        """Read what is prepared when it is time to: workers decode the next films meanwhile."""
        if not self._prepared or self._seconds_to_wait() > 0:
            return
        batch = self._prepared[: self._config.model.batch_size]
        del self._prepared[: len(batch)]
        self._renew(batch)
        self._read(batch)

    def _seconds_to_wait(self) -> float:
        """How long what is prepared waits for a full batch, while there is a film that may fill it."""
        is_another_coming = any(film.answer is None for film in self._working.values())
        if len(self._prepared) >= self._config.model.batch_size or not is_another_coming:
            return 0.0
        return max(0.0, self._prepared[0].ready + BATCH_SECONDS - time.monotonic())

    def _renew(self, batch: list[InHand]) -> None:
        """Keep claims of which a fifth is over: each is a write of the database's."""
        began = time.monotonic()
        old = [film for film in batch if began - film.renewed > LEASE.total_seconds() / 5]
        if not old:
            return
        with contextlib.suppress(SQLAlchemyError):  # the next write tells
            claims.renew(self._engine, [film.job.id for film in old], self._claimant, service.now() + LEASE)
            for film in old:
                film.renewed = began

    def _read(self, batch: list[InHand]) -> None:
        began = time.monotonic()
        try:
            answers = self._reader.read([film.prepared for film in batch])
        except ValueError as error:
            if len(batch) == 1:
                self._retry_or_give_up(batch[0], f"{type(error).__name__}: {error}")  # of the scores alone
            else:
                # One film's scores are no numbers: each alone, so that the others get theirs.
                for film in batch:
                    self._read([film])
            return
        seconds = time.monotonic() - began
        self._last_batch = len(batch), seconds
        metrics.took("inference", seconds)
        for film, answer in zip(batch, answers, strict=True):
            film.network_seconds = seconds / len(batch)
            self._answer(film, answer)

    def _answer(self, film: InHand, answer: Reading | OutOfScope) -> None:
        """Build what the PACS is told; of most refusals it is told nothing."""
        film.answer = answer
        if isinstance(answer, OutOfScope) and answer.code not in self._config.results.report_not_analysed:
            self._moves.finish(film.job, FilmState.SKIPPED, str(answer))
        else:
            self._build(film)

    def _finish_answered(self, film: InHand, built: decoder.Built) -> None:
        new = built.deliveries
        if built.conflict:
            _LOGGER.warning("job %d: %s", film.job.id, built.conflict)
        if isinstance(film.answer, OutOfScope):
            self._moves.finish(film.job, FilmState.SKIPPED, str(film.answer), new)
            return
        found = figures(film.answer)
        found["warnings"] += [built.conflict] if built.conflict else []
        found["seconds"] = {"decode": film.decode_seconds, "network": film.network_seconds}
        read = ReadFilm(film.job.id, service.now(), found, new, maps.pack(film.answer))
        self._moves.read(film.job, read)

    def _retry_or_give_up(self, film: InHand, reason: str) -> None:
        """Another attempt while there are some; a film that was refused lacks no more than its report."""
        job, most = film.job, self._config.model.attempts
        if isinstance(film.answer, OutOfScope):
            _LOGGER.error(
                "job %d: %s not analysed, and no report on it: %s", job.id, job.sop_instance_uid, reason
            )
            self._moves.finish(job, FilmState.SKIPPED, str(film.answer))
            return
        state = FilmState.FAILED if job.attempts >= most else FilmState.QUEUED
        self._moves.finish(job, state, f"attempt {job.attempts} of {most}: {reason}")

    def _new_pool(self) -> ProcessPoolExecutor:
        self._board = Board.of(2 * self._config.model.batch_size, self._reader.input_sizes)
        return decoder.new_pool(self._config.model.decoders, self._board)

    def _try_one_by_one(self) -> None:
        """After a worker's death: all films in hand again, each alone, so that the killer stands out."""
        suspects = list(self._working.values())
        self._working.clear()
        _LOGGER.error("a worker process died; trying its films one by one")
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new_pool()
        for film in suspects:
            if film.answer is None:
                self._prepare(film)
            else:
                self._build(film)
            while self._working:  # once more for the report on a film that its header refused
                (future,) = self._working
                concurrent.futures.wait([future])
                self._beat()
                self._renew(suspects)
                self._moves.write(more_to_come=True)
                del self._working[future]
                if isinstance(future.exception(), BrokenProcessPool):
                    self._pool = self._new_pool()
                    self._retry_or_give_up(film, "the worker process died or ran out of time on this film")
                else:
                    self._take(film, future)


def conflict(job: int) -> str:
    """The reason of a film that is another than the one whose SOP Instance UID it has."""
    return (
        f"{withdrawals.CONFLICT}: found other pixels under the SOP Instance UID of job {job}, "
        "expected one film a UID; requeue to read this one too"
    )
