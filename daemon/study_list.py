"""The studies that somebody lists in a file: one Study Instance UID a line, or a table with such a column."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import UID

COLUMN = "study_instance_uid"


class ListUnusable(ValueError):
    """A file that is no list of studies. Says what was found and what was expected, and quotes none of it."""


def read(file: Path) -> tuple[str, ...]:
    """Study Instance UIDs, each once, in their order.

    Parameters
    ----------
    file : Path
        Lines, or CSV whose header names a column `COLUMN`, as in what ``firstread cohort`` writes.

    Raises
    ------
    ListUnusable
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ListUnusable(f"{file}: {error.strerror}, expected a file that lists studies") from error
    except UnicodeDecodeError:
        raise ListUnusable(f"{file}: expected text in UTF-8") from None
    try:
        found = _stated(lines)
    except csv.Error as error:
        raise ListUnusable(f"{file}: {error}, expected lines or CSV") from error
    for number, uid in found:
        # What stands there instead may be whose film it is.
        if not UID(uid.strip()).is_valid:
            raise ListUnusable(
                f"{file}, line {number}: expected a Study Instance UID, "
                f"or a header with {COLUMN} in the first line"
            )
    if not found:
        raise ListUnusable(f"{file}: found no study, expected one or more")
    return tuple(dict.fromkeys(uid.strip() for _, uid in found))


def _stated(lines: Sequence[str]) -> list[tuple[int, str]]:
    """What stands where a UID is expected, with the number of its line."""
    names = [name.strip() for name in next(csv.reader(lines), [])]
    if COLUMN not in names:
        return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    rows = csv.DictReader(lines, names, restval="")
    next(rows)
    return [(rows.line_num, row[COLUMN]) for row in rows]
