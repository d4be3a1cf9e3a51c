"""Films of an invented evening in a job database, made by the storage functions, for tests of the console."""

import dataclasses
import datetime

import readings

from daemon.results.notification import figures
from model.findings import Reading
from model.weights import open_version
from storage import claims, deliveries, destinations, films, heartbeats
from storage.database import Engine
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.states import DeliveryState, FilmState, Opinion
from storage.tables import verdict

SENDERS = ("XR-ED-1", "XR-PORT-3", "XR-ROOM-2")
VERSION = open_version("firstread-1").recipe["version"]
_MODEL = dataclasses.replace(readings.MODEL, name="firstread-1", version=VERSION)


class Evening:
    """Films received before `now`, each a few minutes after the one before.

    Parameters
    ----------
    engine : Engine
    now : datetime
    """

    def __init__(self, engine: Engine, now: datetime.datetime) -> None:
        self.engine = engine
        self.now = now
        self._number = 4680

    def queue(self, minutes: float, sender: str = SENDERS[0], view: str = "PA") -> int:
        """A film that came so many minutes ago; its job."""
        self._number += 1
        number = self._number
        received = ReceivedFilm(
            f"1.2.3.{number}", "1.2.840.10008.5.1.4.1.1.1", f"1.2.4.{number}", f"26110-{number}", "CR",
            "1.2.840.10008.1.2.1", f"{number:064x}", 10, f"films/aa/{number:032x}.dcm", sender, "FIRSTREAD",
            "127.0.0.1", "Synthetic", view,
        )  # fmt: skip
        return films.enqueue(self.engine, received, self._ago(minutes)).job

    def read(self, reading: Reading, minutes: float, *states: DeliveryState, **of: str) -> int:
        """One that is READ; its results are in these states at the destinations ``main`` and ``research``."""
        job = self._claimed(minutes, **of)
        names = ("main", "research")[: len(states)]
        new = [
            NewDelivery(kind, name, "1.2", f"1.9.{job}.{kind == 'SR'}", "results/x")
            for name in names
            for kind in ("SC", "SR")
        ]
        kept = figures(dataclasses.replace(reading, model=_MODEL))
        films.finish_read(self.engine, job, "read@test", self._ago(minutes - 0.01), kept, new)
        for name, state in zip(names, states, strict=True):
            self._deliver(name, state, minutes - 0.02)
        return job

    def end(self, state: FilmState, reason: str, minutes: float, **of: str) -> int:
        """One that is SKIPPED or FAILED."""
        job = self._claimed(minutes, **of)
        films.finish(self.engine, job, "read@test", state, self._ago(minutes - 0.01), reason)
        return job

    def say(self, job: int, opinion: Opinion, minutes: float, finding: str = "") -> None:
        """A reader's verdict."""
        with self.engine.begin() as connection:
            connection.execute(
                verdict.insert().values(
                    film_id=job, at=self._ago(minutes), user_name="r", opinion=opinion, finding=finding,
                    version=VERSION, decision="",
                )
            )  # fmt: skip

    def beat(self, seconds_ago: float = 0) -> None:
        """The reader's heartbeat."""
        for process in ("receive", "read"):
            at = self.now - datetime.timedelta(seconds=seconds_ago)
            heartbeats.beat(self.engine, process, "xr1.0a1b2c3d:4711:1", at)

    def _claimed(self, minutes: float, **of: str) -> int:
        job = self.queue(minutes, **of)
        at = self._ago(minutes)
        for one in claims.claim(self.engine, "read@test", 99, at, at + datetime.timedelta(minutes=5), False):
            if one.id != job:
                films.put_back(self.engine, [one.id], "read@test", at, "")
        return job

    def _deliver(self, name: str, state: DeliveryState, minutes: float) -> None:
        at = self._ago(minutes)
        until = at + datetime.timedelta(minutes=5)
        if state == DeliveryState.PENDING:
            destinations.went_down(self.engine, name, "send@test", at, "connection refused")
            return
        for one in deliveries.claim(self.engine, name, "send@test", 9, at, until):
            failed = state == DeliveryState.FAILED and one.kind == "SR"
            end = (
                (DeliveryState.FAILED, 0xA900, "status 0xA900: data set does not match SOP class")
                if failed
                else (DeliveryState.SENT, 0x0000, "")
            )
            deliveries.finish(
                self.engine, "send@test", [deliveries.Finished(one, end[0], at, end[1], end[2])]
            )

    def _ago(self, minutes: float) -> datetime.datetime:
        return self.now - datetime.timedelta(minutes=minutes)


def fill(engine: Engine, now: datetime.datetime) -> Evening:
    """An evening with something in every group."""
    evening = Evening(engine, now)
    sent, failed, pending = DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.PENDING
    covid = readings.make_reading((0.01, 0.02, 0.97), (0.02, 0.96, 0.02))
    evening.read(covid, 34, sent, sender="XR-PORT-3", view="AP")
    evening.read(readings.make_reading((0.01, 0.98, 0.01)), 27, sent, sent, view="AP")
    evening.read(readings.covid(), 21, sent, failed, sender="XR-ROOM-2")
    evening.read(readings.bacterial(), 44, sent, pending, sender="XR-PORT-3", view="AP")
    evening.read(readings.other_virus(), 24, sent)
    evening.read(readings.viral(), 14, sent, sender="XR-ROOM-2")
    evening.read(readings.outside_lungs(), 52, sent, sender="XR-PORT-3", view="AP")
    evening.read(readings.below_threshold(), 12)
    evening.end(FilmState.SKIPPED, "ROTATED: found a turn of 90 degrees, expected none", 29)
    evening.end(FilmState.SKIPPED, "NOT_FRONTAL: found View Position LL, expected PA, AP", 8, view="LL")
    evening.end(FilmState.FAILED, "UNREADABLE: pixel data end at row 1204 of 2048", 22)
    for minutes in range(60, 75):
        evening.read(readings.normal(), minutes, sent, sender="XR-ROOM-2")
    evening.say(evening.read(readings.normal(), 80, sent), Opinion.AGREE, 20)
    evening.say(evening.read(readings.covid(), 85, sent), Opinion.DISAGREE, 25, "normal")
    evening.queue(1)
    evening.beat()
    return evening
