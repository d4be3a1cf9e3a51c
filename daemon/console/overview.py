"""The node in figures, each from an index or a heartbeat: for the page, the API and Prometheus."""

import dataclasses
import datetime
import importlib.metadata
import math
import shutil
from collections import defaultdict
from typing import Any

from daemon import housekeeping, notes
from daemon.config import Config, Destination, commits
from daemon.console.banner import STALE_SECONDS
from storage import database, destinations, heartbeats, space, traffic
from storage.database import Connection, Engine
from storage.spool import Spool
from storage.states import DestinationState

DAY = datetime.timedelta(days=1)
HALF_HOUR = datetime.timedelta(minutes=30)


@dataclasses.dataclass(frozen=True)
class Process:
    """A process or a chore of one; `instance` as claimants are called behind the @."""

    name: str
    instance: str
    host: str
    at: datetime.datetime
    age_seconds: float
    limit_seconds: float
    note: dict[str, Any]

    @property
    def is_stale(self) -> bool:
        """Whether it has been silent for too long."""
        return self.age_seconds > self.limit_seconds


@dataclasses.dataclass(frozen=True)
class Hour:
    """Films received in an hour, by where they are now."""

    begin: datetime.datetime
    read: int
    skipped: int
    failed: int
    in_work: int


@dataclasses.dataclass(frozen=True)
class Latency:
    """Seconds from reception to the answer of the destination to the last result, over half an hour."""

    begin: datetime.datetime
    films: int
    median: float
    percentile95: float


@dataclasses.dataclass(frozen=True)
class DestinationNow:
    """A destination and its circuit: closed takes results, open waits, half open has one on trial."""

    name: str
    kind: str
    circuit: str
    since: datetime.datetime | None
    failures: int
    next_probe_at: datetime.datetime | None
    waiting: int
    oldest: datetime.datetime | None
    sent_in_24_hours: int
    last_error: str
    last_error_at: datetime.datetime | None
    last_success_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Caller:
    """A calling AE title: what it sent today, and its associations since the receiver's start."""

    ae_title: str
    open: int
    open_seconds: float
    films_today: int
    last: datetime.datetime | None
    rejected: int
    why: str


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume that grows with a film; films are refused under `floor_bytes`."""

    folder: str
    free_bytes: int
    size_bytes: int
    floor_bytes: int
    days_left: float | None


@dataclasses.dataclass(frozen=True)
class Overview:
    """The node as it is now.

    Parameters
    ----------
    up_seconds : float or None
        Since when films are received without a break of the process; None while none are.
    """

    at: datetime.datetime
    ae_title: str
    port: int
    version: str
    up_seconds: float | None
    processes: list[Process]
    waiting: int
    oldest_seconds: float
    being_read: int
    films_today: int
    films_by_hour: list[Hour]
    latency_to: str
    latency: list[Latency]
    median: float | None
    percentile95: float | None
    queue: list[tuple[datetime.datetime, int]]
    destinations: list[DestinationNow]
    callers: list[Caller]
    associations: int
    most_associations: int
    rejected: int
    volumes: list[Volume]

    def processes_of(self, role: str) -> list[Process]:
        """The processes of a role on all hosts, the one last heard of first."""
        return sorted((one for one in self.processes if one.name == role), key=lambda one: one.age_seconds)


def look(config: Config, engine: Engine, spool: Spool, now: datetime.datetime) -> Overview:
    """Everything on the page but monitoring."""
    begin = now.astimezone().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=23)
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    with database.reading(engine) as connection:
        beats = heartbeats.all_of(connection)
        queue = traffic.queue(connection)
        hours = _hours(connection, begin)
        seconds = (
            traffic.seconds_to_result(connection, config.destination[0].name, now - DAY)
            if config.destination
            else []
        )
        peaks = traffic.queue_peaks(connection, now - DAY)
        today = {one.calling_ae_title: one for one in traffic.by_sender(connection, midnight)}
        size = sum(one.size_bytes for one in traffic.by_sender(connection, now - DAY))
        to = _destinations(connection, config, now)
    processes = [
        Process(
            one.process,
            one.instance,
            one.host,
            one.at,
            (now - one.at).total_seconds(),
            _limit(one.process),
            notes.parse(one.note),
        )
        for one in beats
    ]
    receivers = [one for one in processes if one.name == "receive"]
    # What one that is silent told counts where there is no other.
    doors = [one.note for one in receivers if not one.is_stale] or [one.note for one in receivers[:1]]
    all_seconds = sorted(value for _, value in seconds)
    return Overview(
        at=now,
        ae_title=config.node.ae_title,
        port=config.node.port,
        version=importlib.metadata.version("firstread"),
        up_seconds=_up_seconds(receivers, now),
        processes=processes,
        waiting=queue.waiting,
        oldest_seconds=(now - queue.oldest).total_seconds() if queue.oldest else 0.0,
        being_read=queue.reading,
        films_today=sum(one.films for one in today.values()),
        films_by_hour=hours,
        latency_to=config.destination[0].name if config.destination else "",
        latency=_latency(seconds),
        median=rank(all_seconds, 0.5),
        percentile95=rank(all_seconds, 0.95),
        queue=[*((row.quarter, row.waiting) for row in peaks), (now, queue.waiting)],
        destinations=to,
        callers=_callers(doors, today, now),
        associations=sum(door.get("open", 0) for door in doors),
        most_associations=config.node.most_associations * max(1, len(doors)),
        rejected=sum(door.get("rejected", 0) for door in doors),
        volumes=_volumes(config, engine, spool, size),
    )


def _up_seconds(receivers: list[Process], now: datetime.datetime) -> float | None:
    started = [
        datetime.datetime.fromisoformat(one.note["started_at"])
        for one in receivers
        if not one.is_stale and "started_at" in one.note
    ]
    return (now - min(started)).total_seconds() if started else None


def rank(ordered: list[float], share: float) -> float | None:
    """The value at a share of an ascending list, by the nearest rank; None of no values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _limit(name: str) -> float:
    return housekeeping.STALE_SECONDS.get(name, STALE_SECONDS)


def _hours(connection: Connection, begin: datetime.datetime) -> list[Hour]:
    begins = [begin + datetime.timedelta(hours=number) for number in range(24)]
    counts = traffic.films_by_hour(connection, begins)

    def of(place: int, *states: str) -> int:
        return sum(counts.get((place, state), 0) for state in states)

    return [
        Hour(at, of(n, "READ"), of(n, "SKIPPED"), of(n, "FAILED"), of(n, "QUEUED", "READING"))
        for n, at in enumerate(begins)
    ]


def _latency(seconds: list[tuple[datetime.datetime, float]]) -> list[Latency]:
    by_time: defaultdict[float, list[float]] = defaultdict(list)
    for at, value in seconds:
        by_time[at.timestamp() // HALF_HOUR.total_seconds()].append(value)
    found = []
    for number, values in sorted(by_time.items()):
        values.sort()
        at = datetime.datetime.fromtimestamp(number * HALF_HOUR.total_seconds(), datetime.UTC)
        found.append(Latency(at, len(values), rank(values, 0.5) or 0.0, rank(values, 0.95) or 0.0))
    return found


def _destinations(connection: Connection, config: Config, now: datetime.datetime) -> list[DestinationNow]:
    names = [one.name for one in config.destination]
    unsent = traffic.unsent(connection, names)
    sent = traffic.sent(connection, names, now - DAY)
    found = []
    for one in config.destination:
        row = destinations.get(connection, one.name)
        waiting, oldest = unsent.get(one.name, (0, None))
        found.append(
            DestinationNow(
                one.name,
                kind_in_words(one),
                _circuit(row, now),
                row.since if row else None,
                row.failures if row else 0,
                row.next_probe_at if row else None,
                waiting,
                oldest,
                sent.get(one.name, 0),
                row.last_error if row else "",
                row.last_error_at if row else None,
                row.last_success_at if row else None,
            )
        )
    return found


def _circuit(row: Any | None, now: datetime.datetime) -> str:
    if row is None or row.state == DestinationState.UP:
        return "closed"
    return "half open" if row.probed_by is not None and row.probed_until >= now else "open"


def kind_in_words(one: Destination) -> str:
    """How a destination is spoken to."""
    words = {"dimse": "DICOM", "dicomweb": "DICOMweb", "hl7": "HL7", "webhook": "webhook"}[one.kind]
    words += " TLS" if getattr(one, "tls", False) else ""
    return words + (", commitment" if commits(one) else "")


def _callers(
    doors: list[dict[str, Any]], today: dict[str, traffic.Received], now: datetime.datetime
) -> list[Caller]:
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for door in doors:
        for one in door.get("callers", []):
            told[one["ae_title"]].append(one)
    found = []
    for name in {**told, **today}:
        seen, received = told.get(name, []), today.get(name)
        times = [datetime.datetime.fromisoformat(one["last"]) for one in seen if one.get("last")]
        times += [received.last] if received else []
        since = [datetime.datetime.fromisoformat(one["since"]) for one in seen if one.get("since")]
        found.append(
            Caller(
                name,
                sum(one.get("open", 0) for one in seen),
                (now - min(since)).total_seconds() if since else 0.0,
                received.films if received else 0,
                max(times, default=None),
                sum(one.get("rejected", 0) for one in seen),
                next((one["why"] for one in seen if one.get("why")), ""),
            )
        )
    return sorted(found, key=lambda one: (-one.open, -one.films_today, one.ae_title))


def _volumes(config: Config, engine: Engine, spool: Spool, bytes_a_day: int) -> list[Volume]:
    found: dict[int, Volume] = {}
    for folder in space.folders(spool.root, engine):
        usage = shutil.disk_usage(folder)
        whole = usage.used + usage.free
        by_share = whole * (1 - config.storage.watermark_percent / 100)
        floor = max(config.storage.floor_mib << 20, int(by_share))
        left = (usage.free - floor) / bytes_a_day if bytes_a_day else None
        found.setdefault(
            folder.stat().st_dev,
            Volume(str(folder), usage.free, whole, floor, None if left is None else max(0.0, left)),
        )
    return list(found.values())
