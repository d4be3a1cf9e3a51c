"""SIGHUP: a process takes over what changed in the config file, and goes on with its work."""

import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import Any

from daemon import config, service
from daemon.config import Config
from daemon.config_file import BadConfig

# What is bound, opened or chosen once for the life of a process, by table.
FIXED = {
    "node": ("host", "port", "receivers"),
    "tls": ("port",),
    "model": ("gpus", "gpu_memory_mib"),
    "storage": (
        "database",
        "database_password_file",
        "spool",
        "s3_folder",
        "s3_endpoint",
        "s3_region",
        "s3_access_key_file",
        "s3_secret_key_file",
        "s3_ca_file",
        "s3_copies_mib",
    ),
}
_LOGGER = logging.getLogger("firstread")


class Reload:
    """Watches for SIGHUP. Make it before the config is read, so that no change between is missed.

    Parameters
    ----------
    path : Path
        The config file.
    tables : collection of str
        Keys of `FIXED` that this process uses; the processes that use the others tell of them.
    """

    def __init__(self, path: Path, tables: Collection[str] = ()) -> None:
        self._path = path
        self._tables = tables
        self._asked = threading.Event()
        signal.signal(signal.SIGHUP, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()

    def look(self, running: Config) -> Config | None:
        """The config to go on with, once SIGHUP has come and if the file is without fault; else None.

        What takes a restart stays as it is in `running`, and is logged by name. Of a file with faults every
        fault is logged.
        """
        if not self._asked.is_set():
            return None
        self._asked.clear()
        service.notify_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            return self._keep_fixed(config.load(self._path), running)
        except BadConfig as error:
            self.refuse(error)
            return None

    def refuse(self, error: Exception) -> None:
        """Tell that the running config stays in force, and why."""
        for line in str(error).splitlines():
            _LOGGER.error("config not reloaded, the running one stays in force: %s", line)
        service.notify_systemd("READY=1")

    def done(self) -> None:
        """Tell that the process has taken the new config over."""
        _LOGGER.info("config reloaded")
        service.notify_systemd("READY=1")

    def _keep_fixed(self, new: Config, running: Config) -> Config:
        kept: dict[str, Any] = {}
        for table in self._tables:
            ours, theirs = getattr(running, table), getattr(new, table)
            changed = [key for key in FIXED[table] if getattr(ours, key) != getattr(theirs, key)]
            kept[table] = dataclasses.replace(theirs, **{key: getattr(ours, key) for key in changed})
            if table == "tls" and bool(ours.certificate_file) != bool(theirs.certificate_file):
                # Its port would have to be opened, or closed.
                changed.append("certificate_file")
                kept[table] = ours
            for key in changed:
                _LOGGER.error("[%s] %s: a change takes effect at the next restart only", table, key)
        return dataclasses.replace(new, **kept)
