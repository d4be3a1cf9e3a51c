"""Timed chores. The queue is the database: a missed tick delays a chore and loses nothing."""

import datetime
import logging
import time

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from daemon import service
from storage import deliveries, films
from storage.spool import Spool

RELEASE_SECONDS = 15
LEFTOVER_SECONDS = 3600
_LOGGER = logging.getLogger("firstread.housekeeping")


def start(engine: Engine, spool: Spool, most_attempts: int) -> BackgroundScheduler:
    """Run the chores in a thread until the scheduler is shut down.

    Each chore is short, safe to run in several processes at once, and runs at most once at a time;
    late or missed runs are made up by one.
    """
    scheduler = BackgroundScheduler(
        timezone=datetime.UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    at_once = service.now()
    scheduler.add_job(
        release_claims,
        "interval",
        [engine, most_attempts],
        seconds=RELEASE_SECONDS,
        next_run_time=at_once,
    )
    scheduler.add_job(clear_leftovers, "interval", [spool], seconds=LEFTOVER_SECONDS, next_run_time=at_once)
    scheduler.start()
    return scheduler


def release_claims(engine: Engine, most_attempts: int) -> None:
    """Put back what processes that are gone had claimed."""
    now = service.now()
    for job, state in films.release_claims(engine, service.is_gone, now, most_attempts):
        _LOGGER.warning("job %d: its reader is gone; now %s", job, state)
    for identifier in deliveries.release_claims(engine, service.is_gone, now):
        _LOGGER.warning("delivery %d: its sender is gone; now PENDING", identifier)


def clear_leftovers(spool: Spool) -> None:
    """Remove what aborted associations and killed processes left half written."""
    removed = spool.clear_incoming(time.time() - LEFTOVER_SECONDS)
    if removed:
        _LOGGER.info("%d leftovers removed from %s", removed, spool.incoming)
