"""Claim queued films, read them in batches, write their results.

Three things overlap: decoding and building in worker processes, the network in this one. A worker that
dies (a decoder's crash, out of memory, a film that takes too long) takes down no reader: the films it
had in hand are tried again one by one, so that only the one that kills is marked.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import logging
import multiprocessing
import resource
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from daemon.config import Config
from daemon.results import not_analysed, secondary_capture, structured_report
from model.decode import UnreadableFilm
from model.findings import ModelVersion, Reading
from model.reader import InputSizes, PreparedFilm, Reader, prepare
from model.scope import OutOfScope, ScopeRules
from storage import films
from storage.deliveries import NewDelivery
from storage.films import Job
from storage.spool import Spool
from storage.states import FilmState, LostClaim

POLL_SECONDS = 0.25
LEASE = datetime.timedelta(minutes=5)
# Twice the largest film that scope allows, decoded, with room for the libraries.
WORKER_MEMORY_BYTES = 6 << 30
_LOGGER = logging.getLogger("firstread.read")


@dataclasses.dataclass
class InHand:
    """A claimed film on its way through this process: made ready, then answered or refused."""

    job: Job
    prepared: PreparedFilm | None = None
    answer: Reading | OutOfScope | None = None


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

    def run(self, stop: threading.Event, once: bool) -> None:
        """Work until `stop`, or with `once` until nothing is queued; what is in hand is finished first."""
        try:
            while True:
                claimed = 0 if stop.is_set() else self._claim()
                if not (self._working or self._prepared or claimed):
                    if stop.is_set() or once:
                        return
                    stop.wait(POLL_SECONDS)
                if self._working:
                    concurrent.futures.wait(
                        self._working, POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                self._take_finished()
                self._run_network()
                self._beat()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _claim(self) -> int:
        """Claim as many films as keep the workers busy while the network runs."""
        room = 2 * self._config.model.batch_size - len(self._working) - len(self._prepared)
        if room < self._config.model.batch_size:
            return 0
        now = service.now()
        jobs = films.claim(self._engine, self._claimant, room, now, now + LEASE)
        for job in jobs:
            self._prepare(InHand(job))
        return len(jobs)

    def _prepare(self, film: InHand) -> None:
        self._submit(film, _prepare, self._config.scope, self._reader.input_sizes)

    def _build(self, film: InHand) -> None:
        self._submit(
            film, _build, self._spool, film.job, film.prepared, film.answer, self._reader.model,
            self._config.results.longest_side, service.now().astimezone(),
        )  # fmt: skip

    def _submit(self, film: InHand, work: Callable, *arguments: object) -> None:
        path = self._spool.path(film.job.spool_name)
        task = (_bounded, self._config.model.film_timeout_seconds, work, path, *arguments)
        try:
            future = self._pool.submit(*task)
        except BrokenProcessPool:
            # A worker died idle, so that no film is suspect; those in other workers' hands come back broken.
            self._pool = self._new_pool()
            future = self._pool.submit(*task)
        self._working[future] = film

    def _take_finished(self) -> None:
        done = [future for future in self._working if future.done()]
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            self._try_one_by_one()
            return
        for future in done:
            self._take(self._working.pop(future), future)

    def _take(self, film: InHand, future: Future) -> None:
        """Move a film on by what its worker found; the one broad except of the read loop."""
        try:
            found = future.result()
            if film.answer is None:
                film.prepared = found
                self._prepared.append(film)
            else:
                self._finish_answered(film, found)
        except OutOfScope as error:
            self._answer(film, error)
        except not_analysed.NotReportable as error:
            self._retry_or_give_up(film, str(error))
        except UnreadableFilm as error:
            self._finish(film.job, FilmState.FAILED, f"UNREADABLE: {error}")
        except LostClaim as error:
            _LOGGER.warning("%s", error)
        except SQLAlchemyError as error:
            # The film stays READING; its claim lapses and it is read again when the database is back.
            _LOGGER.error("job %d: database: %s", film.job.id, error)
        except Exception as error:
            _LOGGER.exception("job %d: a fault of ours", film.job.id)
            self._retry_or_give_up(film, f"{type(error).__name__}: {error}")

    def _run_network(self) -> None:
        """Read what is prepared, full batch or not: workers decode the next films meanwhile."""
        batch = self._prepared[: self._config.model.batch_size]
        if not batch:
            return
        del self._prepared[: len(batch)]
        self._renew(batch)
        self._read(batch)

    def _renew(self, batch: list[InHand]) -> None:
        with self._claims_of(batch):
            films.renew(self._engine, [film.job.id for film in batch], self._claimant, service.now() + LEASE)

    def _read(self, batch: list[InHand]) -> None:
        try:
            answers = self._reader.read([film.prepared for film in batch])
        except ValueError as error:
            if len(batch) == 1:
                self._retry_or_give_up(batch[0], f"{type(error).__name__}: {error}")
            else:
                # One film's scores are no numbers: each alone, so that the others get theirs.
                for film in batch:
                    self._read([film])
            return
        for film, answer in zip(batch, answers, strict=True):
            self._answer(film, answer)

    def _answer(self, film: InHand, answer: Reading | OutOfScope) -> None:
        """Build what the PACS is told; of most refusals it is told nothing."""
        film.answer = answer
        if isinstance(answer, OutOfScope) and answer.code not in self._config.results.report_not_analysed:
            self._finish(film.job, FilmState.SKIPPED, str(answer))
        else:
            self._build(film)

    def _finish_answered(self, film: InHand, results: list[tuple[str, str, str, str]]) -> None:
        new = [
            NewDelivery(kind, destination.name, sop_class_uid, sop_instance_uid, name)
            for destination in self._config.destination
            for kind, sop_class_uid, sop_instance_uid, name in results
        ]
        if isinstance(film.answer, OutOfScope):
            self._finish(film.job, FilmState.SKIPPED, str(film.answer), new)
            return
        films.finish_read(self._engine, film.job.id, self._claimant, service.now(), figures(film.answer), new)
        _LOGGER.info("job %d: %s read: %s", film.job.id, film.job.sop_instance_uid, film.answer.decision)

    def _retry_or_give_up(self, film: InHand, reason: str) -> None:
        """Another attempt while there are some; a film that was refused lacks no more than its report."""
        job, most = film.job, self._config.model.attempts
        if isinstance(film.answer, OutOfScope):
            _LOGGER.error(
                "job %d: %s not analysed, and no report on it: %s", job.id, job.sop_instance_uid, reason
            )
            self._finish(job, FilmState.SKIPPED, str(film.answer))
            return
        state = FilmState.FAILED if job.attempts >= most else FilmState.QUEUED
        self._finish(job, state, f"attempt {job.attempts} of {most}: {reason}")

    def _finish(self, job: Job, state: FilmState, reason: str, new: Sequence[NewDelivery] = ()) -> None:
        with self._claims_of([InHand(job)]):
            films.finish(self._engine, job.id, self._claimant, state, service.now(), reason, new)
            _LOGGER.info("job %d: %s %s: %s", job.id, job.sop_instance_uid, state, reason)

    @contextlib.contextmanager
    def _claims_of(self, batch: list[InHand]):
        """Leave films whose claim or database was lost to whoever has them, or to the lapse."""
        try:
            yield
        except (LostClaim, SQLAlchemyError) as error:
            _LOGGER.error("jobs %s: %s", [film.job.id for film in batch], error)

    def _new_pool(self) -> ProcessPoolExecutor:
        # forkserver: a fork of this process would carry TensorFlow's threads and their locks. It imports
        # this module once, so that a new worker, the first or one after a crash, is there at once.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        pool = ProcessPoolExecutor(self._config.model.decoders, context, initializer=_start_worker)
        concurrent.futures.wait([pool.submit(int) for _ in range(self._config.model.decoders)])
        return pool

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
                del self._working[future]
                if isinstance(future.exception(), BrokenProcessPool):
                    self._pool = self._new_pool()
                    self._retry_or_give_up(film, "the worker process died or ran out of time on this film")
                else:
                    self._take(film, future)


def figures(reading: Reading) -> dict[str, object]:
    """What the job row keeps of a reading, for lists and charts."""
    return {
        "model": reading.model.name,
        "version": reading.model.version,
        "weights_sha256": reading.model.weights_sha256,
        "decision": str(reading.decision),
        "step1": dict(zip(reading.step1.labels, reading.step1.scores, strict=True)),
        "step2": reading.step2 and dict(zip(reading.step2.labels, reading.step2.scores, strict=True)),
        "inside_lungs": reading.inside and {"both": reading.inside.both, **reading.inside._asdict()},
        "least_inside": reading.least_inside,
        "warnings": list(reading.warnings),
    }


def build_results(
    header: Dataset,
    prepared: PreparedFilm,
    reading: Reading,
    digest: str,
    longest_side: int,
    now: datetime.datetime,
) -> dict[str, Dataset]:
    """The results of one film by kind, ``SC`` and ``SR``.

    `header` must come straight from the file: pydicom keeps the bytes of an element as they are only
    until it is read, and the results copy the patient's elements byte for byte.
    """
    return {
        "SC": secondary_capture.build(
            header, prepared.display, reading, digest, now, longest_side=longest_side
        ),
        "SR": structured_report.build(
            header, reading, digest, now, rows=prepared.rows, columns=prepared.columns
        ),
    }


def _start_worker() -> None:
    """In a worker: no identities in warnings, a bound on memory, and Ctrl-C left to the parent."""
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _bounded(seconds: int, work: Callable, *arguments: object) -> object:
    """Run in a worker; SIGALRM ends the process if a decoder hangs, even in native code."""
    signal.alarm(seconds)
    try:
        return work(*arguments)
    finally:
        signal.alarm(0)


def _prepare(path: Path, rules: ScopeRules, sizes: InputSizes) -> PreparedFilm:
    return prepare(path, rules, sizes)


def _build(
    path: Path,
    spool: Spool,
    job: Job,
    prepared: PreparedFilm | None,
    answer: Reading | OutOfScope,
    model: ModelVersion,
    longest_side: int,
    now: datetime.datetime,
) -> list[tuple[str, str, str, str]]:
    """Write the results or the report on a refusal; of each: kind, SOP class and instance, spool name."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    if isinstance(answer, OutOfScope):
        results = {not_analysed.KIND: not_analysed.build(header, answer, model, job.digest, now)}
    else:
        results = build_results(header, prepared, answer, job.digest, longest_side, now)
    written = []
    for kind, ds in results.items():
        name = spool.write_result(
            ds.SOPInstanceUID, lambda file, ds=ds: ds.save_as(file, enforce_file_format=True)
        )
        written.append((kind, str(ds.SOPClassUID), str(ds.SOPInstanceUID), name))
    return written
