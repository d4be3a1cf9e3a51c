"""How jobs are asked for: words, filters, a day; and which are found."""

import datetime
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from storage import search
from storage.database import Connection
from storage.states import FilmState

PAGE_ROWS = 50
FEWEST_LETTERS = 3
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_NUMBER = re.compile(r"(?:job\s*|#)([0-9]{1,18})", re.IGNORECASE)
_Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
# Of these years every clock has a midnight.
_Day = Annotated[datetime.date, Field(ge=datetime.date(1990, 1, 1), le=datetime.date(9000, 1, 1))]
_Words = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Asked(BaseModel):
    """What jobs are asked for."""

    model_config = ConfigDict(extra="ignore")
    q: _Words = Field("", description="end of an accession number, a UID, or a job as #4711")
    state: FilmState | Literal[""] = ""
    sender: _Words = Field("", description="calling AE title")
    destination: _Words = ""
    day: Literal["", "any", "today", "yesterday"] | _Day = Field(
        "", description="of reception; empty is today without a search, any with one"
    )
    only: Literal["", "delivery-failed", "indeterminate"] = ""
    older_than: _Number | None = Field(None, description="go on to jobs before this one")
    newer_than: _Number | None = Field(None, description="go on to jobs after this one")

    @property
    def words(self) -> str:
        return self.q.strip()

    @property
    def chosen_day(self) -> str:
        """Which day, where none is said."""
        return str(self.day) or ("any" if self.words or self.only else "today")


class Found(BaseModel):
    """Numbers of jobs, newest first, and how they were found."""

    jobs: list[int]
    how: str = ""
    is_short: bool = False


def day_of(asked: Asked, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Begin and end of the day asked for, in this machine's zone; None for any."""
    today = now.astimezone().date()
    match asked.chosen_day:
        case "any":
            return None
        case "today":
            date = today
        case "yesterday":
            date = today - datetime.timedelta(days=1)
        case other:
            date = datetime.date.fromisoformat(other)
    # Each through the calendar: a day has 23 or 25 hours where clocks change.
    begin, end = (
        datetime.datetime.combine(one, datetime.time()).astimezone()
        for one in (date, date + datetime.timedelta(days=1))
    )
    return begin, end


def _filter(asked: Asked, now: datetime.datetime) -> search.Filter:
    since, before = day_of(asked, now) or (None, None)
    return search.Filter(
        accession_end=asked.words or None,
        state=asked.state or None,
        calling_ae_title=asked.sender or None,
        destination=asked.destination or None,
        since=since,
        before=before,
        delivery_failed=asked.only == "delivery-failed",
        indeterminate=asked.only == "indeterminate",
    )


def find(connection: Connection, asked: Asked, now: datetime.datetime, rows: int) -> Found:
    """Up to `rows` jobs."""
    words = asked.words
    if number := _NUMBER.fullmatch(words):
        return Found(jobs=search.existing(connection, int(number[1])), how="the number of a job")
    if _UID.fullmatch(words) and words.count(".") > 2:
        return Found(jobs=search.with_uid(connection, words)[:rows], how="the UID of a film, study or result")
    if words and len(words) < FEWEST_LETTERS:
        return Found(jobs=[], is_short=True)
    jobs = search.page(connection, _filter(asked, now), rows, asked.older_than, asked.newer_than)
    if not jobs and words.isdigit() and len(words) < 19:
        return Found(jobs=search.existing(connection, int(words)), how="the number of a job")
    return Found(jobs=jobs, how="the end of an accession number" if words else "")
