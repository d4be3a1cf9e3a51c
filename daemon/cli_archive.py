"""Verb ``firstread score-archive``: what is read, how far it is, what there is to say at the end."""

import argparse
import logging
import signal
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from daemon import config, service
from daemon.archive import run as runs
from daemon.archive.places import PlaceAway
from daemon.archive.run import Plan, Run, RunRefused
from daemon.archive.scorer import Settings
from daemon.config_file import DEFAULT_PATH
from storage.states import FilmState

STOPPED = 130
# A log has a line for each of so many seconds; an estimate looks as far back as a part may take.
LINE_SECONDS = 60.0
_SPEED_SECONDS = 600.0
_LOGGER = logging.getLogger("firstread.archive")


class Shown:
    """How far it is: a bar on a terminal, else a line a minute in the log."""

    def __init__(self) -> None:
        self._bars = None
        if sys.stderr.isatty():
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                speed_estimate_period=_SPEED_SECONDS,
            )
        self._task = None
        self._films = self._began_with = 0
        self._began = self._last_line = time.monotonic()
        self.states: Counter[str] = Counter()

    def __enter__(self) -> "Shown":
        if self._bars:
            self._bars.start()
            self._task = self._bars.add_task("films listed", total=None, said="")
        return self

    def __exit__(self, *_of_exception: object) -> None:
        if self._bars:
            self._bars.stop()

    def listed(self, films: int) -> None:
        """Show how many films are listed."""
        if self._bars:
            self._bars.update(self._task, completed=films)
        elif self._is_time():
            _LOGGER.info("%d films listed", films)

    def begin(self, films: int, done: int) -> None:
        """Show films with rows from now on."""
        self._films, self._began_with, self._began = films, done, time.monotonic()
        if self._bars:
            self._bars.reset(self._task, description="films", total=films, completed=done)

    def scored(self, states: Counter[str]) -> None:
        """Count films that have their rows."""
        self.states += states
        done = self._began_with + self.states.total()
        if self._bars:
            self._bars.update(self._task, completed=done, said=self._said())
        elif self._is_time():
            _LOGGER.info("%d of %d films; %s", done, self._films, self._said())

    def _said(self) -> str:
        rate = self.states.total() / max(time.monotonic() - self._began, 1e-3)
        return f"{rate:.1f} a second, {counted(self.states)}"

    def _is_time(self) -> bool:
        is_time = time.monotonic() - self._last_line >= LINE_SECONDS
        if is_time:
            self._last_line = time.monotonic()
        return is_time


def counted(states: Counter[str]) -> str:
    """Numbers of films by state, in words."""
    read, skipped, failed = (states[state] for state in (FilmState.READ, FilmState.SKIPPED, FilmState.FAILED))
    return f"{read} read, {skipped} skipped, {failed} failed"


def run(options: argparse.Namespace) -> int:
    """Score an archive, or go on with it."""
    service.configure_logging("archive")
    # A stop that systemd or an operator asks for ends like Ctrl-C: what is not kept is done again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_unconfigured = options.config == DEFAULT_PATH and not options.config.exists()
    settings = config.Config() if is_unconfigured else config.load(options.config)
    of = Run(
        runs.name_of(options.source),
        runs.name_of(options.out),
        options.list,
        options.films_a_part,
        Settings(
            settings.model.version,
            settings.model.batch_size,
            settings.model.film_timeout_seconds,
            settings.scope,
            settings.node.most_film_mib << 20,
            options.texture,
        ),
    )
    try:
        with runs.alone(of), Shown() as shown:
            return _score(options, of, shown)
    except (PlaceAway, RunRefused) as error:
        for line in str(error).splitlines():
            print(f"firstread: {line}", file=sys.stderr)
        return 1


def _score(options: argparse.Namespace, of: Run, shown: Shown) -> int:
    try:
        runs.begin(of)
        plan = runs.plan(of, shown.listed)
        shown.begin(plan.films, _films_done(of, plan))
        if plan.left:
            _read(options, of, plan, shown)
    except KeyboardInterrupt:
        print(f"stopped after {counted(shown.states)}; the same command goes on where it was")
        return STOPPED
    print(f"{plan.films} films in {plan.parts} parts have their rows; of this run {counted(shown.states)}")
    print(f"{of.out}/{runs.SCORES}")
    return 0


def _read(options: argparse.Namespace, of: Run, plan: Plan, shown: Shown) -> None:
    if options.ray:
        from daemon.archive import on_ray

        on_ray.score(of, plan, options.ray, shown.scored)
    else:
        from daemon.archive import local

        local.score(of, plan, options.workers or runs.default_workers(), shown.scored)


def _films_done(of: Run, plan: Plan) -> int:
    """Films that had their rows before: all parts have as many but the last."""
    done = (plan.parts - len(plan.left)) * of.films_a_part
    if plan.parts - 1 in plan.left[-1:]:
        return done
    return done - (plan.parts * of.films_a_part - plan.films)
