"""What somebody who helps from afar is sent: checks, settings, versions; no patient, no secret."""

import datetime
import importlib.metadata
import json
import multiprocessing
import platform
from concurrent.futures import ProcessPoolExecutor

from pydantic import TypeAdapter

from daemon import check, config_file, notes
from daemon.config import Config
from storage import database, heartbeats
from storage.database import Engine

PACKAGES = ("firstread", "highdicom", "numpy", "pydicom", "pynetdicom", "sqlalchemy", "tensorflow")


def collect(config: Config, engine: Engine, now: datetime.datetime) -> bytes:
    """A JSON object.

    Parameters
    ----------
    config : Config
        Names its secrets by file; a password in the database's URL is left out.
    engine : Engine
    now : datetime.datetime
    """
    # The weights are checked with TensorFlow, which the console goes without.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        checks = apart.submit(_checks, config).result()
    with database.reading(engine) as connection:
        beats = heartbeats.all_of(connection)
    settings = TypeAdapter(Config).dump_python(config, mode="json")
    settings["storage"]["database"] = engine.url.render_as_string(hide_password=True)
    told = {
        "made_at": now.isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version(), "system": platform.platform()},
        "checks": checks,
        "heartbeats": [
            {
                "process": one.process,
                "instance": one.instance,
                "at": one.at.isoformat(),
                "age_seconds": (now - one.at).total_seconds(),
                "note": notes.parse(one.note),
            }
            for one in beats
        ],
        "config": settings,
    }
    return json.dumps(told, indent=2).encode()


def _checks(config: Config) -> list[dict[str, object]]:
    return [
        {"check": one.name, "is_well": one.is_well, "found": one.found}
        for one in check.run(config, config_file.DEFAULT_PATH)
    ]
