"""Verb ``firstread backfill``: the question, a bar on stderr, and what there is to say at the end."""

import argparse
import datetime
import math
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from daemon import backfill, cli_jobs, service, study_list
from daemon.backfill import Progress
from daemon.config import Config
from daemon.outcomes import NotTaken, PeerRefused, PeerUnavailable
from daemon.retrieve import DestinationUnknown
from storage import backfill_studies, backfills, database
from storage.backfills import AlreadyRunning, Question
from storage.states import RetrievalState

# Films of a night come in pauses: an estimate from the last seconds would jump.
_SPEED_SECONDS = 3600.0
STOPPED = 130


class Shown:
    """Two bars on stderr, parts asked and films; what is waited for is told once, in a line of its own."""

    def __init__(self, question: Question) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=_SPEED_SECONDS,
        )
        asked = "studies asked" if question.studies else "days asked"
        self._parts = self._bars.add_task(asked, total=None)
        self._films = self._bars.add_task("films come", total=None)
        self._told = ""

    def __enter__(self) -> "Shown":
        self._bars.start()
        return self

    def __exit__(self, *_of_exception: object) -> None:
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Draw how far it is."""
        self._bars.update(self._parts, total=progress.parts, completed=progress.parts_named)
        self._bars.update(self._films, total=progress.films, completed=progress.films_done)
        if progress.waits and progress.waits != self._told:
            self.say(f"waiting: {progress.waits}")
        self._told = progress.waits or self._told

    def say(self, text: str) -> None:
        """A line above the bars."""
        now = service.now().astimezone()
        self._bars.console.print(f"{now:%H:%M:%S} {text}", markup=False, highlight=False, soft_wrap=True)


class NoDays(ValueError):
    """The days asked for are none."""


def run(options: argparse.Namespace) -> int:
    """Ask the archive, and have it send what is not here."""
    service.configure_logging()
    stop = service.stop_on_signals()
    config = cli_jobs.config_of(options)
    if config.backfill is None:
        return _problem("the config has no table [backfill]; etc/firstread.toml shows it")
    try:
        question = _question(options, config)
    except (study_list.ListUnusable, NoDays) as error:
        return _problem(str(error), 2)
    try:
        return (_count if options.dry_run else _fill)(options, config, question, stop)
    except DestinationUnknown as error:
        return _problem(f"{error}\n{_what_to_enter(config)}")
    except (AlreadyRunning, PeerRefused, PeerUnavailable, NotTaken) as error:
        return _problem(str(error))


def _question(options: argparse.Namespace, config: Config) -> Question:
    today = service.now().astimezone().date()
    modalities = options.modality or tuple(sorted(set(config.scope.modalities)))
    if options.studies:
        if options.to:
            raise NoDays("found --to beside --studies, expected it beside --from")
        listed = study_list.read(options.studies)
        return Question(config.backfill.ae_title, today, today, modalities, listed)
    last = options.to or today - datetime.timedelta(days=1)
    if last < options.first:
        raise NoDays(f"the days from {options.first} to {last} are none")
    return Question(config.backfill.ae_title, options.first, last, modalities)


def _count(options: argparse.Namespace, config: Config, question: Question, stop: object) -> int:
    engine = service.look_into_database(config.storage)
    with Shown(question) as shown:
        counted = backfill.count(config, engine, question, stop, shown.show)
    if stop.is_set():
        return STOPPED
    print(f"{question}: {counted.films} films, {counted.here} of them here already")
    _tell_studies("not in the archive", counted.studies_not_found)
    print(_estimate(config, counted.films - counted.here))
    return 0


def _fill(options: argparse.Namespace, config: Config, question: Question, stop: object) -> int:
    engine = service.look_into_database(config.storage)
    now = service.now()
    claimed = backfills.begin(
        engine, question, not (options.studies or options.to), service.claimant("backfill"), service.is_gone,
        now, now + backfill.LEASE,
    )  # fmt: skip
    is_done = False
    try:
        with Shown(claimed.question) as shown:
            goes_on = ", goes on" if claimed.is_resumed else ""
            shown.say(f"backfill {claimed.id}, {claimed.question}{goes_on}")
            is_done = backfill.BackfillLoop(config, engine, claimed, stop, shown.show).run()
    finally:
        backfills.release(engine, claimed.id, service.now(), is_done)
    with database.reading(engine) as connection:
        counted = backfills.counts(connection, claimed.id)
        failures = backfills.failures(connection, claimed.id)
        not_found = backfill_studies.not_found(connection, claimed.id)
        without_films = backfill_studies.without_films(connection, claimed.id)
        removed = backfill_studies.removed(connection, claimed.id) if question.studies else 0
    left = counted[RetrievalState.FOUND]
    print(
        f"{counted[RetrievalState.ARRIVED]} films came, {counted[RetrievalState.KNOWN]} were here already, "
        f"{counted[RetrievalState.FAILED]} did not come, {left} are left"
    )
    if removed:
        print(f"{removed} of those that were here already are no longer in the film store ([retention])")
    _tell_studies("not in the archive", not_found)
    _tell_studies("in the archive without such films", without_films)
    for reason, number in failures.most_common():
        print(f"{number} did not come: {reason}")
    if not is_done:
        print("stopped; the same command goes on where it was")
        return STOPPED
    if failures:
        print(f"the same command asks for them again. {_what_to_enter(config)}")
    return 1 if failures else 0


def _tell_studies(what: str, studies: Sequence[str]) -> None:
    """How many of the studies listed are so, and which."""
    if studies:
        print(f"{len(studies)} {'study' if len(studies) == 1 else 'studies'} {what}:", *studies, sep="\n  ")


def _estimate(config: Config, films: int) -> str:
    """How long it takes at least, within the hours."""
    settings = config.backfill
    hours, minutes = divmod(math.ceil(films / settings.films_a_minute), 60)
    within = "" if settings.begin == settings.end else f", between {settings.begin} and {settings.end}"
    return (
        f"{films} would be asked for; at {settings.films_a_minute:g} a minute "
        f"that takes {hours} h {minutes} min or more{within}"
    )


def _what_to_enter(config: Config) -> str:
    """What the archive's admin has to know of us."""
    node = config.node
    callers = "; [node] calling_ae_titles must list it" if node.calling_ae_titles else ""
    return (
        f"The archive must have {node.ae_title} as a destination of C-MOVE, "
        f"with this machine's address and port {node.port}, and reach it there{callers}"
    )


def _problem(said: str, status: int = 1) -> int:
    for line in said.splitlines():
        print(f"firstread: {line}", file=sys.stderr)
    return status
