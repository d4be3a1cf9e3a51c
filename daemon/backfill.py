"""Films from before: what an archive has of some days or studies is asked for, off-peak, and comes in as any.

What it has is named first, so that all the rest can say how much is left. A kill loses nothing: what came has
a job, and the job database knows what was asked for.
"""

import dataclasses
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Engine

from daemon import service
from daemon.config import Config
from daemon.outcomes import NotTaken, PeerRefused, PeerUnavailable
from daemon.retrieve import Archive
from storage import backfill_studies, backfills, database
from storage.backfills import Backfill, Question
from storage.retry import LONGEST_PROBE_WAIT_SECONDS, LONGEST_WAIT_SECONDS, wait_seconds
from storage.states import RetrievalState

MOST_A_MOVE = 10
# Of one query; a list of UIDs ends well below the 64 KiB that a value may have in explicit VR.
STUDIES_A_QUERY = 50
LEASE = datetime.timedelta(hours=1)
_POLL_SECONDS = 1.0
_RENEW_SECONDS = 60.0
_NEVER_CAME = "the archive says that it was sent, and it did not come"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a backfill is, and what it waits for; films are those that were not here before.

    What the archive is asked about are days, or studies.
    """

    parts: int
    parts_named: int
    films: int
    films_done: int
    waits: str = ""


class BackfillLoop:
    """Works on one backfill.

    Parameters
    ----------
    config : Config
        With a table ``[backfill]``.
    engine : sqlalchemy.Engine
    backfill : Backfill
        Claimed.
    stop : threading.Event
        Ends it after the move that is under way.
    show : callable
        Is told how far it is, at each step.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        backfill: Backfill,
        stop: threading.Event,
        show: Callable[[Progress], None],
    ) -> None:
        self._settings = config.backfill
        self._config = config
        self._engine = engine
        self._number = backfill.id
        self._question = backfill.question
        self._stop = stop
        self._show = show
        self._failures = 0
        self._next_move_at = 0.0
        self._renewed_at = time.monotonic()

    def run(self) -> bool:
        """Whether all is done; else it was stopped.

        Raises
        ------
        PeerRefused
            If the archive will not answer such questions, or does not know where we are.
        """
        with Archive(self._config.node.ae_title, self._settings) as archive:
            self._name_films(archive)
            while not self._stop.is_set():
                if not self._move_next(archive):
                    return True
        return False

    def _name_films(self, archive: Archive) -> None:
        for part in parts(self._question, self._named()):
            is_named = False
            while not is_named:
                self._wait_for_hours(archive)
                if self._stop.is_set():
                    return
                try:
                    self._name(archive, part)
                except (PeerUnavailable, NotTaken) as error:
                    self._wait_after_failure(str(error), LONGEST_PROBE_WAIT_SECONDS)
                else:
                    is_named = True
            self._failures = 0
            self._tell()

    def _name(self, archive: Archive, part: datetime.date | Sequence[str]) -> None:
        """Ask what the archive has of a day or of some studies, and keep the answer."""
        wanted = self._question.modalities, self._config.node.accept
        if isinstance(part, datetime.date):
            of_day = archive.instances(part, *wanted)
            backfills.add_day(self._engine, self._number, part, of_day, service.now())
        else:
            of_studies = archive.studies(part, *wanted)
            backfill_studies.add(self._engine, self._number, part, of_studies, service.now())

    def _named(self) -> set[datetime.date] | set[str]:
        named = backfill_studies.named if self._question.studies else backfills.days_named
        with database.reading(self._engine) as connection:
            return named(connection, self._number)

    def _move_next(self, archive: Archive) -> bool:
        """Have some films sent, or wait for what hinders it; False if there are none left."""
        with database.reading(self._engine) as connection:
            due_at = backfills.next_attempt_at(connection, self._number)
            in_hand = backfills.in_hand(connection, [to.name for to in self._config.destination])
        if due_at is None:
            return False
        self._wait_for_hours(archive)
        room = self._settings.most_in_hand - in_hand
        seconds = max(self._next_move_at - time.monotonic(), (due_at - service.now()).total_seconds(), 0.0)
        if room <= 0:
            self._wait(_POLL_SECONDS, f"{in_hand} of these films are not read and delivered")
        elif seconds:
            self._wait(seconds)
        elif not self._stop.is_set():
            self._move(archive, min(room, MOST_A_MOVE))
        return True

    def _move(self, archive: Archive, limit: int) -> None:
        asked = backfills.ask_next(self._engine, self._number, limit, service.now())
        if not asked:
            return
        self._next_move_at = time.monotonic() + len(asked) * 60 / self._settings.films_a_minute
        try:
            reason = archive.move(asked)
        except PeerUnavailable as error:
            backfills.put_back(self._engine, self._number, service.now())
            self._wait_after_failure(str(error), LONGEST_PROBE_WAIT_SECONDS)
            return
        except PeerRefused:
            backfills.put_back(self._engine, self._number, service.now())
            raise
        came = backfills.settle(self._engine, self._number, service.now(), reason or _NEVER_CAME)
        self._tell()
        if came:
            self._failures = 0
        else:
            self._wait_after_failure(reason or _NEVER_CAME)

    def _wait_for_hours(self, archive: Archive) -> None:
        begin, end = self._settings.begin, self._settings.end
        while not self._stop.is_set() and (
            seconds := seconds_to_hours(begin, end, service.now().astimezone())
        ):
            archive.close()
            # Not so long that the claim lapses, or that a clock put forward is missed.
            self._wait(min(seconds, _RENEW_SECONDS), f"until {begin}")

    def _wait_after_failure(self, why: str, longest: float = LONGEST_WAIT_SECONDS) -> None:
        self._failures += 1
        self._wait(wait_seconds(self._failures, self._number, longest), why)

    def _wait(self, seconds: float, why: str = "") -> None:
        """Tell why, and wait, or until told to stop."""
        self._tell(why)
        if time.monotonic() - self._renewed_at > _RENEW_SECONDS:
            backfills.renew(self._engine, self._number, service.now() + LEASE)
            self._renewed_at = time.monotonic()
        self._stop.wait(seconds)

    def _tell(self, waits: str = "") -> None:
        with database.reading(self._engine) as connection:
            counted = backfills.counts(connection, self._number)
        done = counted[RetrievalState.ARRIVED] + counted[RetrievalState.FAILED]
        films = counted.total() - counted[RetrievalState.KNOWN]
        self._show(Progress(self._question.size(), len(self._named()), films, done, waits))


def parts(
    question: Question, named: set[datetime.date] | set[str]
) -> Iterator[datetime.date | Sequence[str]]:
    """What the archive is still to be asked about: one day after another, or `STUDIES_A_QUERY` studies.

    Parameters
    ----------
    question : Question
    named : set of date or of str
        Days or studies that it has answered.
    """
    if not question.studies:
        yield from (day for day in question.days() if day not in named)
        return
    left = [uid for uid in question.studies if uid not in named]
    for begin in range(0, len(left), STUDIES_A_QUERY):
        yield left[begin : begin + STUDIES_A_QUERY]


@dataclasses.dataclass(frozen=True)
class Counted:
    """Films that an archive has, those of them with a job here, and the studies that it does not have."""

    films: int
    here: int
    studies_not_found: list[str]


def count(
    config: Config,
    engine: Engine,
    question: Question,
    stop: threading.Event,
    show: Callable[[Progress], None],
) -> Counted:
    """Ask the archive only, at any hour, and keep nothing.

    Raises
    ------
    PeerUnavailable, NotTaken, PeerRefused
    """
    films: set[str] = set()
    here: set[str] = set()
    not_found: list[str] = []
    asked = 0
    wanted = question.modalities, config.node.accept
    with Archive(config.node.ae_title, config.backfill) as archive:
        for part in parts(question, set()):
            if stop.is_set():
                break
            if isinstance(part, datetime.date):
                instances = archive.instances(part, *wanted)
                asked += 1
            else:
                found = archive.studies(part, *wanted)
                instances = [one for of_study in found.values() for one in of_study]
                not_found += [uid for uid in part if uid not in found]
                asked += len(part)
            uids = {one.sop_instance_uid for one in instances}
            with database.reading(engine) as connection:
                here |= backfills.known(connection, uids)
            films |= uids
            show(Progress(question.size(), asked, len(films - here), 0))
    return Counted(len(films), len(here), sorted(not_found))


def seconds_to_hours(begin: str, end: str, now: datetime.datetime) -> float:
    """Time until the hours from `begin` to `end` are there; 0 within them.

    Parameters
    ----------
    begin, end : str
        Times of the day as ``20:00``; an end before its beginning is on the next day, the same time all day.
    now : datetime
        Aware, in the zone of the two.

    Returns
    -------
    float
        Seconds, below a day.
    """
    first, last = (datetime.time.fromisoformat(text) for text in (begin, end))
    at = now.time()
    if (first <= at < last) if first < last else (at >= first or at < last):
        return 0.0
    opening = datetime.datetime.combine(now.date(), first, now.tzinfo)
    return ((opening - now) % datetime.timedelta(days=1)).total_seconds()
