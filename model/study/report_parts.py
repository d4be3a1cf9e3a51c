"""What a report is made of: sections with numbered tables and figures, and how figures are written."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

TITLES = {"normal": "Normal", "bacterial": "Bacterial", "viral": "Other viral", "covid19": "COVID-19"}
NARROW, SHORT = 4, 18  # columns and rows up to which a table is
NONE = "–"  # where there is no figure
_JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a figure, and its interval on a line of its own.

    Parameters
    ----------
    text : str
    below : str
        In smaller letters; empty for none.
    """

    text: str
    below: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    key : str
        What texts refer to it by, as ``[[key]]``; unique among all parts of a report.
    caption : str
        One sentence.
    head : tuple of str
        Of each column; the first is that of the rows' own headings.
    groups : tuple of (str, rows)
        Rows under a heading of their own, empty for none; a row is a tuple of str, which may refer to
        parts, or `Cell`, one for each column.
    notes : str
        What has to be known to read it; may refer to other parts.
    texts : bool
        Whether the cells are words, to be set flush left, and no figures.
    """

    key: str
    caption: str
    head: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[str | Cell, ...], ...]], ...]
    notes: str = ""
    texts: bool = False

    @property
    def shape(self) -> str:
        """Classes of the style sheet: texts; narrow, of few columns; short, to be kept on a page."""
        rows = sum(len(rows) + bool(heading) for heading, rows in self.groups)
        found = {
            "texts": self.texts,
            "narrow": len(self.head) <= NARROW and not self.texts,
            "short": rows <= SHORT,
        }
        return " ".join(name for name, holds in found.items() if holds)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Parameters
    ----------
    key, caption, notes : str
        As of a `Table`.
    alt : str
        What one sees, for those who do not.
    picture : bytes
        SVG or JPEG.
    share : float
        Of the width of the text, 0 to 1.
    """

    key: str
    caption: str
    alt: str
    picture: bytes
    notes: str = ""
    share: float = 1.0

    @property
    def uri(self) -> str:
        """The picture as a ``data`` URI."""
        mime = "image/jpeg" if self.picture.startswith(_JPEG) else "image/svg+xml"
        return f"data:{mime};base64,{base64.b64encode(self.picture).decode()}"


@dataclass(frozen=True)
class Section:
    """A section.

    Parameters
    ----------
    key, title : str
    lead : tuple of str
        Paragraphs before the first part; may refer to parts.
    parts : tuple of Table or Figure
    link : (str, str) or None
        Address and words of a link to a file beside the report.
    """

    key: str
    title: str
    lead: tuple[str, ...] = ()
    parts: tuple[Table | Figure, ...] = ()
    link: tuple[str, str] | None = None


def numbered(sections: Sequence[Section]) -> dict[str, str]:
    """What each section, table and figure is called, ``Table S2``, by its key, in the order of the report."""
    names: dict[str, str] = {}
    counts = {"Table": 0, "Figure": 0}
    for number, section in enumerate(sections, 1):
        names[section.key] = f"Section {number}"
        for part in section.parts:
            kind = type(part).__name__
            counts[kind] += 1
            names[part.key] = f"{kind} S{counts[kind]}"
    return names


def title(label: str, question: str = "classes") -> str:
    """How a class is called in a report, or a label of a step, whose viral is every virus."""
    plain = label[:1].upper() + label[1:]
    return TITLES.get(label, plain) if question == "classes" else plain


def plain_rows(rows: Iterable[Sequence[str | Cell]]) -> tuple:
    """The groups of a table that has none."""
    return (("", tuple(tuple(row) for row in rows)),)


def percent(value: float | None, interval: Sequence[float] | None = None) -> Cell:
    """A proportion with its interval, per cent to one place."""
    return _cell(value, interval, lambda share: f"{100 * share:.1f}")


def area(value: float | None, interval: Sequence[float] | None = None) -> Cell:
    """An area or an error with its interval, to three places."""
    return _cell(value, interval, lambda one: f"{one:.3f}")


def ratio(value: float | None, interval: Sequence[float] | None = None) -> Cell:
    """An odds ratio with its interval, to three digits."""
    return _cell(value, interval, lambda one: f"{one:#.3g}".rstrip("."))


def p_value(value: float | None) -> str:
    """A p value as journals print it."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def count(number: int) -> str:
    """A count, thousands apart by a narrow space."""
    return f"{number:,}".replace(",", "\u202f")


def of_all(number: int, everyone: int) -> str:
    """A count and its share, ``12 (3.4%)``; none needs no share."""
    if not number:
        return "0"
    return f"{count(number)} ({100 * number / everyone:.1f}%)" if everyone else NONE


def listed(words: Iterator[str] | Sequence[str]) -> str:
    """Words in a sentence, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _cell(value: float | None, interval: Sequence[float] | None, written) -> Cell:
    if value is None:
        return Cell(NONE)
    if interval is None or interval[0] is None:
        return Cell(written(value))
    return Cell(written(value), f"({written(interval[0])}–{written(interval[1])})")
