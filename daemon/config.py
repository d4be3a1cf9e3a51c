"""The node's settings: every table of the config file as a frozen dataclass."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from daemon.config_console import Audit, Console, Monitoring, Oidc, Triage
from daemon.config_file import STRICT, Storage, read_tables, validated
from daemon.config_study import Study
from daemon.config_types import AeTitle, Clock, Count, Hours, HttpUrl, Port, Reportable, Seconds, SopClassUid
from daemon.results import kinds
from model import weights
from model.gpus import Share
from model.scope import ScopeRules


# The defaults are keywords too, which validation turns into UIDs.
@dataclass(frozen=True, config=STRICT | {"validate_default": True})
class Node:
    """Table ``[node]``: who we are on the network and what a peer may make us do."""

    ae_title: AeTitle = "FIRSTREAD"
    host: str = "0.0.0.0"  # noqa: S104 - modalities are other machines
    port: Port = 11112
    receivers: Annotated[int, Field(ge=1, le=64)] = 1
    accept: tuple[SopClassUid, ...] = (
        "ComputedRadiographyImageStorage",
        "DigitalXRayImageStorageForPresentation",
        "DigitalXRayImageStorageForProcessing",
        "SecondaryCaptureImageStorage",
    )
    calling_ae_titles: tuple[AeTitle, ...] = ()
    require_called_ae_title: bool = False
    most_associations: Annotated[int, Field(ge=1, le=1000)] = 50
    most_associations_a_host: Count = 25
    most_unassociated: Annotated[int, Field(ge=1, le=1000)] = 100
    most_film_mib: Count = 256
    # Not below what is announced as our longest, nor what would make an association costly.
    most_pdu_kib: Annotated[int, Field(ge=128, le=4096)] = 256
    acse_timeout_seconds: Seconds = 30.0
    dimse_timeout_seconds: Seconds = 60.0
    slowest_kib_a_second: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] = 4.0
    idle_timeout_seconds: Seconds = 120.0
    log_format: Literal["text", "json"] = "text"


@dataclass(frozen=True, config=STRICT)
class Tls:
    """Table ``[tls]``: a second port, for associations by TLS (PS3.15 B.12)."""

    certificate_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    port: Port = 2762


@dataclass(frozen=True, config=STRICT)
class Model:
    """Table ``[model]``: what reads, and how hard it tries."""

    version: str = "firstread-1"
    shadow: str = ""
    batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    decoders: Count = 2
    readers: Annotated[int, Field(ge=1, le=64)] = 1
    gpus: tuple[Annotated[int, Field(ge=0, le=63)], ...] = ()
    gpu_memory_mib: Annotated[int, Field(ge=0)] = 0
    # Below WatchdogSec of the read unit: a film on its own is one pass of the loop.
    film_timeout_seconds: Annotated[int, Field(ge=1, le=240)] = 60
    attempts: Count = 3
    films_a_process: Count = 20000

    @model_validator(mode="after")
    def _is_not_its_own_shadow(self) -> "Model":
        if self.shadow == self.version:
            raise ValueError(f"shadow is {self.shadow!r}, the version that reads; expected another or none")
        return self

    def share(self, reader: int) -> Share:
        """What a reader, counted from 1, may take of the GPUs."""
        return Share(reader, self.gpus, self.gpu_memory_mib)


@dataclass(frozen=True, config=STRICT)
class Scope(ScopeRules):
    """Table ``[scope]``: which films are read."""

    # Named by keyword as in ``[node] accept``; the rules themselves know UIDs.
    sop_classes: Annotated[tuple[SopClassUid, ...], Field(min_length=1)] = ScopeRules.sop_classes
    # An archive is asked for these.
    modalities: Annotated[tuple[str, ...], Field(min_length=1)] = ScopeRules.modalities


@dataclass(frozen=True, config=STRICT)
class Results:
    """Table ``[results]``: how the results look, and what is said of films that are not read."""

    longest_side: Annotated[int, Field(ge=512, le=4096)] = 1024
    jpeg: bool = False
    modality: Literal["OT", "film"] = "OT"
    language: Literal["en", "de", "fr", "es", "mi"] = "en"
    texture: bool = False
    report_not_analysed: tuple[Reportable, ...] = ()


@dataclass(frozen=True, config=STRICT, kw_only=True)
class _Destination:
    """What every table ``[[destination]]`` has: where results go, and how long it is tried."""

    kind: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    give_up_hours: Hours = 72.0

    @property
    def table(self) -> str:
        """How messages name its table."""
        return f"[[destination]] {self.name}"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class _Listener:
    """A peer with a port of its own, perhaps by TLS."""

    host: str
    port: Port
    tls: bool = False
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class _TcpDestination(_Destination, _Listener):
    """A destination that listens on a port of its own."""


Object = Literal[tuple(kinds.OBJECTS)]
Objects = Annotated[tuple[Object, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class DimseDestination(_TcpDestination):
    """A PACS that gets Secondary Capture and report by C-STORE (PS3.4 annex B)."""

    kind: Literal["dimse"] = "dimse"
    ae_title: AeTitle
    objects: Objects = kinds.DEFAULT_OBJECTS
    commitment: bool = False
    commitment_hours: Hours = 24.0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class DicomwebDestination(_Destination):
    """A PACS that gets Secondary Capture and report by STOW-RS (PS3.18 10.5)."""

    kind: Literal["dicomweb"]
    url: HttpUrl
    objects: Objects = kinds.DEFAULT_OBJECTS
    token_file: str = ""
    # A colon would end it (RFC 7617 2).
    user: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]*$")] = ""
    password_file: str = ""
    ca_file: str = ""

    @model_validator(mode="after")
    def _has_one_kind_of_credentials(self) -> "DicomwebDestination":
        if self.token_file and (self.user or self.password_file):
            raise ValueError("token_file stands beside user or password_file, expected one or the other")
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file, expected both or none")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Hl7Destination(_TcpDestination):
    """An information system that gets each reading as ORU^R01 by MLLP (HL7 v2.5.1 chapter 7)."""

    kind: Literal["hl7"]
    character_set: Literal["UNICODE UTF-8", "8859/1", "ASCII"] = "UNICODE UTF-8"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class WebhookDestination(_Destination):
    """A program that gets each reading as signed JSON by HTTP POST."""

    kind: Literal["webhook"]
    url: HttpUrl
    secret_file: str
    ca_file: str = ""


def _kind(table: Any) -> str:
    """Tag of a ``[[destination]]``; in brackets, as it then stands in the place of a fault."""
    kind = table.get("kind", "dimse") if isinstance(table, dict) else getattr(table, "kind", None)
    return f"({kind})"


Destination = Annotated[
    Annotated[DimseDestination, Tag("(dimse)")]
    | Annotated[DicomwebDestination, Tag("(dicomweb)")]
    | Annotated[Hl7Destination, Tag("(hl7)")]
    | Annotated[WebhookDestination, Tag("(webhook)")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message="expected kind to be one of dimse, dicomweb, hl7, webhook",
    ),
]


def objects_of(destination: Destination) -> tuple[str, ...]:
    """Names of the objects of a film that a destination gets unless rules say otherwise."""
    match destination:
        case Hl7Destination():
            return ("message",)
        case WebhookDestination():
            return ("notification",)
        case _:
            return destination.objects


def commits(destination: Destination) -> bool:
    """Whether a destination is asked for Storage Commitment; no kind but ``dimse`` has it."""
    return isinstance(destination, DimseDestination) and destination.commitment


def _expression(when: str) -> str:
    """What a rule asks."""
    # Its library makes a parser when it is loaded, 0.3 s in each process of a node that has no rules.
    from daemon import rules  # noqa: PLC0415

    return rules.check(when)


@dataclass(frozen=True, config=STRICT)
class Rule:
    """Table ``[[rule]]``: destinations that get something only of films that match."""

    when: Annotated[str, AfterValidator(_expression)]
    send: Annotated[tuple[str, ...], Field(min_length=1)]
    objects: tuple[Object, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Modality:
    """Table ``[[modality]]``: a sender that asks for commitment and is told on an association of ours."""

    ae_title: AeTitle
    host: str
    port: Port


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Backfill(_Listener):
    """Table ``[backfill]``: the archive that films from before are asked of, when and how many."""

    ae_title: AeTitle
    begin: Clock = "20:00"
    end: Clock = "06:00"
    films_a_minute: Annotated[float, Field(gt=0, le=6000, allow_inf_nan=False)] = 30.0
    most_in_hand: Count = 20

    table = "[backfill]"


@dataclass(frozen=True, config=STRICT)
class Retention:
    """Table ``[retention]``: when the files of delivered films go."""

    keep_days: Annotated[int, Field(ge=1, le=36500)] = 30
    most_gib: Annotated[int, Field(ge=0, le=1 << 20)] = 0


@dataclass(frozen=True, config=STRICT)
class Config:
    """All tables."""

    node: Node = Node()
    tls: Tls = Tls()
    storage: Storage = Storage()
    model: Model = Model()
    scope: Scope = Scope()
    results: Results = Results()
    retention: Retention = Retention()
    console: Console = Console()
    oidc: Oidc = Oidc()
    audit: Audit = Audit()
    triage: Triage = Triage()
    monitoring: Monitoring = Monitoring()
    study: Study = Study()
    destination: tuple[Destination, ...] = ()
    rule: tuple[Rule, ...] = ()
    modality: tuple[Modality, ...] = ()
    backfill: Backfill | None = None


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
    repeated = _repeated(tables, "destination", "name") + _repeated(tables, "modality", "ae_title")
    repeated += _nowhere(tables) + _no_such_label(tables)
    return validated(_ADAPTER, tables, source, repeated)


_ADAPTER = TypeAdapter(Config)


def _repeated(tables: dict[str, Any], table: str, key: str) -> list[str]:
    """A fault for each value of `key` that stands twice, looked for also where other faults stand."""
    values = [one[key] for one in _tables(tables, table) if key in one]
    repeated = {str(value) for value in values if values.count(value) > 1}
    return [f"[[{table}]] {key}: {value} stands twice, expected each once" for value in sorted(repeated)]


def _nowhere(tables: dict[str, Any]) -> list[str]:
    """A fault for each destination that a rule names and that is not there."""
    listed = {one.get("name") for one in _tables(tables, "destination")}
    named = [name for one in _tables(tables, "rule") for name in _texts(one.get("send"))]
    return [
        f"[[rule]] send: no destination {name}, expected one of {', '.join(sorted(map(str, listed)))}"
        for name in dict.fromkeys(named)
        if name not in listed
    ]


def _no_such_label(tables: dict[str, Any]) -> list[str]:
    """A fault for each label that a rule asks for and the version that reads has not."""
    asked = [text for one in _tables(tables, "rule") for text in _texts([one.get("when")])]
    if not asked:
        return []
    from daemon import rules  # noqa: PLC0415 - as in _expression

    table = tables.get("model")
    version = table.get("version", Model.version) if isinstance(table, dict) else Model.version
    try:
        folder = weights.folder_of(version)
        cascade = weights.read_cascade(folder, weights.read_recipe(folder))
    except (OSError, TypeError, weights.WeightsInvalid):
        return []  # a version that cannot be read is told of where it is opened
    labels = cascade.labels(1) + cascade.labels(2)
    return [
        f"[[rule]] when: no label {name!r}, expected one of {', '.join(labels)}"
        for name in dict.fromkeys(name for text in asked for name in rules.labels_asked(text))
        if name not in labels
    ]


def _tables(tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    listed = tables.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _texts(values: object) -> list[str]:
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else []
