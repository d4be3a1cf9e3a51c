"""Part 10 files, messages and notifications on disk, under names of ours alone."""

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from storage import durable

_NAME = re.compile(r"(films|results)/[0-9a-f]{2}/[0-9a-f]{32,64}\.(dcm|hl7|json)")


class SpoolUnavailable(OSError):
    """The spool cannot be written: missing, read-only, or a store that does not answer."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """A file in the spool.

    Parameters
    ----------
    name : str
        For `Spool.local`.
    size_bytes : int
    since : float
        When it got its name, POSIX seconds: the rename sets the time of change, not that of writing.
    """

    name: str
    size_bytes: int
    since: float


class Spool:
    """The film store as a folder: ``incoming`` (being written), ``films`` and ``results`` (whole, durable).

    `storage.object_store.ObjectSpool` is the other kind.

    Parameters
    ----------
    root : Path
        Made with its folders if absent. One file system, so that a rename is atomic.

    Attributes
    ----------
    root : Path
        Folder of this machine.
    where : str
        How messages name the store.

    Raises
    ------
    SpoolUnavailable
        If the folders cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)
        self.incoming = root / "incoming"
        try:
            self.incoming.mkdir(parents=True, exist_ok=True)
            for kind in ("films", "results"):
                for shard in range(256):
                    (root / kind / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
                durable.sync(root / kind)
            durable.sync(root)
        except OSError as error:
            raise SpoolUnavailable(
                f"spool {root}: {error.strerror}; expected a folder to write in"
            ) from error

    def keep_film(self, incoming: Path) -> str:
        """Make a received file durable under a new name: rename, fsync, fsync of the folder.

        In this order a file system's journal is written once and not twice. What a crash leaves half written
        has a name that no job knows.

        Parameters
        ----------
        incoming : Path
            A closed file in `incoming`; it is gone from there afterwards.

        Returns
        -------
        str
            Name for `local`.
        """
        stem = uuid.uuid4().hex
        name = f"films/{stem[:2]}/{stem}.dcm"
        kept = incoming.rename(self.root / name)
        try:
            durable.sync(kept)
            durable.sync(kept.parent)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        return name

    def write_result(self, uid: str, write: Callable[[BinaryIO], object], suffix: str = ".dcm") -> str:
        """Write a result durably; the same UID always has the same name.

        Parameters
        ----------
        uid : str
            Ours, derived from film, kind and model.
        write : callable
            Is given the open binary file.
        suffix : str
            ``.dcm``, ``.hl7`` or ``.json``.

        Returns
        -------
        str
            Name for `local`.
        """
        temporary = self.incoming / f"{uuid.uuid4().hex}.part"
        try:
            with temporary.open("xb") as file:
                write(file)
            return self._keep(temporary, "results", hashlib.sha256(uid.encode()).hexdigest(), suffix)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def take_back(self, copy: Path, name: str) -> None:
        """Make a copy of a kept file durable under the name that it had."""
        temporary = self.incoming / f"{uuid.uuid4().hex}.part"
        shutil.copyfile(copy, temporary)
        self._move(temporary, name)

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """A kept file as a file of this machine, to be read and not to be written; there until the end.

        Raises
        ------
        FileNotFoundError
            If it is not there, at this call or when it is opened.
        SpoolUnavailable
            If that cannot be known now.
        """
        yield self.path(name)

    def path(self, name: str) -> Path:
        """Path of a kept file.

        Raises
        ------
        ValueError
            If `name` is not one this class makes, whatever it came through on its way here.
        """
        if not self.is_name(name):
            raise ValueError(f"spool name {name!r}, expected films|results/xx/hex.dcm|hl7|json")
        return self.root / name

    @staticmethod
    def is_name(name: str) -> bool:
        """Whether a name is one that this class makes."""
        return _NAME.fullmatch(name) is not None

    def has(self, name: str) -> bool:
        """Whether a kept file is there."""
        return self.path(name).exists()

    def kept(self, kind: str) -> Iterator[Kept]:
        """All files of ours in ``films`` or ``results``, in no order; what goes meanwhile is left out."""
        for shard in (self.root / kind).iterdir():
            with os.scandir(shard) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat()
                        name = f"{kind}/{shard.name}/{entry.name}"
                        if self.is_name(name):
                            yield Kept(name, found.st_size, found.st_ctime)

    def discard(self, name: str) -> None:
        """Remove a kept file that no job needs, or needs no more."""
        self.path(name).unlink(missing_ok=True)

    def discard_old(self, name: str, older_than: float) -> bool:
        """Remove a kept file, unless it has been written anew since `older_than` (POSIX seconds)."""
        path = self.path(name)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ctime < older_than:
                path.unlink()
                return True
        return False

    def clear_incoming(self, older_than: float) -> int:
        """Remove leftovers of aborted associations, last written before `older_than` (POSIX seconds)."""
        removed = 0
        for path in self.incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    removed += 1
        return removed

    def check(self) -> None:
        """Raise an OSError unless films can be kept."""
        if not os.access(self.incoming, os.W_OK):
            raise PermissionError(f"{self.incoming} is not writable, expected a folder to write in")

    def _keep(self, temporary: Path, kind: str, stem: str, suffix: str) -> str:
        name = f"{kind}/{stem[:2]}/{stem}{suffix}"
        self._move(temporary, name)
        return name

    def _move(self, temporary: Path, name: str) -> None:
        """Make a file of `incoming` durable under its name."""
        target = self.path(name)
        durable.sync(temporary)
        temporary.rename(target)
        durable.sync(target.parent)
