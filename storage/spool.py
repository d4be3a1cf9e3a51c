"""Part 10 files on disk, under names of ours alone."""

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_NAME = re.compile(r"(films|results)/[0-9a-f]{2}/[0-9a-f]{32,64}\.dcm")


class SpoolUnavailable(OSError):
    """The spool cannot be written: missing, read-only or too full."""


class Spool:
    """A folder with ``incoming`` (being written), ``films`` and ``results`` (whole and durable).

    Parameters
    ----------
    root : Path
        Made with its folders if absent. One file system, so that a rename is atomic.
    floor_bytes : int
        Free space below which nothing new is taken.

    Raises
    ------
    SpoolUnavailable
        If the folders cannot be made.
    """

    def __init__(self, root: Path, floor_bytes: int) -> None:
        self.root = root
        self.floor_bytes = floor_bytes
        self.incoming = root / "incoming"
        try:
            self.incoming.mkdir(parents=True, exist_ok=True)
            for kind in ("films", "results"):
                for shard in range(256):
                    (root / kind / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
                _sync_folder(root / kind)
            _sync_folder(root)
        except OSError as error:
            raise SpoolUnavailable(
                f"spool {root}: {error.strerror}; expected a folder to write in"
            ) from error

    def require_space(self) -> None:
        """Raise SpoolUnavailable if less than the floor is free."""
        free = shutil.disk_usage(self.root).free
        if free < self.floor_bytes:
            raise SpoolUnavailable(
                f"{free >> 20} MiB free at {self.root}, expected at least {self.floor_bytes >> 20} MiB"
            )

    def keep_film(self, incoming: Path) -> str:
        """Make a received file durable under a new name: fsync, rename, fsync of the folder.

        Parameters
        ----------
        incoming : Path
            A closed file in `incoming`; it is gone from there afterwards.

        Returns
        -------
        str
            Name for `path`.
        """
        return self._keep(incoming, "films", uuid.uuid4().hex)

    def write_result(self, sop_instance_uid: str, write: Callable[[BinaryIO], object]) -> str:
        """Write a result durably; the same SOP Instance UID always has the same name.

        Parameters
        ----------
        sop_instance_uid : str
            Ours, derived from film, kind and model.
        write : callable
            Is given the open binary file.

        Returns
        -------
        str
            Name for `path`.
        """
        temporary = self.incoming / f"{uuid.uuid4().hex}.part"
        try:
            with temporary.open("xb") as file:
                write(file)
            return self._keep(temporary, "results", hashlib.sha256(sop_instance_uid.encode()).hexdigest())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def path(self, name: str) -> Path:
        """Path of a kept file.

        Raises
        ------
        ValueError
            If `name` is not one this class makes, whatever it came through on its way here.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"spool name {name!r}, expected films|results/xx/hex.dcm")
        return self.root / name

    def discard(self, name: str) -> None:
        """Remove a kept film whose job could not be queued, or that another copy stands for."""
        self.path(name).unlink(missing_ok=True)

    def clear_incoming(self, older_than: float) -> int:
        """Remove leftovers of aborted associations, last written before `older_than` (POSIX seconds)."""
        removed = 0
        for path in self.incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _keep(self, temporary: Path, kind: str, stem: str) -> str:
        name = f"{kind}/{stem[:2]}/{stem}.dcm"
        target = self.root / name
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(target)
        _sync_folder(target.parent)
        return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
