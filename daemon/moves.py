"""How a reader's films are moved on in the job database, also while it is away."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import logs, metrics, service
from storage import database, films, monitoring
from storage.claims import Job
from storage.deliveries import NewDelivery
from storage.films import ReadFilm
from storage.states import FilmState, LostClaim

# What is in trouble is asked again after so long.
DATABASE_WAIT_SECONDS = 1.0
# While others are on their way, what was read waits so long for a common transaction.
GATHER_SECONDS = 0.05
_LOGGER = logging.getLogger("firstread.read")


class Moves:
    """The moves of films that one claimant has READING.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    claimant : str
    """

    def __init__(self, engine: Engine, claimant: str) -> None:
        self._engine = engine
        self._claimant = claimant
        self._gathered: list[tuple[Job, ReadFilm]] = []
        self._gathered_since = 0.0
        self._unwritten: list[tuple[Job, Callable[[], None]]] = []
        self._quiet_until = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether the database has not taken a move."""
        return bool(self._unwritten)

    @property
    def is_troubled(self) -> bool:
        """Whether new films had better wait."""
        return self.is_behind or time.monotonic() < self._quiet_until

    @property
    def gathered(self) -> set[int]:
        """Jobs whose films were read and that are not moved on yet."""
        return {job.id for job, _ in self._gathered}

    def wait(self, seconds: float) -> None:
        """Ask nothing of database and disk for so long."""
        self._quiet_until = time.monotonic() + seconds

    def read(self, job: Job, read: ReadFilm) -> None:
        """READING to READ, at the next `write` or soon after."""
        if not self._gathered:
            self._gathered_since = time.monotonic()
        self._gathered.append((job, read))

    def finish(self, job: Job, state: FilmState, reason: str, new: Sequence[NewDelivery] = ()) -> None:
        """READING to an end with a reason, or back to QUEUED."""
        self._move(job, partial(self._write_end, job, state, reason, new))

    def put_back(self, job: Job, reason: str) -> None:
        """READING to QUEUED, the attempt not counted."""
        self._move(job, lambda: films.put_back(self._engine, [job.id], self._claimant, service.now(), reason))

    def write(self, more_to_come: bool) -> None:
        """Move on what was read, in one transaction, and then what the database did not take.

        Parameters
        ----------
        more_to_come : bool
            Whether films are in hand that may soon be read.
        """
        is_young = time.monotonic() - self._gathered_since < GATHER_SECONDS
        if self._gathered and not (is_young and more_to_come):
            self._write_gathered()
        if time.monotonic() < self._quiet_until:
            return
        waiting, self._unwritten = self._unwritten, []
        while waiting and self._move(*waiting.pop(0)):
            pass
        # What was not taken just now comes last: the trouble may be its own.
        self._unwritten = waiting + self._unwritten

    def _write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        try:
            lost = films.finish_all_read(self._engine, self._claimant, [read for _, read in gathered])
        except SQLAlchemyError as error:
            _LOGGER.error("database, to be written again: %s", service.first_line(error))
            self._unwritten += [(job, partial(self._write_read, job, read)) for job, read in gathered]
            self.wait(DATABASE_WAIT_SECONDS)
            return
        for job, read in gathered:
            if job.id in lost:
                _LOGGER.warning("%s", lost[job.id])
            else:
                self._tell(job, read)

    def _write_read(self, job: Job, read: ReadFilm) -> None:
        """One alone, after trouble that may have been about another."""
        films.finish_read(
            self._engine, job.id, self._claimant, read.at, read.reading, read.deliveries, read.maps
        )
        self._tell(job, read)

    def _write_end(self, job: Job, state: FilmState, reason: str, new: Sequence[NewDelivery]) -> None:
        films.finish(self._engine, job.id, self._claimant, state, service.now(), reason, new)
        metrics.film_moved(state, monitoring.reason_code(state, reason))
        _LOGGER.info("job %d: %s %s: %s", job.id, job.sop_instance_uid, state, reason)

    def _tell(self, job: Job, read: ReadFilm) -> None:
        metrics.film_moved(FilmState.READ)
        with logs.about(job=job.id, sop_instance_uid=job.sop_instance_uid):
            _LOGGER.info("job %d: %s read: %s", job.id, job.sop_instance_uid, read.reading["decision"])

    def _move(self, job: Job, write: Callable[[], None]) -> bool:
        """Move a film on; what the database does not take is kept for `write`, if refused as a failure."""
        try:
            with logs.about(job=job.id, sop_instance_uid=job.sop_instance_uid):
                write()
        except LostClaim as error:
            _LOGGER.warning("%s", error)
        except SQLAlchemyError as error:
            _LOGGER.error("job %d: database, to be written again: %s", job.id, service.first_line(error))
            if database.refuses_values(error):
                reason = f"a fault of ours: the database refuses what was found ({type(error).__name__})"
                write = partial(self._write_end, job, FilmState.FAILED, reason, ())
            self._unwritten.append((job, write))
            self.wait(DATABASE_WAIT_SECONDS)
            return False
        return True
