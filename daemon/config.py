"""The node's settings: every table of the config file as a frozen dataclass."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass
from pydicom.config import IGNORE
from pydicom.uid import UID, UID_dictionary

from daemon.config_file import STRICT, Storage, read_tables, validated
from model.scope import REFUSALS, ScopeRules


def _sop_class_uid(name: str) -> str:
    """UID of a SOP class given by its keyword or UID."""
    if name in _KEYWORDS:
        return _KEYWORDS[name]
    if UID(name, validation_mode=IGNORE).is_valid:
        return name
    raise ValueError(f"{name!r}, expected the keyword of a SOP class of PS3.6 table A-1 or a UID")


def _reportable(code: str) -> str:
    """Code of a refusal that a report may be made on."""
    if code in _REPORTABLE:
        return code
    raise ValueError(f"{code!r}, expected one of {', '.join(_REPORTABLE)}")


# A report on our own result would be answered in turn, for ever; the others leave no picture to report on.
_REPORTABLE = [code for code in REFUSALS if code not in ("OWN_OUTPUT", "SOP_CLASS", "MATRIX")]
_KEYWORDS = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and entry[4]}

AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# The upper bounds keep infinity, and what no timer takes, out of the node's clocks.
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
SopClassUid = Annotated[str, AfterValidator(_sop_class_uid)]
Reportable = Annotated[str, AfterValidator(_reportable)]


# The defaults are keywords too, which validation turns into UIDs.
@dataclass(frozen=True, config=STRICT | {"validate_default": True})
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


@dataclass(frozen=True, config=STRICT)
class Model:
    """Table ``[model]``: what reads, and how hard it tries."""

    version: str = "firstread-1"
    batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    decoders: Count = 2
    # Below WatchdogSec of the read unit: a film on its own is one pass of the loop.
    film_timeout_seconds: Annotated[int, Field(ge=1, le=240)] = 60
    attempts: Count = 3


@dataclass(frozen=True, config=STRICT)
class Scope(ScopeRules):
    """Table ``[scope]``: which films are read."""

    # Named by keyword as in ``[node] accept``; the rules themselves know UIDs.
    sop_classes: tuple[SopClassUid, ...] = ScopeRules.sop_classes


@dataclass(frozen=True, config=STRICT)
class Results:
    """Table ``[results]``: how the results look, and what is said of films that are not read."""

    longest_side: Annotated[int, Field(ge=512, le=4096)] = 1024
    report_not_analysed: tuple[Reportable, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Destination:
    """Table ``[[destination]]``: a PACS that gets the results."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    ae_title: AeTitle
    host: str
    port: Port
    give_up_hours: Annotated[float, Field(gt=0, le=8784, allow_inf_nan=False)] = 72.0


@dataclass(frozen=True, config=STRICT)
class Config:
    """All tables."""

    node: Node = Node()
    storage: Storage = Storage()
    model: Model = Model()
    scope: Scope = Scope()
    results: Results = Results()
    destination: tuple[Destination, ...] = ()


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
    return parse(read_tables(path), str(path))


def parse(tables: dict[str, Any], source: str) -> Config:
    """Settings from tables already read; `source` begins each line of an error."""
    return validated(_ADAPTER, tables, source, _repeated_names(tables.get("destination")))


_ADAPTER = TypeAdapter(Config)


def _repeated_names(destinations: object) -> list[str]:
    """A fault for each name that stands twice, looked for also where other faults stand."""
    tables = destinations if isinstance(destinations, list) else []
    names = [table["name"] for table in tables if isinstance(table, dict) and "name" in table]
    repeated = {str(name) for name in names if names.count(name) > 1}
    return [f"[[destination]] name: {name} stands twice, expected each once" for name in sorted(repeated)]
