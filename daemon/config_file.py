"""The config file itself: where it is, how it is read, and its faults told all at once.

Table ``[storage]`` stands here and not with the others, since it is all that a look into the job database
needs: without the DICOM dictionary, which the other tables ask, ``firstread tail`` starts at once.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

DEFAULT_PATH = Path("/etc/firstread/firstread.toml")
STRICT = pydantic.ConfigDict(extra="forbid", strict=True)
_BUCKET = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w.-]+(?:/[\w.-]+)*))?/?", re.A
)


def _film_store(place: str) -> str:
    """A folder, or a bucket."""
    if "://" in place and not _BUCKET.fullmatch(place):
        raise ValueError("expected a folder, or s3://bucket or s3://bucket/prefix")
    return place


@dataclass(frozen=True, config=STRICT)
class Storage:
    """Table ``[storage]``: where films, results and jobs are kept."""

    database: str = "sqlite:////var/lib/firstread/firstread.db"
    database_password_file: str = ""
    spool: Annotated[str, AfterValidator(_film_store)] = "/var/lib/firstread/spool"
    s3_folder: str = "/var/lib/firstread/spool"
    s3_endpoint: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9.\[\]:-]+)?$")] = ""
    s3_region: str = "us-east-1"
    s3_access_key_file: str = ""
    s3_secret_key_file: str = ""
    s3_ca_file: str = ""
    s3_copies_mib: Annotated[int, Field(ge=0)] = 4096
    floor_mib: Annotated[int, Field(ge=0)] = 1024
    watermark_percent: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 98.0
    # Longer than any commit may take, and than a sender may pause within a data set.
    leftover_seconds: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 3600.0

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of an object store; None if the films are in a folder."""
        found = _BUCKET.fullmatch(self.spool)
        return (found["bucket"], found["prefix"] or "") if found else None

    @model_validator(mode="after")
    def _has_both_keys(self) -> "Storage":
        if bool(self.s3_access_key_file) != bool(self.s3_secret_key_file):
            raise ValueError("s3_access_key_file and s3_secret_key_file, expected both or none")
        return self


class BadConfig(ValueError):
    """The config file cannot be used; the message has a line for each fault, with table and key."""


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, not yet judged.

    Raises
    ------
    BadConfig
        If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}; expected a config file (see --config)") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: not TOML: {error}") from error


def load_storage(path: Path) -> Storage:
    """Table ``[storage]`` alone; the other tables may have faults.

    Raises
    ------
    BadConfig
        If the file cannot be read, is not TOML, or the table has a fault.
    """
    table = read_tables(path).get("storage", {})
    return validated(TypeAdapter(dict[str, Storage]), {"storage": table}, str(path))["storage"]


def validated(
    adapter: TypeAdapter[Any], tables: dict[str, Any], source: str, more_faults: Sequence[str] = ()
) -> Any:
    """Tables as what `adapter` makes of them.

    Parameters
    ----------
    adapter : TypeAdapter
    tables : dict
        As `read_tables` gives them.
    source : str
        Begins each line of an error.
    more_faults : sequence of str
        What the caller found wrong, told together with the rest.

    Raises
    ------
    BadConfig
        With a line for each fault.
    """
    faults = list(more_faults)
    try:
        # By way of JSON, which like TOML has tables and arrays where Python has dataclasses and tuples.
        settings = adapter.validate_json(json.dumps(tables, default=str))
    except pydantic.ValidationError as error:
        faults = [_fault(fault) for fault in error.errors()] + faults
    if faults:
        raise BadConfig("\n".join(f"{source}: {fault}" for fault in faults))
    return settings


def _fault(fault: Any) -> str:
    table, *keys = fault["loc"]
    place = f"[[{table}]] number {keys.pop(0) + 1}" if keys and isinstance(keys[0], int) else f"[{table}]"
    if keys and str(keys[0]).startswith("("):  # which kind of table it is
        place += f" {keys.pop(0)}"
    if keys:
        place += f" {'.'.join(map(str, keys))}"
    if fault["type"] == "unexpected_keyword_argument":
        return f"{place}: unknown; etc/firstread.toml of this release shows every table and key"
    # Of a fault in a table as a whole the message says what was found.
    is_told = fault["type"] == "missing" or (
        fault["type"] == "value_error" and isinstance(fault["input"], dict)
    )
    found = "" if is_told else f", found {fault['input']!r}"
    return f"{place}: {fault['msg']}{found}"
