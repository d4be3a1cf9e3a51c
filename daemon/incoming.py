"""A data set on its way in: onto disk as it arrives, or past it where the disk has no room."""

import contextlib
import errno
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from blake3 import blake3
from pynetdicom.association import Association

from storage import durable

# The disk is asked for room, and told to begin, with every so many.
_PIECE_BYTES = 1 << 20
# As many as the elements before the pixels mostly have.
_HEADER_BYTES = 4096


class Incoming:
    """Stands in for the temporary file that pynetdicom writes a C-STORE's data set to.

    When the disk has no room the file goes, and the rest of the data set is read and dropped: so the sender
    hears 0xA700 at its end (PS3.4 B.2.3) instead of losing the association, and the disk is not filled.

    Parameters
    ----------
    folder : Path
    require_space : callable
        Raises an OSError when there is no room.
    on_close : callable
        Is given the file once the data set is answered for.

    Attributes
    ----------
    offset : int
        Where the data set begins, in bytes.
    size_bytes : int
        Of the data set, as much as came, kept or not.
    """

    def __init__(
        self, folder: Path, require_space: Callable[[], None], on_close: Callable[["Incoming"], None]
    ) -> None:
        self._on_close = on_close
        self.path = folder / f"{uuid.uuid4().hex}.dcm"
        self.name = str(self.path)
        self.began = time.monotonic()
        self._require_space = require_space
        self.offset = self.size_bytes = self._begun = 0
        self._digest = blake3()
        self._meta = bytearray()
        self._file: io.FileIO | None = None
        with self._dropping():
            require_space()
            self._file = self.path.open("x+b", buffering=0)

    @property
    def file(self) -> Self:
        return self

    def digest(self) -> str:
        """BLAKE3 of the data set, hexadecimal; the file meta information, which is ours, is left out."""
        return self._digest.hexdigest()

    def write(self, part: bytes) -> int:
        """Append a part of preamble or file meta information, as pynetdicom does, or drop it."""
        self.offset += len(part)
        self._meta += part
        return len(part)

    def take(self, part: memoryview) -> None:
        """Append a part of the data set, or drop it."""
        self.flush()
        self.size_bytes += len(part)
        self._digest.update(part)
        self._append(part)

    def _append(self, part: memoryview) -> None:
        if self._file is None:
            return
        with self._dropping():
            is_due = self.tell() - self._begun > _PIECE_BYTES
            if is_due:
                self._require_space()
            while part:
                part = part[self._file.write(part) :]
            if is_due:
                durable.begin(self._file.fileno(), self._begun, self.tell() - self._begun)
                self._begun = self.tell()

    def tell(self) -> int:
        """Bytes that came, kept or not."""
        return self.offset + self.size_bytes

    def flush(self) -> None:
        """Write the preamble and file meta information: each write lets other threads run before this one."""
        if self._meta:
            meta, self._meta = self._meta, bytearray()
            self._append(memoryview(meta))

    @contextlib.contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """The data set as a file, at its begin, once all of it has come.

        Raises
        ------
        OSError
            If it was dropped.
        """
        if self._file is None:
            raise OSError(errno.ENOSPC, "dropped on its way in")
        self._file.seek(self.offset)
        reader = io.BufferedReader(self._file, _HEADER_BYTES)
        try:
            yield reader
        finally:
            reader.detach()

    def close(self) -> None:
        """What is left of a data set that has been answered for."""
        self._on_close(self)
        if self._file is not None:
            with self._dropping():
                self._file.close()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.discard()

    def discard(self) -> None:
        """Remove the file."""
        file, self._file = self._file, None
        if file is not None:
            # What could not be flushed before cannot now.
            with contextlib.suppress(OSError):
                file.close()
        self.path.unlink(missing_ok=True)


class IncomingFiles:
    """Makes the files, and removes what an association left behind.

    Parameters
    ----------
    folder : Path
    require_space : callable
        Raises an OSError when there is no room.
    """

    def __init__(self, folder: Path, require_space: Callable[[], None]) -> None:
        self._folder = folder
        self._require_space = require_space
        self._open: dict[threading.Thread, set[Incoming]] = {}

    def make(self, **_of_named_temporary_file: object) -> Incoming:
        """A file for the association whose receiving thread calls."""
        files = self._open.setdefault(threading.current_thread(), set())
        made = Incoming(self._folder, self._require_space, files.discard)
        files.add(made)
        return made

    def of(self, assoc: Association) -> set[Incoming]:
        """Data sets of the association that are on their way in or not yet answered for."""
        return set(self._open.get(assoc.dul, ()))

    def end(self, assoc: Association) -> None:
        """Remove the files of data sets that the association's end cut short, or left unanswered."""
        for file in self._open.pop(assoc.dul, ()):
            file.discard()
