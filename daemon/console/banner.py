"""The one banner of a page: the worst that is wrong with the node."""

import dataclasses
import datetime

from daemon import notes, service
from storage import database, destinations, heartbeats, traffic
from storage.database import Engine

# A process beats every five seconds.
STALE_SECONDS = 30.0
# What stands still with each process, and what is done; the worst first.
SILENT = {
    "receive": (
        "The receiver has been silent for {age}. Films are not taken.",
        "Modalities keep them or show an error. Do, on {host}: systemctl status firstread-receive, "
        "then firstread doctor.",
    ),
    "read": (
        "The reader has been silent for {age}. Films are received and kept, but not read.",
        "{waiting} wait. Do, on {host}: systemctl status firstread-read, then firstread doctor. "
        "Nothing is lost by a restart.",
    ),
    "send": (
        "The sender has been silent for {age}. Films are read, but no result is sent.",
        "Do, on {host}: systemctl status firstread-send, then firstread doctor. "
        "Nothing is lost by a restart.",
    ),
}


@dataclasses.dataclass(frozen=True)
class Banner:
    """Effect and cause with their times, then what to do.

    Parameters
    ----------
    level : str
        ``urgent`` or ``caution``.
    effect : str
        One sentence.
    remedy : str
    """

    level: str
    effect: str
    remedy: str


def worst(engine: Engine) -> Banner | None:
    """What a person must know on every page, if anything."""
    now = service.now()
    with database.reading(engine) as connection:
        beats = heartbeats.all_of(connection)
        down = destinations.down(connection)
        unsent = traffic.unsent(connection, [row.name for row in down])
        for process, (effect, remedy) in SILENT.items():
            of_role = [one for one in beats if one.process == process]
            last = max(of_role, key=lambda one: one.at, default=None)
            if last is not None and (age := (now - last.at).total_seconds()) > STALE_SECONDS:
                waiting = counted(traffic.queue(connection).waiting, "film")
                also = f" Also: {down[0].name} takes nothing since {clock(down[0].since)}." if down else ""
                said = remedy.format(waiting=waiting, host=last.host)
                return Banner("urgent", effect.format(age=duration(age)), said + also)
    at_work = [one for one in beats if (now - one.at).total_seconds() <= STALE_SECONDS]
    for one in at_work:
        if trouble := notes.parse(one.note).get("trouble"):
            return Banner(
                "urgent",
                f"Films are refused with 0xA700: {trouble}.",
                f"Make room on that volume of {one.host}; modalities send again. "
                "Films that were taken are read and sent.",
            )
    for one in beats:
        if one.process in SILENT and one not in at_work:
            others = sum(other.process == one.process for other in at_work)
            return Banner(
                "caution",
                f"{one} has been silent for {duration((now - one.at).total_seconds())}; "
                f"{others} of its kind {'works' if others == 1 else 'work'}.",
                f"Do, on {one.host}: systemctl status firstread-{one.process}, then firstread doctor. "
                "Nothing is lost by a restart.",
            )
    waits = [row for row in down if row.name in unsent]
    if waits:
        names = " and ".join(row.name for row in waits)
        results = sum(unsent[row.name][0] for row in waits)
        return Banner(
            "caution",
            f"Films are received and read. Results for {names} wait here since {clock(waits[0].since)}: "
            f"{waits[0].last_error}.",
            f"{counted(results, 'result')} kept, to be sent when it answers. "
            f"Nothing to do at this node; tell whoever runs {names}.",
        )
    return None


def counted(number: int, thing: str) -> str:
    """So many things."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def clock(at: datetime.datetime) -> str:
    """A time of day in this machine's zone, with its date unless that is today's."""
    at = at.astimezone()
    return f"{at:%H:%M:%S}" if at.date() == service.now().astimezone().date() else f"{at:%d %b %Y, %H:%M}"


def duration(seconds: float) -> str:
    """How long, in the two units that matter."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} days"
