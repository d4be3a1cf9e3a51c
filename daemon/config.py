"""The node's settings: TOML in, frozen dataclasses out, every error at once."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass
from pydicom.uid import UID, UID_dictionary

from model.scope import ScopeRules

DEFAULT_PATH = Path("/etc/firstread/firstread.toml")
_STRICT = pydantic.ConfigDict(extra="forbid", strict=True)


def _sop_class_uid(name: str) -> str:
    """UID of a SOP class given by its keyword or UID."""
    if name in _KEYWORDS:
        return _KEYWORDS[name]
    if UID(name).is_valid:
        return name
    raise ValueError(f"{name!r}, expected the keyword of a SOP class of PS3.6 table A-1 or a UID")


_KEYWORDS = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and entry[4]}

AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, strict=False)]
Count = Annotated[int, Field(ge=1)]
SopClassUid = Annotated[str, AfterValidator(_sop_class_uid)]


# The defaults are keywords too, which validation turns into UIDs.
@dataclass(frozen=True, config=_STRICT | {"validate_default": True})
class Node:
    """Table ``[node]``: who we are on the network and what a peer may make us do."""

    ae_title: AeTitle = "FIRSTREAD"
    host: str = "0.0.0.0"  # noqa: S104 - modalities are other machines
    port: Port = 11112
    accept: tuple[SopClassUid, ...] = (
        "ComputedRadiographyImageStorage",
        "DigitalXRayImageStorageForPresentation",
        "DigitalXRayImageStorageForProcessing",
        "SecondaryCaptureImageStorage",
    )
    calling_ae_titles: tuple[AeTitle, ...] = ()
    require_called_ae_title: bool = False
    most_associations: Count = 50
    most_film_mib: Count = 256
    acse_timeout_seconds: Seconds = 30.0
    dimse_timeout_seconds: Seconds = 60.0
    idle_timeout_seconds: Seconds = 120.0


@dataclass(frozen=True, config=_STRICT)
class Storage:
    """Table ``[storage]``: where films, results and jobs are kept."""

    database: str = "sqlite:////var/lib/firstread/firstread.db"
    database_password_file: str = ""
    spool: str = "/var/lib/firstread/spool"
    floor_mib: Annotated[int, Field(ge=0)] = 1024


@dataclass(frozen=True, config=_STRICT)
class Model:
    """Table ``[model]``: what reads, and how hard it tries."""

    version: str = "gao-2020"
    batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    decoders: Count = 2
    film_timeout_seconds: Count = 60
    attempts: Count = 3


@dataclass(frozen=True, config=_STRICT)
class Scope(ScopeRules):
    """Table ``[scope]``: which films are read."""


@dataclass(frozen=True, config=_STRICT)
class Results:
    """Table ``[results]``: how the results look."""

    longest_side: Annotated[int, Field(ge=512, le=4096)] = 1024


@dataclass(frozen=True, config=_STRICT)
class Destination:
    """Table ``[[destination]]``: a PACS that gets the results."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    ae_title: AeTitle
    host: str
    port: Port
    give_up_hours: Annotated[float, Field(gt=0, strict=False)] = 72.0


@dataclass(frozen=True, config=_STRICT)
class Config:
    """All tables."""

    node: Node = Node()
    storage: Storage = Storage()
    model: Model = Model()
    scope: Scope = Scope()
    results: Results = Results()
    destination: tuple[Destination, ...] = ()


class BadConfig(ValueError):
    """The config file cannot be used; the message has a line for each fault, with table and key."""


def load(path: Path) -> Config:
    """Settings from a TOML file; what it leaves out has the default that ``etc/firstread.toml`` shows.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Config

    Raises
    ------
    BadConfig
        If the file is absent or not TOML, or for every unknown key, wrong type and value out of range.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}; expected a config file (see --config)") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: not TOML: {error}") from error
    return parse(tables, str(path))


def parse(tables: dict[str, Any], source: str) -> Config:
    """Settings from tables already read; `source` begins each line of an error."""
    try:
        # By way of JSON, which like TOML has tables and arrays where Python has dataclasses and tuples.
        config = _ADAPTER.validate_json(json.dumps(tables, default=str))
    except pydantic.ValidationError as error:
        raise BadConfig("\n".join(f"{source}: {_fault(fault)}" for fault in error.errors())) from error
    names = [destination.name for destination in config.destination]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadConfig(f"{source}: [[destination]] name {', '.join(twice)} stands twice, expected each once")
    return config


_ADAPTER = TypeAdapter(Config)


def _fault(fault: Any) -> str:
    table, *keys = fault["loc"]
    place = f"[[{table}]] number {keys.pop(0) + 1}" if keys and isinstance(keys[0], int) else f"[{table}]"
    if keys:
        place += f" {'.'.join(map(str, keys))}"
    if fault["type"] == "unexpected_keyword_argument":
        return f"{place}: unknown; etc/firstread.toml of this release shows every table and key"
    found = "" if fault["type"] == "missing" else f", found {fault['input']!r}"
    return f"{place}: {fault['msg']}{found}"
