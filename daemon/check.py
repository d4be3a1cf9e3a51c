"""``firstread check``: is everything there that the node needs? One line each."""

import datetime
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from daemon import receive, send, service
from daemon.config import Config
from storage import database, heartbeats
from storage.spool import Spool

STALE_SECONDS = 60.0
PACKAGES = ("daemon", "model", "storage")


def run(config: Config) -> Iterator[tuple[str, bool, str]]:
    """Checks one after another: what was looked at, whether it is well, what was found."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("packages", _packages),
        ("decoders", _decoders),
        ("database", lambda: _database(config)),
        ("spool", lambda: _spool(config)),
        ("weights", lambda: _weights(config)),
        ("processes", lambda: _processes(config)),
    ]
    if not config.destination:
        yield "destinations", False, "none configured; results are written and go nowhere"
    for destination in config.destination:
        checks.append((f"destination {destination.name}", lambda to=destination: _echo(config, to)))
    for name, check in checks:
        try:
            yield name, True, check()
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            yield name, False, str(error).replace("\n", "; ")


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
    root = Path(config.storage.spool)
    if not root.exists():
        return f"{root}: not made yet; the node makes it when it starts"
    spool = Spool(root, config.storage.floor_mib << 20)
    spool.require_space()
    if not os.access(spool.incoming, os.W_OK):
        raise PermissionError(f"{spool.incoming} is not writable, expected a folder to write in")
    return str(root)


def _weights(config: Config) -> str:
    from model.reader import Reader

    model = Reader(config.model.version, 1).model
    return f"{model.name} {model.version}, sha256 {model.weights_sha256[:12]}"


def _processes(config: Config) -> str:
    try:
        with database.reading(service.look_into_database(config.storage)) as connection:
            beats = heartbeats.latest(connection)
    except database.SchemaMissing:
        beats = {}
    if not beats:
        return "none has run yet"
    limit = service.now() - datetime.timedelta(seconds=STALE_SECONDS)
    ages = ", ".join(f"{role} {(service.now() - at).total_seconds():.0f} s ago" for role, at in beats.items())
    if stale := sorted(role for role, at in beats.items() if at < limit):
        raise RuntimeError(f"{', '.join(stale)} without a sign of life for {STALE_SECONDS:.0f} s ({ages})")
    return ages


def _echo(config: Config, destination: send.Destination) -> str:
    send.echo(config.node.ae_title, destination)
    return f"{destination.ae_title} at {destination.host}:{destination.port} answers C-ECHO"
