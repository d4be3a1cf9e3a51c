"""The config file itself: where it is, how it is read, and its faults told all at once.

Table ``[storage]`` stands here and not with the others, since it is all that a look into the job database
needs: without the DICOM dictionary, which the other tables ask, ``firstread tail`` starts at once.
"""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

DEFAULT_PATH = Path("/etc/firstread/firstread.toml")
STRICT = pydantic.ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=STRICT)
class Storage:
    """Table ``[storage]``: where films, results and jobs are kept."""

    database: str = "sqlite:////var/lib/firstread/firstread.db"
    database_password_file: str = ""
    spool: str = "/var/lib/firstread/spool"
    floor_mib: Annotated[int, Field(ge=0)] = 1024


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
    if keys:
        place += f" {'.'.join(map(str, keys))}"
    if fault["type"] == "unexpected_keyword_argument":
        return f"{place}: unknown; etc/firstread.toml of this release shows every table and key"
    found = "" if fault["type"] == "missing" else f", found {fault['input']!r}"
    return f"{place}: {fault['msg']}{found}"
