"""A data set on its way in: onto disk as it arrives, or past it where the disk has no room."""

import contextlib
import hashlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from pynetdicom.association import Association

_CHECK_BYTES = 1 << 20
# Of a data set so much is digested as it comes; a thread of its own follows with the rest, in such steps.
_DIGESTED_AT_ONCE_BYTES = 1 << 20
_DIGEST_STEP_BYTES = 512 << 10
_DIGEST_MEMORY_BYTES = 128 << 10
# One processor is for whoever receives; where all are taken, a thread more only costs.
_PROCESSORS_TO_DIGEST = threading.BoundedSemaphore(max(1, len(os.sched_getaffinity(0)) - 1))


class _Follower(threading.Thread):
    """Digests a file that another thread writes, from where it is now.

    Nothing that is done with a large film takes a processor longer; this lets it be another one's. Holds one
    of `_PROCESSORS_TO_DIGEST` until it ends.
    """

    def __init__(self, path: Path, offset: int, digest: "hashlib._Hash") -> None:
        super().__init__(name="digest", daemon=True)
        self._file = path.open("rb", buffering=0)
        self._file.seek(offset)
        self._at = offset
        self._digest = digest
        self._sizes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.start()

    def go_to(self, size: int) -> None:
        """The file has this size by now."""
        self._sizes.put(size)

    def end(self) -> int:
        """Go no further; how far it came."""
        self._sizes.put(0)
        self.join()
        return self._at

    def run(self) -> None:
        memory = memoryview(bytearray(_DIGEST_MEMORY_BYTES))
        try:
            with self._file:
                while size := self._sizes.get():
                    while count := self._file.readinto(memory[: size - self._at]):
                        self._digest.update(memory[:count])
                        self._at += count
        finally:
            _PROCESSORS_TO_DIGEST.release()


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
        self.offset = self.size_bytes = self._checked = 0
        self._digest = hashlib.sha256()
        self._follower: _Follower | None = None
        self._followed = 0
        self._file: BinaryIO | None = None
        with self._dropping():
            require_space()
            self._file = self.path.open("xb", buffering=0)

    @property
    def file(self) -> Self:
        return self

    def digest(self) -> str:
        """SHA-256 of the data set, hexadecimal; the file meta information, which is ours, is left out.

        Raises
        ------
        OSError
            If the file could not be read back.
        """
        if self._follower is not None:
            self._follower.go_to(self.tell())
            if (found := self._follower.end()) != self.tell():
                raise OSError(f"{found} bytes digested, expected {self.tell()}")
        return self._digest.hexdigest()

    def write(self, part: bytes) -> int:
        """Append preamble or file meta information, as pynetdicom does, or drop it."""
        self.offset += len(part)
        self._append(part)
        return len(part)

    def take(self, part: memoryview) -> None:
        """Append a part of the data set, or drop it."""
        self.size_bytes += len(part)
        self._append(part)
        if self._follower is None:
            self._digest.update(part)
            if self.size_bytes > _DIGESTED_AT_ONCE_BYTES:
                self._let_follow()
        elif self.tell() - self._followed > _DIGEST_STEP_BYTES:
            self._followed = self.tell()
            self._follower.go_to(self._followed)

    def _let_follow(self) -> None:
        """Leave the rest of the digest to a processor that has nothing else to do, if there is one."""
        if self._file is not None and _PROCESSORS_TO_DIGEST.acquire(blocking=False):
            try:
                self._follower = _Follower(self.path, self.tell(), self._digest)
            except OSError:
                _PROCESSORS_TO_DIGEST.release()
            self._followed = self.tell()

    def _append(self, part: bytes | memoryview) -> None:
        if self._file is None:
            return
        with self._dropping():
            if self.tell() - self._checked > _CHECK_BYTES:
                self._checked = self.tell()
                self._require_space()
            while part:
                part = part[self._file.write(part) :]

    def tell(self) -> int:
        """Bytes that came, kept or not."""
        return self.offset + self.size_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What is left of a data set that has been answered for."""
        self._on_close(self)
        if self._follower is not None:
            self._follower.end()
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
        if self._follower is not None:
            self._follower.end()
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
