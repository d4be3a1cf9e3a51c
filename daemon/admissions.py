"""A hospital's table of examinations, a row for each, as admissions with their films in order of time."""

import csv
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from model.study.gold_standard import Admission, Examination
from model.study.icd10 import NotACode, normalised
from storage import foreign_table

MOST_FAULTS_TOLD = 20
_BLANK = re.compile(r"\s*")


class AdmissionsUnusable(ValueError):
    """The table cannot be used; a line for each fault, none of which quotes what may name somebody."""


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and _BLANK.fullmatch(value) else value


def _list(separators: str) -> BeforeValidator:
    def split(value: object) -> object:
        if value is None:
            return ()
        return tuple(part.strip() for part in re.split(separators, str(value)) if part.strip())

    return BeforeValidator(split)


def _without_zone(time: datetime.datetime) -> datetime.datetime:
    """A time as UTC where it says its zone, else as the hospital writes it; so that any two compare."""
    return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time


Time = Annotated[datetime.datetime, AfterValidator(_without_zone)]
Word = Annotated[str | None, BeforeValidator(_none_if_blank)]


@dataclass(frozen=True)
class Row:
    """An examination as the table has it; the columns that have no default must be there."""

    patient: Annotated[str, Field(min_length=1), BeforeValidator(str)]
    admission: Annotated[str, Field(min_length=1), BeforeValidator(str)]
    examined_at: Time
    study_instance_uid: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
    read: Literal["pneumonia", "none"]
    codes: Annotated[tuple[str, ...], _list(r"[\s,;|]+")]
    suspected: bool
    discharged_at: Annotated[Time | None, BeforeValidator(_none_if_blank)] = None
    position: Annotated[Literal["standing", "lying"] | None, BeforeValidator(_none_if_blank)] = None
    age: Annotated[float | None, Field(ge=0, le=130), BeforeValidator(_none_if_blank)] = None
    sex: Word = None
    bmi: Annotated[float | None, Field(gt=0, le=200), BeforeValidator(_none_if_blank)] = None
    ethnicity: Word = None
    microbiology: Annotated[tuple[str, ...], _list(r"[;|]")] = ()


_ROW = TypeAdapter(Row)
NEEDED = ("patient", "admission", "examined_at", "study_instance_uid", "read", "codes", "suspected")
WELCOME = ("discharged_at", "position", "age", "sex", "bmi", "ethnicity", "microbiology")
# What an admission has once; taken from its first row.
_COVARIATES = ("age", "sex", "bmi", "ethnicity")


def read(place: str, password: str | None, table: str) -> list[Admission]:
    """All admissions of a table.

    Parameters
    ----------
    place : str
        Path of a CSV file with a heading, or a SQLAlchemy URL.
    password : str or None
        Of the database.
    table : str
        Of the database.

    Returns
    -------
    list of Admission
        In the order of their keys; films after discharge are left out.

    Raises
    ------
    AdmissionsUnusable
    storage.database.DatabaseUnavailable
    """
    try:
        if "://" in place:
            return _grouped(_valid(foreign_table.read(place, password, table, NEEDED, WELCOME)))
        with Path(place).open(newline="", encoding="utf-8-sig") as lines:
            return _grouped(_valid(_of_csv(lines, place)))
    except foreign_table.TableUnusable as error:
        raise AdmissionsUnusable(str(error)) from error
    except OSError as error:
        raise AdmissionsUnusable(
            f"{place}: {error.strerror}; expected a CSV file or a database URL"
        ) from error
    except (UnicodeDecodeError, csv.Error):
        raise AdmissionsUnusable(f"{place}: found no CSV in UTF-8, expected one with a heading") from None


def _of_csv(lines: Iterable[str], place: str) -> Iterator[Mapping[str, object]]:
    rows = csv.DictReader(lines, restkey="")
    if missing := [name for name in NEEDED if name not in (rows.fieldnames or ())]:
        raise AdmissionsUnusable(
            f"{place}: found no column {', '.join(missing)}, expected {', '.join(NEEDED)}"
            f" and perhaps {', '.join(WELCOME)}"
        )
    yield from rows


def _valid(rows: Iterable[Mapping[str, object]]) -> list[Row]:
    found, faults = [], []
    for number, row in enumerate(rows, 1):
        known = {name: row[name] for name in (*NEEDED, *WELCOME) if name in row}
        try:
            one = _ROW.validate_python(known)
            for code in one.codes:
                normalised(code)
            found.append(one)
        except pydantic.ValidationError as error:
            faults += [_fault(number, fault) for fault in error.errors()]
        except NotACode:
            faults.append(f"row {number}: codes: expected ICD-10 codes such as J18.9")
    if faults:
        more = len(faults) - MOST_FAULTS_TOLD
        told = [*faults[:MOST_FAULTS_TOLD], f"and {more} more" if more > 0 else ""]
        raise AdmissionsUnusable("\n".join(filter(None, told)))
    return found


def _fault(number: int, fault: Any) -> str:
    # What was found is not told: a column in the wrong place may hold a name.
    return f"row {number}: {'.'.join(map(str, fault['loc'][:1]))}: {fault['msg']}"


def _grouped(rows: Iterable[Row]) -> list[Admission]:
    by_key: dict[tuple[str, str], list[Row]] = {}
    uids: set[str] = set()
    for row in rows:
        by_key.setdefault((row.patient, row.admission), []).append(row)
        if row.study_instance_uid in uids:
            raise AdmissionsUnusable(
                f"study {row.study_instance_uid} stands in two rows, expected one examination a row"
            )
        uids.add(row.study_instance_uid)
    return [
        _admission(key, sorted(theirs, key=lambda row: row.examined_at))
        for key, theirs in sorted(by_key.items())
    ]


def _admission(key: tuple[str, str], rows: list[Row]) -> Admission:
    discharged_at = max((row.discharged_at for row in rows if row.discharged_at), default=None)
    return Admission(
        *key,
        tuple(
            Examination(
                row.study_instance_uid, row.examined_at, row.position or "", row.suspected,
                row.read == "pneumonia",
            )
            for row in rows
            if discharged_at is None or row.examined_at <= discharged_at
        ),
        tuple(dict.fromkeys(code for row in rows for code in row.codes)),
        tuple(dict.fromkeys(finding for row in rows for finding in row.microbiology)),
        {name: _first(getattr(row, name) for row in rows) for name in _COVARIATES},
    )  # fmt: skip


def _first(values: Iterable[float | str | None]) -> float | str | None:
    return next((value for value in values if value is not None), None)
