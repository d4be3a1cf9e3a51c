"""The way of a film through the node in four stations, and in three charts of the last day."""

import dataclasses
import datetime
from collections.abc import Sequence

from daemon.console import charts
from daemon.console.banner import clock, counted, duration
from daemon.console.overview import DestinationNow, Overview, Process
from daemon.console.signs import Sign

# A queue whose oldest film has waited longer grows.
LONG_WAIT_SECONDS = 60.0
RUNNING = Sign("ok", "running", "")


@dataclasses.dataclass(frozen=True)
class Station:
    """One of the four: its sign, a number with what it counts, and lines below."""

    name: str
    sign: Sign
    number: int
    what: str
    lines: list[str]


def stations(now: Overview) -> list[Station]:
    """Receive, queue, read and send, in that order."""
    return [_receive(now), _queue(now), _read(now), _send(now)]


def _receive(now: Overview) -> Station:
    processes = now.processes_of("receive")
    troubles = [one.note["trouble"] for one in processes if one.note.get("trouble") and not one.is_stale]
    trouble = troubles[0] if troubles else ""
    sign = Sign("bang", "refuses films", "urgent") if trouble else _sign(processes)
    films = f"{counted(now.films_today, 'film')} today"
    rejected = f"{now.rejected:,} callers rejected" if now.rejected else ""
    return Station(
        "Receive",
        sign,
        now.associations,
        "association open" if now.associations == 1 else "associations open",
        [trouble or ", ".join(filter(None, (films, rejected))), _heartbeat(processes)],
    )


def _queue(now: Overview) -> Station:
    grows = now.oldest_seconds > LONG_WAIT_SECONDS
    most_at, most = max(now.queue, key=lambda one: one[1])
    lines = [f"Oldest {duration(now.oldest_seconds)}" if now.waiting else "None waits"]
    lines += [f"Most in 24 h {most:,}, at {most_at.astimezone():%H:%M}" if most else "None waited in 24 h"]
    return Station(
        "Queue",
        Sign("clock", "growing", "caution") if grows else Sign("ok", "moving", ""),
        now.waiting,
        "film waiting" if now.waiting == 1 else "films waiting",
        lines,
    )


def _read(now: Overview) -> Station:
    processes = now.processes_of("read")
    note = processes[0].note if processes else {}
    pace = f"{note['milliseconds']} ms for a batch of {note['batch']}, " if note.get("batch") else ""
    pace += f"{note['memory_mib']} MiB" if note else ""
    return Station(
        "Read",
        _sign(processes),
        now.being_read,
        "film being read" if now.being_read == 1 else "films being read",
        [pace or "Nothing told of it yet", _heartbeat(processes)],
    )


def _send(now: Overview) -> Station:
    processes = now.processes_of("send")
    paused = [one for one in now.destinations if one.circuit != "closed"]
    sign = _sign(processes)
    if paused and sign is RUNNING:
        sign = Sign("pause", f"{len(paused)} paused", "caution")
    waits = [f"{one.waiting:,} to {one.name}" for one in now.destinations if one.waiting]
    where = ", ".join(waits[:2]) + (f" and {len(waits) - 2} more" if len(waits) > 2 else "")
    number = sum(one.waiting for one in now.destinations)
    nothing = "Nothing waits" if now.destinations else "No destination is configured"
    return Station(
        "Send", sign, number, "result waiting" if number == 1 else "results waiting",
        [where or nothing, _heartbeat(processes)],
    )  # fmt: skip


def _sign(processes: Sequence[Process]) -> Sign:
    if not processes:
        return Sign("question", "never ran", "caution")
    silent = sum(one.is_stale for one in processes)
    if not silent:
        return RUNNING
    return Sign("bang", "silent" if silent == len(processes) else f"{silent} silent", "urgent")


def _heartbeat(processes: Sequence[Process]) -> str:
    """Of the process that is silent for longest, or of the one last heard of."""
    if not processes:
        return "No heartbeat"
    one = processes[-1] if processes[-1].is_stale else processes[0]
    limit = f", limit {one.limit_seconds:.0f} s, on {one.host}" if one.is_stale else ""
    return f"Heartbeat {duration(one.age_seconds)} ago{limit}"


@dataclasses.dataclass(frozen=True)
class Charts:
    """Shapes of the three charts, and what is said of each in words."""

    hours: charts.Axes
    bars: list[charts.Bar]
    read: int
    skipped: int
    failed: int
    in_work: int
    hours_in_words: str
    seconds: charts.Axes
    goal_y: float
    median: str
    percentile95: str
    seconds_in_words: str
    queue: charts.Axes
    waiting: str
    queue_in_words: str


def day(now: Overview, goal_seconds: float) -> Charts:
    """Films an hour, seconds to the result, and films waiting."""
    begin = now.at - datetime.timedelta(hours=24)
    hours = now.films_by_hour
    sums = [one.read + one.skipped + one.failed for one in hours]
    most = max(range(len(sums)), key=sums.__getitem__)
    read, skipped, failed, in_work = (
        sum(getattr(one, part) for one in hours) for part in ("read", "skipped", "failed", "in_work")
    )
    by_hour = charts.day_axes(max(sums), hours[0].begin, hours[0].begin + datetime.timedelta(hours=24))
    slowest = max((one.percentile95 for one in now.latency), default=0.0)
    seconds = charts.day_axes(max(slowest, goal_seconds), begin, now.at, 3, " s", whole=False)
    middles = [(max(one.begin + datetime.timedelta(minutes=15), begin), one) for one in now.latency]
    peak_at, peak = max(now.queue, key=lambda one: one[1])
    queue = charts.day_axes(peak, begin, now.at)
    waiting = [(max(at, begin), films) for at, films in now.queue]
    return Charts(
        hours=by_hour,
        bars=charts.columns(
            [{"read": one.read, "skipped": one.skipped, "failed": one.failed} for one in hours], by_hour
        ),
        read=read,
        skipped=skipped,
        failed=failed,
        in_work=in_work,
        hours_in_words=f"Films an hour over 24 hours: {read:,} read, {skipped:,} skipped, {failed:,} failed; "
        f"most from {hours[most].begin:%H:%M}, {sums[most]:,}",
        seconds=seconds,
        goal_y=seconds.y(goal_seconds),
        median=charts.line([(at, one.median) for at, one in middles], seconds, begin, now.at),
        percentile95=charts.line([(at, one.percentile95) for at, one in middles], seconds, begin, now.at),
        seconds_in_words=f"Seconds from received to the last result at {now.latency_to}: "
        f"median {seconds_in_words(now.median)}, 95th percentile {seconds_in_words(now.percentile95)}; "
        f"goal {goal_seconds:g} s",
        queue=queue,
        waiting=charts.line(waiting, queue, begin, now.at),
        queue_in_words=f"Films waiting over 24 hours: now {now.waiting:,}, most {peak:,} at "
        f"{peak_at.astimezone():%H:%M}",
    )


def seconds_in_words(value: float | None) -> str:
    """Seconds as a person reads them."""
    if value is None:
        return "none"
    return f"{value:.2f} s" if value < 10 else duration(value)


def circuit(one: DestinationNow) -> tuple[Sign, str]:
    """Sign of a destination's circuit, and the line below it."""
    if one.circuit == "half open":
        return Sign("ring", "half open", "caution"), "1 test object"
    if one.circuit == "open":
        probe = f"next try at {clock(one.next_probe_at)}" if one.next_probe_at else "waits"
        return Sign("bang", "open", "urgent"), probe
    return Sign("ok", "closed", ""), "sends" if one.waiting else ""


def last_answer(one: DestinationNow) -> tuple[str, str]:
    """What the peer said last, and when it did."""
    took = f"last success {clock(one.last_success_at)}" if one.last_success_at else "no success yet"
    if one.circuit == "closed":
        if one.last_success_at is None:
            return "Nothing sent yet", ""
        return "Takes results", took
    times = "" if one.failures < 2 else f", {one.failures} times"
    since = f"since {clock(one.since)}; " if one.since else ""
    return f"{one.last_error}{times}", since + took
