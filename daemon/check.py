"""``firstread check``: is everything there that the node needs? One line each."""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from daemon import (
    channels,
    check_access,
    housekeeping,
    monitoring,
    notes,
    peer,
    receive,
    remedies,
    service,
    supervise,
    tls,
)
from daemon.config import Backfill, Config, Destination, DimseDestination, Hl7Destination
from daemon.outcomes import CONNECTION_TIMEOUT_SECONDS
from daemon.remedies import Remedy
from model.gpus import Share
from storage import database, deliveries, destinations, heartbeats, space
from storage.states import DestinationState

STALE_SECONDS = 60.0
PACKAGES = ("daemon", "model", "storage")


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    Parameters
    ----------
    name : str
    look : callable
        Gives what was found; raises where that is a problem.
    remedies : callable
        What an admin does about the problem that was raised.
    """

    name: str
    look: Callable[[], str]
    remedies: Callable[[Exception], Sequence[Remedy]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one thing; `remedies` are empty where all is well."""

    name: str
    is_well: bool
    found: str
    remedies: Sequence[Remedy] = ()


def run(config: Config, config_path: Path) -> Iterator[Finding]:
    """Checks one after another, of the settings that `config_path` holds."""
    yield Finding("config", True, str(config_path))
    of_weights = functools.partial(remedies.of_weights, config_path)
    checks = [
        Check("packages", _packages, remedies.of_installation),
        Check("decoders", _decoders, remedies.of_installation),
        Check(
            "database", lambda: _database(config), lambda error: remedies.of_database(config.storage, error)
        ),
        Check("spool", lambda: _spool(config), lambda error: remedies.of_spool(config.storage, error)),
        Check("weights", lambda: _weights(config.model.version, config.model.share(1)), of_weights),
    ]
    if config.model.shadow:
        checks.append(Check("weights of shadow", lambda: _weights(config.model.shadow), of_weights))
    checks.append(
        Check(
            "processes",
            lambda: _processes(config),
            lambda error: remedies.of_processes(config.storage, error),
        )
    )
    checks += [
        Check("scores", lambda: _scores(config), remedies.of_scores),
        Check(
            "console",
            lambda: check_access.console(config),
            lambda _: remedies.of_console(config_path),
        ),
        Check(
            "audit trail",
            lambda: check_access.audit_trail_of(config),
            lambda _: remedies.of_audit_trail(config.audit),
        ),
    ]
    if config.tls.certificate_file:
        checks.append(
            Check(
                "tls",
                lambda: tls.check_server(config.tls),
                lambda _: remedies.of_tls(config.tls, config_path),
            )
        )
    if not config.destination:
        said = "none configured; results are written and go nowhere"
        yield Finding("destinations", False, said, remedies.of_no_destination(config_path))
    for destination in config.destination:
        if isinstance(destination, DimseDestination | Hl7Destination) and destination.tls:
            checks.append(
                Check(
                    f"tls to {destination.name}",
                    lambda to=destination: _tls_to(to),
                    lambda _, to=destination: remedies.of_tls_to(to),
                )
            )
        checks.append(
            Check(
                f"destination {destination.name}",
                lambda to=destination: _destination(config, to),
                lambda _, to=destination: remedies.of_destination(config.node, to),
            )
        )
    archive = config.backfill
    if archive:
        if archive.tls:
            checks.append(
                Check("tls to the archive", lambda: _tls_to(archive), lambda _: remedies.of_tls_to(archive))
            )
        checks.append(
            Check(
                "archive",
                lambda: peer.check(config.node.ae_title, archive),
                lambda _: remedies.of_archive(config.node, archive),
            )
        )
    for check in checks:
        try:
            yield Finding(check.name, True, check.look())
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            yield Finding(check.name, False, str(error).replace("\n", "; "), check.remedies(error))


def stale_after_seconds(process: str) -> float:
    """Age at which the last sign of life of a process, or of a chore, is too old."""
    return housekeeping.STALE_SECONDS.get(process, STALE_SECONDS)


def _packages() -> str:
    """python-daemon owns the name ``daemon`` too and would shadow ours."""
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        found = sorted(set(owners.get(package, [])))
        spec = importlib.util.find_spec(package)
        if found != ["firstread"] or spec is None or spec.origin is None:
            raise RuntimeError(
                f"package {package} belongs to {found or 'nobody'}, expected firstread alone; "
                "install the node in a virtual environment of its own"
            )
    return f"firstread {importlib.metadata.version('firstread')}"


def _decoders() -> str:
    from pydicom.pixels import get_decoder

    missing = []
    for uid in receive.TRANSFER_SYNTAXES:
        if uid.is_compressed and not uid.is_deflated and not get_decoder(uid).is_available:
            missing.append(uid.name)
    if missing:
        raise RuntimeError(f"no decoder for {', '.join(missing)}")
    return f"all {len(receive.TRANSFER_SYNTAXES)} transfer syntaxes can be decoded"


def _database(config: Config) -> str:
    engine = service.open_database(config.storage)
    try:
        database.require_schema(engine)
    except database.SchemaMissing as missing:
        return str(missing)
    return f"{engine.dialect.name} at this release's schema"


def _spool(config: Config) -> str:
    root = Path(config.storage.s3_folder if config.storage.bucket else config.storage.spool)
    if not root.exists():
        return f"{root}: not made yet; the node makes it when it starts"
    spool = service.open_spool(config.storage)
    volumes = space.folders(root, service.open_database(config.storage))
    space.require(volumes, config.storage.floor_mib << 20, config.storage.watermark_percent)
    spool.check()
    return spool.where


def _weights(version: str, share: Share | None = None) -> str:
    from model.reader import Reader

    reader = Reader(version, 1, share)
    said = f"{reader.model.name} {reader.model.version}, sha256 {reader.model.weights_sha256[:12]}"
    return f"{said}, on {reader.device}" if share else said


def _processes(config: Config) -> str:
    try:
        with database.reading(service.look_into_database(config.storage)) as connection:
            beats = heartbeats.all_of(connection)
    except database.SchemaMissing:
        beats = []
    if not config.model.shadow:
        beats = [one for one in beats if one.process != supervise.SHADOW]
    if not beats:
        return "none has run yet"
    since = {one: (service.now() - one.at).total_seconds() for one in beats}
    ages = ", ".join(
        f"{one} {seconds:.0f} s ago" + (f", {told}" if (told := notes.in_words(one.note)) else "")
        for one, seconds in since.items()
    )
    stale = [
        f"{one} for {limit:.0f} s"
        for one, seconds in since.items()
        if seconds > (limit := stale_after_seconds(one.process))
    ]
    if stale:
        raise RuntimeError(f"no sign of life of {', '.join(stale)} ({ages})")
    return ages


def _scores(config: Config) -> str:
    """A shift says that the model sees other films than before, which somebody has to look into."""
    try:
        with database.reading(service.look_into_database(config.storage)) as connection:
            found = monitoring.report(connection, config.monitoring, service.now().date())
    except (database.SchemaMissing, database.NewerSchema):
        found = None
    if found is None:
        return "nothing counted yet"
    if found.alerts:
        shifts = ", ".join(
            f"{shift.name or 'all films'} by {shift.index:.2f} since {shift.alert_since}"
            for shift in found.alerts
        )
        raise RuntimeError(
            f"scores have moved from the reference (stability index above {config.monitoring.psi_alert:g}): "
            f"{shifts}; look at Monitoring on the console's page Node"
        )
    if found.overall.index is None:
        return f"too few films yet to hold against a reference, {found.window.films} in the last days"
    return f"stability index {found.overall.index:.2f} over {found.window.films} films"


def _tls_to(destination: DimseDestination | Hl7Destination | Backfill) -> str:
    ours = tls.check_client(destination)
    context, host = tls.client_arguments(destination)
    address = (destination.host, destination.port)
    try:
        with (
            socket.create_connection(address, CONNECTION_TIMEOUT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            return f"{secure.version()}, its certificate until {secure.getpeercert()['notAfter']}; {ours}"
    except ssl.SSLCertVerificationError as error:
        raise tls.TlsUnusable(f"certificate of {destination.host}: {error.verify_message}") from error


def _destination(config: Config, destination: Destination) -> str:
    """A peer may answer and take no results all the same; what the senders found counts."""
    said = channels.check(config.node.ae_title, destination)
    try:
        with database.reading(service.look_into_database(config.storage)) as connection:
            row = destinations.get(connection, destination.name)
            waiting = deliveries.waiting(connection, destination.name)
    except (database.SchemaMissing, database.NewerSchema):
        return said
    if row is not None and row.state == DestinationState.DOWN:
        raise RuntimeError(f"{said}, and {destinations.in_words(row)}; {waiting} results wait")
    last = row.last_success_at if row is not None else None
    return said + (
        f"; last result taken at {last.astimezone():%Y-%m-%d %H:%M:%S}, {waiting} wait" if last else ""
    )
