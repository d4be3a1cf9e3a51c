"""Read films that the node has read with a second model version, in the shadow of the first.

Nothing is built or sent: figures go into a table of their own. The reader that answers comes first: this is a
process of its own, of the lowest priority, off the GPU, and it takes a film only while none waits for that
reader. One film at a time, so that a film that kills it, or its decoder, is known and costs only its own
attempts. The newest film comes first: what two versions say of today's films is what is to be compared; films
from before the shadow are caught up with later, as far as retention has left them.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import decoder, service
from daemon.config import Config
from daemon.results.notification import figures
from model.decode import UnreadableFilm
from model.findings import Reading
from model.reader import Reader
from model.scope import OutOfScope
from storage import database, shadow
from storage.spool import Spool

POLL_SECONDS = 0.5
DATABASE_WAIT_SECONDS = 5.0
LOWEST_PRIORITY = 19
# Where memory runs out the kernel ends this process before the reader (proc(5), oom_score_adj).
OOM_SCORE = 500
# Exit status of a process that a new one is to follow at once, as the unit knows (sysexits.h).
WORN = os.EX_TEMPFAIL
_LOGGER = logging.getLogger("firstread.shadow")


def step_back() -> None:
    """Leave processors, GPU and memory to the reader; to be called before TensorFlow is loaded."""
    os.nice(LOWEST_PRIORITY)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with contextlib.suppress(OSError):  # a container may not let us
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


class ShadowLoop:
    """Reads in the shadow until told to stop.

    Parameters
    ----------
    config : Config
    engine : sqlalchemy.Engine
    spool : Spool
    reader : Reader
        Of the second version.
    beat : callable
        Called after each pass as a sign of life, with how many films there are to be read.
    """

    def __init__(
        self, config: Config, engine: Engine, spool: Spool, reader: Reader, beat: Callable[[str], None]
    ) -> None:
        self._config = config
        self._engine = engine
        self._spool = spool
        self._reader = reader
        self._beat = beat
        self._pool = decoder.new_pool(1)
        self._waiting: set[int] = set()
        self._seen: int | None = None  # the newest event, once the films from before it are known

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop`, or until `films_a_process` films were read: then True."""
        read = 0
        try:
            while not stop.is_set():
                if read >= self._config.model.films_a_process:
                    _LOGGER.info("%d films read; a new process takes over", read)
                    return True
                try:
                    if self._may_read():
                        self._read(max(self._waiting))
                        read += 1
                    else:
                        stop.wait(POLL_SECONDS)
                except SQLAlchemyError as error:
                    _LOGGER.error("database: %s", service.first_line(error))
                    self._seen = None  # what was in hand is found again
                    stop.wait(DATABASE_WAIT_SECONDS)
                self._beat(f"{len(self._waiting)} films to read")
        finally:
            self._pool.shutdown(cancel_futures=True)
        return False

    def _may_read(self) -> bool:
        """Whether there is a film to read and the main reader has none."""
        with database.reading(self._engine) as connection:
            newest = shadow.last_event(connection)
            if newest != self._seen:
                weights = self._reader.model.weights_sha256
                self._waiting.update(shadow.waiting(connection, weights, self._seen))
                self._seen = newest
            return bool(self._waiting) and not shadow.is_main_busy(connection)

    def _read(self, job: int) -> None:
        """Read one film; the one broad except of this loop."""
        model, most = self._reader.model, self._config.model.attempts
        film = shadow.take(self._engine, job, model.name, model.version, model.weights_sha256, service.now())
        self._waiting.discard(job)
        if film.attempts > most:
            self._give_up(film, f"{most} attempts, each ended by the death of the process that made it")
            return
        try:
            prepared, decode_seconds = self._pool.submit(
                decoder.bounded_on, self._config.model.film_timeout_seconds, self._spool, film.spool_name,
                decoder.prepare_film, self._spool, None, self._config.scope, self._reader.input_sizes,
            ).result()  # fmt: skip
            began = time.monotonic()
            (answer,) = self._reader.read([prepared])
        except (OutOfScope, UnreadableFilm) as error:
            self._give_up(film, str(error))
        except FileNotFoundError:
            self._give_up(
                film, "MISSING: found no file in the spool, expected the film; retention may have taken it"
            )
        except BrokenProcessPool:
            self._pool = decoder.new_pool(1)
            self._retry_or_give_up(film, "the worker process died or ran out of time on this film")
        except Exception as error:
            _LOGGER.exception("job %d: a fault of ours", job)
            self._retry_or_give_up(film, f"{type(error).__name__}: {error}")
        else:
            self._store(film, answer, {"decode": decode_seconds, "network": time.monotonic() - began})

    def _store(self, film: shadow.Film, answer: Reading | OutOfScope, seconds: dict[str, float]) -> None:
        if isinstance(answer, OutOfScope):
            self._give_up(film, str(answer))
            return
        found = figures(answer) | {"seconds": seconds}
        weights = self._reader.model.weights_sha256
        shadow.finish(
            self._engine, film.id, weights, service.now(), reading=found, seconds=sum(seconds.values())
        )
        _LOGGER.info("job %d: read by %s: %s", film.id, self._reader.model.name, answer.decision)

    def _retry_or_give_up(self, film: shadow.Film, reason: str) -> None:
        most = self._config.model.attempts
        reason = f"attempt {film.attempts} of {most}: {reason}"
        if film.attempts >= most:
            self._give_up(film, reason)
        else:
            _LOGGER.warning("job %d: %s", film.id, reason)
            self._waiting.add(film.id)

    def _give_up(self, film: shadow.Film, reason: str) -> None:
        shadow.finish(self._engine, film.id, self._reader.model.weights_sha256, service.now(), reason=reason)
        _LOGGER.warning("job %d: not read by %s: %s", film.id, self._reader.model.name, reason)
