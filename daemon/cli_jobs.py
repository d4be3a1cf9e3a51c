"""Verbs of ``firstread`` for who is asked where a result is: jobs seen, put back, taken back, saved."""

import argparse
import datetime
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.config import Config
    from storage.database import Engine

TAIL_LINES = 20
FOLLOW_LINES = 1000
TAIL_SECONDS = 0.5
# Titles of rejection notes, PS3.16 CID 7010.
REASONS = ("quality", "patient-safety", "worklist")


def day(text: str) -> datetime.date:
    """A day of the command line."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a day as 2026-01-31") from None


def modalities(text: str) -> tuple[str, ...]:
    """Modalities of the command line."""
    listed = tuple(sorted(set(text.split(","))))
    if all(re.fullmatch(r"[A-Z0-9_]{1,16}", one) for one in listed) and len(listed) <= 4:
        return listed
    raise argparse.ArgumentTypeError(f"{text!r}, expected up to four values of Modality as CR,DX")


def config_of(options: argparse.Namespace) -> "Config":
    """The whole config file."""
    from daemon import config

    return config.load(options.config)


def job_database(options: argparse.Namespace) -> "Engine":
    """The job database, for verbs that only look or that move a row."""
    from daemon import config_file, service

    return service.look_into_database(config_file.load_storage(options.config))


def migrate(options: argparse.Namespace) -> int:
    """Migrate the database, and say from where to where."""
    from daemon import config_file, service
    from storage import database

    engine = service.open_database(config_file.load_storage(options.config))
    found, newest = database.migrate(engine), database.newest_revision()
    said = f"at schema {newest} already" if found == newest else f"from schema {found or 'none'} to {newest}"
    print(f"{database.name(engine)}: {said}")
    return 0


def tail(options: argparse.Namespace) -> int:
    """Show the newest events, and with ``-f`` go on."""
    from storage import database, destinations, events

    engine = job_database(options)
    after, limit = 0, TAIL_LINES
    told: set[str] = set()
    tell_events, tell = _tellers(options)
    with database.reading(engine) as connection:
        while True:
            rows = events.newest(connection, after, limit, options.state)
            if rows:
                tell_events(rows)
                after = rows[-1].id
            if not options.json:
                down = {row.name: destinations.in_words(row) for row in destinations.down(connection)}
                for name in sorted(down.keys() - told):
                    tell(f"destination {name} {down[name]}")
                for name in sorted(told - down.keys()):
                    tell(f"destination {name} is back")
                told = set(down)
            if not options.follow:
                return 0
            limit = FOLLOW_LINES
            time.sleep(TAIL_SECONDS)


def _tellers(options: argparse.Namespace) -> tuple[Callable[[Sequence[Any]], None], Callable[[str], None]]:
    """What prints events, and what prints a line: in colour on a terminal."""
    if options.json or not sys.stdout.isatty():
        line_of = _event_json if options.json else _event_line
        return lambda rows: print("\n".join(map(line_of, rows)), flush=True), partial(print, flush=True)
    from daemon import terminal

    screen = terminal.console()
    return (
        lambda rows: screen.print(terminal.event_columns(rows, screen.width)),
        lambda line: screen.print(line, style="bold", markup=False),
    )


def show(options: argparse.Namespace) -> int:
    """Show one film's job, history and deliveries."""
    from storage import database, deliveries, destinations, events, films

    with database.reading(job_database(options)) as connection:
        film = films.get(connection, options.job)
        for key, value in film._mapping.items():
            if value not in (None, ""):
                print(f"{key:20} {json.dumps(value) if isinstance(value, dict) else value}")
        print("\nhistory")
        for row in events.of_film(connection, options.job):
            print("  " + _event_line(row))
        print("\ndeliveries")
        rows = deliveries.of_film(connection, options.job)
        for row in rows:
            status = "" if row.peer_status is None else f" 0x{row.peer_status:04X}"
            print(
                f"  {row.kind} to {row.destination}: {row.state}{status}, attempt {row.attempts} {row.reason}"
            )
            print(f"     {row.sop_instance_uid}")
            if row.commitment_due_at is not None:
                awaited = row.commitment_due_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
                print(f"     storage commitment asked for {row.commitment_requests} times, due at {awaited}")
        for row in destinations.down(connection, {row.destination for row in rows}):
            print(f"\ndestination {row.name} {destinations.in_words(row)}")
    return 0


def requeue(options: argparse.Namespace) -> int:
    """Put films or deliveries back."""
    from daemon import service
    from storage import deliveries, films
    from storage.states import IllegalMove

    engine = job_database(options)
    status = 0
    for job in options.jobs:
        moved = deliveries.requeue_failed(engine, job, "requeue", service.now())
        if moved:
            print(f"job {job}: {moved} deliveries queued again")
            continue
        try:
            films.requeue(engine, job, "requeue", service.now())
            print(f"job {job}: queued again")
        except (IllegalMove, films.NoSuchJob) as error:
            print(f"job {job}: not requeued: {error}", file=sys.stderr)
            status = 1
    return status


def withdraw(options: argparse.Namespace) -> int:
    """Take a film's results back."""
    from daemon import service
    from daemon.withdraw import NothingToWithdraw
    from daemon.withdraw import withdraw as take_back
    from storage.withdrawals import BeingSent

    config = config_of(options)
    engine = service.look_into_database(config.storage)
    try:
        spool = service.open_spool(config.storage)
        told = take_back(engine, spool, options.job, options.reason, "withdraw")
    except (NothingToWithdraw, BeingSent) as error:
        print(f"job {options.job}: not withdrawn: {error}", file=sys.stderr)
        return 1
    print(f"job {options.job}: withdrawn; {told} destinations are told")
    return 0


def backup(options: argparse.Namespace) -> int:
    """Copy jobs and undelivered files."""
    from daemon import housekeeping, service
    from storage import backup

    config = config_of(options)
    engine = service.look_into_database(config.storage)
    spool = service.open_spool(config.storage)
    jobs, files = backup.save(engine, spool, options.folder, service.now(), housekeeping.committing(config))
    print(f"{options.folder}: {jobs} jobs, {files} files of films and results not delivered")
    return 0


def restore(options: argparse.Namespace) -> int:
    """Bring a backup back."""
    from daemon import service
    from storage import backup

    engine, spool = service.open_storage(config_of(options).storage)
    jobs, files = backup.restore(engine, spool, options.folder, service.now())
    print(f"{jobs} jobs and {files} files are back; start the node")
    return 0


def _event_line(row: Any) -> str:
    move = f"{row.from_state or '':>8} -> {row.to_state:9}"
    thing = f"{row.kind} to {row.destination}" if row.delivery_id else "film"
    time_of_move = row.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{time_of_move}  job {row.film_id:<6} {thing:20} {move} {row.message}".rstrip()


def _event_json(row: Any) -> str:
    return json.dumps(
        {key: getattr(value, "isoformat", lambda v=value: v)() for key, value in row._mapping.items()}
    )
