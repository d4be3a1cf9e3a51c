"""What an admin does about each problem that ``firstread check`` finds: in words, and the command to type."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from daemon.config import (
    Audit,
    Backfill,
    Destination,
    DicomwebDestination,
    DimseDestination,
    Hl7Destination,
    Node,
    Tls,
    WebhookDestination,
)
from daemon.config_file import Storage
from model.gpus import GpuMissing
from storage import database
from storage.spool import SpoolUnavailable

UNITS = "firstread-*"


class Remedy(NamedTuple):
    """What to do, and with which command."""

    text: str
    command: str


def of_config(path: Path) -> Sequence[Remedy]:
    """The config file has faults."""
    if not path.exists():
        return [
            Remedy(
                "put the file of this release there and enter your PACS", f"sudo cp etc/firstread.toml {path}"
            )
        ]
    return [Remedy("mend what is named; etc/firstread.toml of this release shows every option", _edit(path))]


def of_installation(_error: Exception) -> Sequence[Remedy]:
    """A package of the node is not the one that it was installed with."""
    return [
        Remedy("install the node again, in its own environment, from the source of this release", _INSTALL)
    ]


def of_database(settings: Storage, error: Exception) -> Sequence[Remedy]:
    """The job database cannot be used."""
    if isinstance(error, database.NewerSchema):
        return [
            Remedy("install the release that migrated it, from its source", _INSTALL),
            Remedy(
                "or bring a backup from before that into an empty database and spool, the node stopped",
                "sudo -u firstread firstread restore DIR",
            ),
        ]
    file = database.file_of(settings.database)
    if file is not None:
        return [
            Remedy("its folder must be there, have room, and belong to firstread", f"ls -ld {file.parent}")
        ]
    return [
        Remedy("the server must run", "systemctl status postgresql"),
        Remedy(
            "and let us in by the user and the password file of [storage]",
            f"sudo -u firstread psql '{database.for_libpq(settings.database)}' -c 'SELECT 1'",
        ),
    ]


def of_spool(settings: Storage, error: Exception) -> Sequence[Remedy]:
    """The spool cannot be written, or is nearly full."""
    if settings.bucket and isinstance(error, SpoolUnavailable):
        trusted = f" --cacert {settings.s3_ca_file}" if settings.s3_ca_file else ""
        endpoint = settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com"
        return [
            Remedy("see that the object store answers", f"curl -sv -o /dev/null{trusted} {endpoint}"),
            Remedy(
                "its keys must be those of somebody who may list the bucket, and get, put and delete in it",
                "firstread config show",
            ),
        ]
    folder = settings.s3_folder if settings.bucket else settings.spool
    if isinstance(error, PermissionError):
        return [Remedy("give it to the node's user", f"sudo chown -R firstread:firstread {folder}")]
    return [
        Remedy("see which volume is full, and make room there", f"df -h {folder}"),
        Remedy("let delivered films go sooner: [retention] keep_days, most_gib", "firstread config show"),
    ]


def of_weights(path: Path, error: Exception) -> Sequence[Remedy]:
    """A model version is not there or is damaged, or a GPU is not there."""
    if isinstance(error, GpuMissing):
        return [
            Remedy("see which GPUs there are", "nvidia-smi --list-gpus"),
            Remedy("name these in [model] gpus, or none", _edit(path)),
        ]
    return [
        Remedy("see which versions are whole", "firstread models list"),
        Remedy("let one of these read", "sudo firstread models promote NAME"),
        Remedy("or install the node again, which brings the weights", _INSTALL),
    ]


def of_processes(settings: Storage, error: Exception) -> Sequence[Remedy]:
    """A process gives no sign of life, or the database that they tell it to is away."""
    if isinstance(error, database.DatabaseUnavailable | database.NewerSchema):
        return of_database(settings, error)
    return [
        Remedy("see why", f"journalctl -u '{UNITS}' --since -1h --priority err"),
        Remedy("start what is not running", "sudo systemctl restart firstread.target"),
    ]


def of_scores(_error: Exception) -> Sequence[Remedy]:
    """The model sees other films than before."""
    return [
        Remedy("see on the console's page Node which sender has changed, and ask there what is new", _NODE),
        Remedy("judge the model on films of now before its scores are trusted", "firstread evaluate --help"),
    ]


def of_console(path: Path) -> Sequence[Remedy]:
    """Nobody may log in to the console, or passwords would cross a network in the clear."""
    return [
        Remedy("give somebody a password", "sudo -u firstread firstread users add NAME --role admin"),
        Remedy("enter a certificate in [console], or listen on 127.0.0.1 behind a proxy", _edit(path)),
    ]


def of_audit_trail(settings: Audit) -> Sequence[Remedy]:
    """Audit messages cannot be kept, or are not taken where they should go."""
    return [
        Remedy("its folder must be there and belong to firstread", f"ls -ld {settings.folder}"),
        Remedy("see whether who collects them can be reached", f"journalctl -u '{UNITS}' --since -1h"),
    ]


def of_tls(settings: Tls, path: Path) -> Sequence[Remedy]:
    """Our certificate cannot be used."""
    return [
        Remedy(
            "look at the certificate", f"openssl x509 -in {settings.certificate_file} -noout -subject -dates"
        ),
        Remedy("enter one that is valid, and its key, in [tls]", _edit(path)),
    ]


def of_no_destination(path: Path) -> Sequence[Remedy]:
    """Results go nowhere."""
    return [Remedy("enter your PACS as a table [[destination]]", _edit(path))]


def of_tls_to(destination: DimseDestination | Hl7Destination | Backfill) -> Sequence[Remedy]:
    """A destination's certificate is not one that we trust, or it speaks no TLS."""
    trusted = f" -CAfile {destination.ca_file}" if destination.ca_file else ""
    address = f"{destination.host}:{destination.port}"
    return [
        Remedy(
            "see what it shows; ca_file must hold the authority, and the certificate name the host",
            f"openssl s_client -connect {address}{trusted} </dev/null",
        )
    ]


def of_destination(node: Node, destination: Destination) -> Sequence[Remedy]:
    """A destination does not answer, or takes nothing."""
    match destination:
        case DicomwebDestination() | WebhookDestination():
            trusted = f" --cacert {destination.ca_file}" if destination.ca_file else ""
            return [
                Remedy("see that its service answers", f"curl -sv -o /dev/null{trusted} {destination.url}"),
            ]
        case Hl7Destination():
            return [_reach(destination)]
        case DimseDestination():
            return [_reach(destination), _echo(node, destination, "take what we send")]


def of_archive(node: Node, archive: Backfill) -> Sequence[Remedy]:
    """The archive of a backfill does not answer."""
    what = "let us find and move, to a move destination of that name"
    return [_reach(archive), _echo(node, archive, what)]


def _echo(node: Node, to: DimseDestination | Backfill, what: str) -> Remedy:
    return Remedy(
        f"it must know us as {node.ae_title} and {what}; DCMTK asks it as we do",
        f"echoscu -v -aet '{node.ae_title}' -aec '{to.ae_title}' {to.host} {to.port}",
    )


def _reach(destination: DimseDestination | Hl7Destination | Backfill) -> Remedy:
    return Remedy("see that its port can be reached", f"nc -vz {destination.host} {destination.port}")


def _edit(path: Path) -> str:
    return f"sudoedit {path}"


_INSTALL = "sudo make install"
_NODE = "firstread config show | grep console"
