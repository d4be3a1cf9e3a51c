"""A month and a half of invented films in a job database, in bulk, for tests of monitoring and its page."""

import datetime
import json

import numpy as np
from sqlalchemy import Engine, insert

from storage import destinations, heartbeats, monitoring, traffic
from storage.states import DeliveryState, FilmState, Opinion
from storage.tables import delivery, event, film, queue_peak, verdict

SENDERS = ("XR-ED-1", "XR-ROOM-1", "XR-ROOM-2", "XR-PORT-3")
DAYS = 45
MODEL = {"model": "firstread-1", "version": "0.3.0", "weights_sha256": "ab" * 32}


def fill(engine: Engine, now: datetime.datetime, films_a_day: int = 200, days: int = DAYS) -> None:
    """Films of `days`, those of XR-PORT-3 with other scores in the last five; results of the last day."""
    random = np.random.default_rng(8)
    jobs, moves, results = [], [], []
    for day in range(days):
        minutes = np.sort(random.uniform(0, 1440, films_a_day))
        for number, minute in enumerate(minutes):
            at = now - datetime.timedelta(days=days - 1 - day) - datetime.timedelta(minutes=float(minute))
            job = len(jobs) + 1
            sender = SENDERS[(0, 0, 0, 0, 1, 1, 1, 2, 2, 3)[number % 10]]
            moved = sender == "XR-PORT-3" and day >= days - 5
            sick = random.random() < (0.7 if moved else 0.15)
            normal = float(random.beta(1.2, 6) if sick else random.beta(8, 1.1))
            jobs.append(_film(job, at, sender, normal, random))
            moves.append(
                {"at": at, "film_id": job, "to_state": jobs[-1]["state"], "who": "read@test",
                 "from_state": FilmState.READING}
            )  # fmt: skip
            if day >= days - 2 and jobs[-1]["state"] == FilmState.READ:
                results += _results(job, at, float(random.gamma(6, 0.07)))
    with engine.begin() as connection:
        for number in range(0, len(jobs), 5000):
            connection.execute(insert(film), jobs[number : number + 5000])
            connection.execute(insert(event), moves[number : number + 5000])
        if results:
            connection.execute(insert(delivery), results)
    _say(engine, now, len(jobs))
    while monitoring.count_new(engine):
        pass


def _film(
    job: int, at: datetime.datetime, sender: str, normal: float, random: np.random.Generator
) -> dict[str, object]:
    chance = random.random()
    state = FilmState.READ if chance > 0.05 else FilmState.SKIPPED if chance > 0.002 else FilmState.FAILED
    reason = {
        FilmState.READ: "",
        FilmState.SKIPPED: ("NOT_CHEST: found HAND" if job % 3 else "ROTATED: found a chest turned"),
        FilmState.FAILED: "UNREADABLE: found no pixels",
    }[state]
    decision = "normal" if normal > 0.5 else "bacterial"
    reading = MODEL | {
        "decision": decision,
        "step1": {"normal": normal, "bacterial": 1 - normal, "viral": 0.0},
    }
    return {
        "id": job, "sop_instance_uid": f"1.2.{job}", "sop_class_uid": "1.2",
        "study_instance_uid": f"1.5.{job}",
        "accession_number": f"A{job}", "modality": "CR", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "digest": f"{job:064x}", "size_bytes": 8_000_000, "spool_name": f"films/aa/{job:032x}.dcm",
        "calling_ae_title": sender, "called_ae_title": "FIRSTREAD", "peer_address": "127.0.0.1",
        "state": state, "reason": reason, "attempts": 1, "received_at": at, "changed_at": at,
        "decision": decision if state == FilmState.READ else None,
        "reading": reading if state == FilmState.READ else None,
        "manufacturer": "Synthetic" if sender != "XR-PORT-3" else "Portable",
        "view_position": "AP" if sender == "XR-PORT-3" else "PA",
    }  # fmt: skip


def _results(job: int, at: datetime.datetime, seconds: float) -> list[dict[str, object]]:
    sent = at + datetime.timedelta(seconds=seconds)
    return [
        {
            "film_id": job, "kind": kind, "destination": name, "sop_class_uid": "1.2",
            "sop_instance_uid": f"1.9.{job}.{kind == 'SR'}", "spool_name": "results/x",
            "state": DeliveryState.SENT, "attempts": 1, "next_attempt_at": at, "created_at": at,
            "changed_at": sent, "sent_at": sent,
        }
        for name in ("pacs", "research")
        for kind in ("SC", "SR")
    ]  # fmt: skip


def _say(engine: Engine, now: datetime.datetime, jobs: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(verdict),
            [
                {"film_id": jobs - number, "at": now - datetime.timedelta(hours=number), "user_name": "r",
                 "opinion": Opinion.AGREE if number % 6 else Opinion.DISAGREE, "version": "firstread-1 0.3.0",
                 "finding": "" if number % 6 else "other finding", "decision": "normal"}
                for number in range(90)
            ],
        )  # fmt: skip


INSTANCE = "xr1.0a1b2c3d:4711:1"


def beat(engine: Engine, now: datetime.datetime, silent: str = "") -> None:
    """Heartbeats of a node at work, one process silent for four minutes; one destination takes nothing."""
    notes = {
        "receive": {
            "started_at": (now - datetime.timedelta(days=23, hours=1)).isoformat(),
            "open": 2, "most": 50, "rejected": 2, "trouble": "",
            "callers": [
                {"ae_title": "XR-ED-1", "open": 1, "since": now.isoformat(), "last": now.isoformat(),
                 "rejected": 0, "why": ""},
                {"ae_title": "CT-SIM-9", "open": 0, "since": None, "last": now.isoformat(), "rejected": 2,
                 "why": "not on the list of callers"},
            ],
        },
        "read": {"model": "firstread-1 0.3.0", "weights_sha256": "ab" * 32, "batch": 3, "milliseconds": 92,
                 "memory_mib": 412},
        "send": {},
        "housekeeping": {},
        "monitoring": {},
    }  # fmt: skip
    for name, note in notes.items():
        age = datetime.timedelta(minutes=4) if name == silent else datetime.timedelta(seconds=1)
        heartbeats.beat(engine, name, INSTANCE, now - age, json.dumps(note))


def take_down(engine: Engine, name: str, now: datetime.datetime) -> None:
    """A destination that refuses connections, with two results that wait for it."""
    destinations.went_down(engine, name, "send@test", now, "Connection refused")
    with engine.begin() as connection:
        row = {
            "film_id": 1, "kind": "SC", "destination": name, "sop_class_uid": "1.2",
            "spool_name": "results/x", "state": DeliveryState.PENDING, "attempts": 1,
            "created_at": now, "changed_at": now, "next_attempt_at": now + datetime.timedelta(hours=1),
        }  # fmt: skip
        connection.execute(insert(delivery), [row | {"sop_instance_uid": f"1.10.{n}"} for n in range(2)])


def queue(engine: Engine, now: datetime.datetime) -> None:
    """The longest queues of the last day."""
    quarter = now - datetime.timedelta(seconds=now.timestamp() % traffic.PEAK.total_seconds())
    quarter = quarter.replace(microsecond=0)
    waits = {3: 9, 4: 4, 40: 2, 41: 3, 70: 1}
    with engine.begin() as connection:
        connection.execute(
            insert(queue_peak),
            [{"quarter": quarter - n * traffic.PEAK, "waiting": waits.get(n, 0)} for n in range(1, 96)],
        )
