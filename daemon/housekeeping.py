"""Timed chores. The queue is the database: a missed tick delays a chore and loses nothing."""

import datetime
import logging
import os
import time
from collections.abc import Callable

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon import service
from daemon.config import Config, commits
from daemon.withdraw import withdraw_corrected
from storage import deliveries, films, heartbeats, monitoring, retention, traffic
from storage.spool import Spool, SpoolUnavailable
from storage.sweep import sweep

RELEASE_SECONDS = 15
SWEEP_SECONDS = 3600
RETENTION_SECONDS = 3600
MONITORING_SECONDS = 60
# A process that was killed is told of for so long where others do its work; the last that did, for ever.
DEAD_FOR = datetime.timedelta(days=1)
# Heartbeat row of each chore, and the age at which `firstread check` takes it for hung or failing.
STALE_SECONDS = {
    "housekeeping": 4.0 * RELEASE_SECONDS,
    "sweep": 3.0 * SWEEP_SECONDS,
    "retention": 3.0 * RETENTION_SECONDS,
    "withdrawal": 4.0 * RELEASE_SECONDS,
    "monitoring": 10.0 * MONITORING_SECONDS,
}
_LOGGER = logging.getLogger("firstread.housekeeping")


class Chores:
    """Runs the chores in a thread, all of them at once first.

    Each chore is safe to run in several processes at once, and runs at most once at a time; however late,
    missed runs are made up by one. A chore that fails leaves its heartbeat row to grow old; one that hangs
    would keep its later runs waiting, so the process ends with it (`end_if_hung`) and starts anew.
    `config` may be replaced: each run takes it as it is then.
    """

    def __init__(self, engine: Engine, spool: Spool, config: Config) -> None:
        self._engine = engine
        self.config = config
        self._began: dict[str, float] = {}
        self._scheduler = BackgroundScheduler(
            timezone=datetime.UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        chores: list[tuple[str, int, Callable[[], None]]] = [
            ("housekeeping", RELEASE_SECONDS, lambda: look_after_queue(engine, self.config.model.attempts)),
            ("sweep", SWEEP_SECONDS, lambda: sweep_spool(engine, spool, self.config)),
            ("withdrawal", RELEASE_SECONDS, lambda: withdraw_corrected(engine, spool)),
            ("retention", RETENTION_SECONDS, lambda: remove_old(engine, spool, self.config)),
            ("monitoring", MONITORING_SECONDS, lambda: count_scores(engine)),
        ]
        at_once = datetime.datetime.now(datetime.UTC)  # by this machine's clock, as the scheduler waits
        for name, seconds, chore in chores:
            self._scheduler.add_job(
                self._run, "interval", [name, chore], seconds=seconds, next_run_time=at_once
            )
        self._scheduler.start()

    def _run(self, name: str, chore: Callable[[], None]) -> None:
        """One pass of a chore, and its sign of life; a database or store away delays both."""
        self._began[name] = time.monotonic()
        try:
            chore()
            heartbeats.beat(self._engine, name, service.instance(), service.now())
        except SQLAlchemyError as error:
            _LOGGER.error("%s put off: database: %s", name, service.first_line(error))
        except SpoolUnavailable as error:
            _LOGGER.error("%s put off: %s", name, error)
        finally:
            del self._began[name]

    def end_if_hung(self) -> None:
        """End this process, as a kill would, if a chore runs longer than its heartbeat row may be old."""
        now = time.monotonic()
        for name, began in self._began.copy().items():
            if now - began > STALE_SECONDS[name]:
                _LOGGER.critical("%s hangs since %.0f s; this process ends", name, now - began)
                os._exit(1)

    def shutdown(self) -> None:
        """Wait for what runs, and run no more."""
        self._scheduler.shutdown()


def look_after_queue(engine: Engine, most_attempts: int) -> None:
    """Put back what nobody works on, forget processes long gone, and note how long the queue is."""
    release_claims(engine, most_attempts)
    heartbeats.forget(engine, service.now() - DEAD_FOR)
    traffic.note_queue(engine, service.now())


def count_scores(engine: Engine) -> None:
    """Count films that came to their end, for monitoring; a year of them is counted in minutes."""
    until = time.monotonic() + MONITORING_SECONDS / 2
    while monitoring.count_new(engine) and time.monotonic() < until:
        pass


def release_claims(engine: Engine, most_attempts: int) -> None:
    """Put back what processes that are gone had claimed."""
    now = service.now()
    for job, state in films.release_claims(engine, service.is_gone, now, most_attempts):
        _LOGGER.warning("job %d: its reader is gone; now %s", job, state)
    for identifier in deliveries.release_claims(engine, service.is_gone, now):
        _LOGGER.warning("delivery %d: its sender is gone; now PENDING", identifier)


def sweep_spool(engine: Engine, spool: Spool, config: Config) -> None:
    """Bring spool and database to agree after a crash, and say in a line what was found."""
    grace = datetime.timedelta(seconds=config.storage.leftover_seconds)
    swept = sweep(
        engine,
        spool,
        service.claimant("sweep"),
        service.now(),
        grace,
        has_destinations=bool(config.destination),
    )
    for name in swept.removed:
        _LOGGER.warning("%s removed: no job knows it, so no sender was told success for it", name)
    for job in swept.failed_films:
        _LOGGER.error("job %d: its film is gone from the spool; now FAILED", job)
    for identifier in swept.failed_deliveries:
        _LOGGER.error("delivery %d: its result is gone from the spool; now FAILED", identifier)
    if swept.strangers:
        _LOGGER.error(
            "%d files in %s are of no job and older than this database; left alone. "
            "Is [storage] database the one of this spool?", swept.strangers, spool.where,
        )  # fmt: skip
    _LOGGER.info(
        "spool swept: %d files kept; removed %d of no job and %d half written; without their file %d films "
        "and %d deliveries", swept.kept, len(swept.removed), swept.temporary, len(swept.failed_films),
        len(swept.failed_deliveries),
    )  # fmt: skip


def committing(config: Config) -> list[str]:
    """Names of the destinations whose commitment is waited for before a result counts as delivered."""
    return [one.name for one in config.destination if commits(one)]


def remove_old(engine: Engine, spool: Spool, config: Config) -> None:
    """Remove the files of films that are delivered and old."""
    rules = config.retention
    removed = retention.remove(
        engine,
        spool,
        service.now(),
        datetime.timedelta(days=rules.keep_days),
        rules.most_gib << 30,
        committing(config),
    )
    if removed:
        _LOGGER.info("files of %d delivered films removed", removed)
