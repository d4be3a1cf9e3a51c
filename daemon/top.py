"""``firstread top``: what the node does now, drawn anew each second."""

import contextlib
import datetime
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from daemon import check, service
from daemon.config import Config
from daemon.terminal import console, state, table
from storage import database, destinations, heartbeats, overview
from storage.database import Engine
from storage.heartbeats import Beat
from storage.states import DeliveryState, DestinationState

REFRESH_SECONDS = 1.0
LAST_FILMS = 10
DAY = datetime.timedelta(days=1)


def run(engine: Engine, config: Config, once: bool) -> None:
    """Draw frames until q is typed; with `once` print one."""
    screen = console()
    if once:
        screen.print(_frame(engine, config))
        return
    with (
        _keys() as typed,
        Live(_frame(engine, config), console=screen, screen=True, auto_refresh=False) as live,
    ):
        while typed(REFRESH_SECONDS) != b"q":
            live.update(_frame(engine, config), refresh=True)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bytes | None]]:
    """A function that waits so many seconds for a key and returns it, or nothing."""
    if not sys.stdin.isatty():
        yield time.sleep
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield (
            lambda seconds: (
                os.read(sys.stdin.fileno(), 1) if select.select([sys.stdin], [], [], seconds)[0] else b""
            )
        )
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _frame(engine: Engine, config: Config) -> Group:
    now = service.now()
    names = [one.name for one in config.destination]
    with database.reading(engine) as connection:
        films = overview.films_by_state(connection, now - DAY)
        rates = overview.rates(connection, now)
        results = overview.deliveries_by_state(connection, names)
        circuits = {name: destinations.get(connection, name) for name in names}
        last = overview.last_films(connection, LAST_FILMS)
        beats = heartbeats.all_of(connection)
    title = f"{config.node.ae_title} at {now.astimezone():%Y-%m-%d %H:%M:%S}, read by {config.model.version}"
    return Group(
        Text(title, "bold"),
        Text(),
        table(
            ["films", *(f">{name}" for name in films)],
            [["now, and ends of the last 24 h", *(_counted(name, number) for name, number in films.items())]],
        ),
        Text(f"a minute: {rates.received} received, {rates.read} read, {rates.sent} results sent"),
        Text(),
        _destinations(results, circuits),
        Text(),
        _films(last),
        Text(),
        _processes(beats, now),
    )


def _counted(name: str, number: int) -> Text:
    return Text(str(number), state(name).style if number else "dim")


def _destinations(results: Mapping[str, Mapping[DeliveryState, int]], circuits: Mapping[str, Any]) -> Any:
    rows = []
    for name, counts in results.items():
        circuit = circuits[name]
        if circuit is None:
            said = "nothing sent yet"
        elif circuit.state == DestinationState.DOWN:
            said = destinations.in_words(circuit)
        else:
            said = f"last result taken at {_clock(circuit.last_success_at)}"
        numbers = [_counted(of_state, number) for of_state, number in counts.items()]
        rows.append([name, state(circuit.state if circuit else ""), *numbers, said])
    counted = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED)
    return table(["destination", "", *(f">{name}" for name in counted), ""], rows)


def _films(rows: Sequence[Any]) -> Any:
    return table(
        [">job", "received", "sender", "accession", "state", "decision or reason"],
        [
            [
                row.id, _clock(row.received_at), row.calling_ae_title, row.accession_number, state(row.state),
                row.decision or row.reason,
            ]
            for row in rows
        ],
    )  # fmt: skip


def _processes(beats: Sequence[Beat], now: datetime.datetime) -> Any:
    rows = []
    for one in beats:
        seconds = (now - one.at).total_seconds()
        is_stale = seconds > check.stale_after_seconds(one.process)
        rows.append([str(one), Text(f"{seconds:.0f} s ago", "bold red" if is_stale else "green"), one.note])
    return table(["process", ">sign of life", ""], rows)


def _clock(at: datetime.datetime | None) -> str:
    return at.astimezone().strftime("%H:%M:%S") if at else "-"
