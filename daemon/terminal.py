"""Answers on a terminal: columns and colour by rich. What a pipe gets is plain text, made elsewhere.

rich leaves colour away where NO_COLOR is set or the terminal has none, and everything where stdout is a pipe.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Of films, deliveries and destinations; one word means the same everywhere.
STYLES = {
    "QUEUED": "blue",
    "PENDING": "blue",
    "READING": "cyan",
    "SENDING": "cyan",
    "READ": "green",
    "SENT": "green",
    "COMMITTED": "bold green",
    "UP": "green",
    "SKIPPED": "yellow",
    "FAILED": "bold red",
    "DOWN": "bold red",
}
WIDE_COLUMNS = 110
UNBROKEN_COLUMNS = 1000


def console() -> Console:
    """Of stdout; colours are only those we give, and only a terminal's width breaks lines."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN_COLUMNS)


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name, STYLES.get(name, ""))


def event_columns(rows: Iterable[Any], width: int) -> Table:
    """Events in columns whose places do not depend on the rows, so that later ones go on below.

    Parameters
    ----------
    rows : iterable of rows
        From `storage.events.newest`.
    width : int
        Columns of the terminal; on a wide one each event has its accession number.
    """
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=14, no_wrap=True, style="dim")
    table.add_column(width=7, no_wrap=True, justify="right")
    if width >= WIDE_COLUMNS:
        table.add_column(width=16, no_wrap=True)
    table.add_column(width=18, no_wrap=True)
    table.add_column(width=20, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        move = Text.assemble((f"{row.from_state or '':>7}", "dim"), (" → ", "dim"), state(row.to_state))
        table.add_row(
            row.at.astimezone().strftime("%m-%d %H:%M:%S"),
            str(row.film_id),
            *([Text(row.accession_number)] if width >= WIDE_COLUMNS else []),
            Text(f"{row.kind} to {row.destination}" if row.delivery_id else "film"),
            move,
            Text(row.message),
        )
    return table


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table; headings that begin with > are of columns of numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(
            heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made
