"""What Prometheus asks for: the processes' counters, and the node as it is at this moment."""

import datetime
from collections.abc import Iterator
from typing import Any

from daemon import metrics, monitoring, service
from daemon.config import Config
from daemon.console import overview
from storage import database
from storage.database import Engine
from storage.spool import Spool

GAUGES = {
    "firstread_films_waiting": ("Films that wait to be read.", []),
    "firstread_films_being_read": ("Films that a reader has in hand.", []),
    "firstread_oldest_film_seconds": ("How long the oldest of the waiting films has waited.", []),
    "firstread_results_waiting": ("Results that wait for a destination.", ["destination"]),
    "firstread_oldest_result_seconds": ("How long the oldest of them has waited.", ["destination"]),
    "firstread_destination_up": ("1 where a destination takes results, else 0.", ["destination"]),
    "firstread_associations": ("Associations open.", []),
    "firstread_associations_most": ("Associations that may be open at once.", []),
    "firstread_associations_rejected": ("Associations rejected since the receiver's start.", []),
    "firstread_disk_free_bytes": ("Free space of a volume that grows with a film.", ["folder"]),
    "firstread_disk_floor_bytes": ("Free space under which films are refused.", ["folder"]),
    "firstread_heartbeat_age_seconds": (
        "Since a process or chore gave its last sign of life; the longest of a host.",
        ["process", "host"],
    ),
    "firstread_heartbeat_limit_seconds": ("How old its last sign of life may be.", ["process", "host"]),
    "firstread_stability_index": (
        "Population stability index; of all films where sender is empty.",
        ["sender"],
    ),
    "firstread_stability_alert": ("Stability index above which a person is told.", []),
    "firstread_flagged_ratio": ("Share of the films read that are flagged, last days.", []),
}


def text(config: Config, engine: Engine, spool: Spool) -> tuple[bytes, str]:
    """The whole answer and its media type."""

    class Collector:
        def collect(self) -> Iterator[Any]:
            yield from _gauges(config, engine, spool, service.now())

    def add(registry: Any) -> None:
        registry.register(Collector())

    return metrics.text(metrics.folder(spool.root), add)


def _gauges(config: Config, engine: Engine, spool: Spool, now: datetime.datetime) -> Iterator[Any]:
    seen = overview.look(config, engine, spool, now)
    with database.reading(engine) as connection:
        report = monitoring.report(connection, config.monitoring, now.date())
    values: dict[str, dict[str | tuple[str, ...], float | None]] = {
        "firstread_films_waiting": {"": seen.waiting},
        "firstread_films_being_read": {"": seen.being_read},
        "firstread_oldest_film_seconds": {"": seen.oldest_seconds},
        "firstread_results_waiting": {one.name: one.waiting for one in seen.destinations},
        "firstread_oldest_result_seconds": {
            one.name: (now - one.oldest).total_seconds() if one.oldest else 0.0 for one in seen.destinations
        },
        "firstread_destination_up": {one.name: one.circuit == "closed" for one in seen.destinations},
        "firstread_associations": {"": seen.associations},
        "firstread_associations_most": {"": seen.most_associations},
        "firstread_associations_rejected": {"": seen.rejected},
        "firstread_disk_free_bytes": {one.folder: one.free_bytes for one in seen.volumes},
        "firstread_disk_floor_bytes": {one.folder: one.floor_bytes for one in seen.volumes},
        "firstread_heartbeat_age_seconds": {
            (one.name, one.host): one.age_seconds
            for one in sorted(seen.processes, key=lambda one: one.age_seconds)
        },
        "firstread_heartbeat_limit_seconds": {
            (one.name, one.host): one.limit_seconds for one in seen.processes
        },
        "firstread_stability_index": {},
        "firstread_stability_alert": {"": config.monitoring.psi_alert},
        "firstread_flagged_ratio": {},
    }
    if report is not None:
        # The busiest senders: their titles are whatever callers say.
        shifts = [report.overall, *report.senders[:20]]
        values["firstread_stability_index"] = {one.name: one.index for one in shifts}
        values["firstread_flagged_ratio"] = {"": report.window.flagged.value}
    for name, (told, labels) in GAUGES.items():
        yield metrics.gauge(name, told, labels, values[name])
