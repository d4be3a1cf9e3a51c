"""Where films and scores lie: a folder, or a bucket of an object store. Both list in one order."""

import contextlib
import datetime
import errno
import functools
import heapq
import io
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from storage import durable

# Names of one folder that are sorted in memory; of a larger one, runs of so many are merged from disk.
NAMES_IN_MEMORY = 100_000
# Errors of one film; any other says that the place is not to be had now.
OF_THE_FILM = frozenset({
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.ENOTDIR, errno.ELOOP,
    errno.EINVAL, errno.ENAMETOOLONG, errno.ENXIO,
})  # fmt: skip
# What a film out of scope costs of the network: its header is in here.
FIRST_BYTES = 1 << 18
# Of one request, with its retries.
REQUEST_SECONDS = 20


class PlaceAway(OSError):
    """A folder or an object store that cannot be used, now or at all."""


def place(where: str) -> "Folder | Bucket":
    """A place by its path or URL, such as ``s3://bucket/prefix``; one object for a place in each process."""
    return _place(where)


@functools.lru_cache(maxsize=8)
def _place(where: str) -> "Folder | Bucket":
    return Bucket(where) if "://" in where else Folder(Path(where))


class Folder:
    """A folder of this machine, or one that is mounted on all that work."""

    fetch_seconds = 0

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, after: str = "") -> Iterator[str]:
        """Every file below, relative, in the order of the names' characters; never all of them in memory.

        Parameters
        ----------
        after : str
            Only names after this one; folders that lie before it are not looked into.

        Raises
        ------
        PlaceAway
            If a folder cannot be listed.
        """
        yield from self._names("", after)

    def _names(self, folder: str, after: str) -> Iterator[str]:
        for entry in _in_order(self._entries(folder)):
            name = folder + entry
            if not entry.endswith("/"):
                if name > after:
                    yield name
            elif name > after or after.startswith(name):
                yield from self._names(name, after)

    def _entries(self, folder: str) -> Iterator[str]:
        """Names in one folder as they come, those of folders with a slash: so they sort as paths do."""
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield f"{entry.name}/"
                    elif entry.is_file():
                        yield entry.name
        except OSError as error:
            raise PlaceAway(error.errno, f"cannot be listed: {error.strerror}", error.filename) from error

    def open(self, name: str) -> BinaryIO:
        """A file to read and seek in."""
        return (self._root / name).open("rb")

    def read(self, name: str) -> bytes:
        """A whole file.

        Raises
        ------
        FileNotFoundError
        """
        return (self._root / name).read_bytes()

    def kept(self, folder: str) -> Iterator[str]:
        """Names of the files in one folder below, whole ones; none if there is no such folder."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            yield from (entry.name for entry in entries if not entry.name.startswith("."))

    def write(self, name: str, content: bytes) -> None:
        """Write a file that is there whole and durable, or not at all."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(path, content, path.with_name(f".{path.name}.{os.getpid()}"))


class Bucket:
    """A prefix in an object store; credentials and endpoint are those of its provider's variables."""

    fetch_seconds = 3 * REQUEST_SECONDS  # for one film, with retries: it takes two requests or three

    def __init__(self, url: str) -> None:
        self._url = url
        wait = datetime.timedelta(seconds=REQUEST_SECONDS)
        with _told(self._url):
            # Without TLS only where the variable that names the endpoint says so.
            options = {"timeout": wait, "allow_http": True}
            self._store = from_url(url, client_options=options, retry_config={"retry_timeout": wait})

    def names(self, after: str = "") -> Iterator[str]:
        """Every object below; see `Folder.names`."""
        last = after
        with _told(self._url):
            for listed in obstore.list(self._store, offset=after or None):
                for meta in listed:
                    name = meta["path"]
                    if name <= last:
                        raise PlaceAway(
                            f"{self._url} does not list its objects in the order of their names, expected of "
                            "what goes on where it was; name the films by --list"
                        )
                    last = name
                    yield name

    def open(self, name: str) -> BinaryIO:
        """An object to read and seek in; its first bytes are fetched now, the others if they are asked for.

        Raises
        ------
        FileNotFoundError
        """
        with _told(f"{self._url}/{name}"):
            return io.BufferedReader(_Object(self._store, name))

    def read(self, name: str) -> bytes:
        """A whole object.

        Raises
        ------
        FileNotFoundError
        """
        with _told(self._url):
            return bytes(obstore.get(self._store, name).bytes())

    def kept(self, folder: str) -> Iterator[str]:
        """Names of the objects in one folder below."""
        with _told(self._url):
            for listed in obstore.list(self._store, prefix=folder):
                yield from (meta["path"].removeprefix(f"{folder}/") for meta in listed)

    def write(self, name: str, content: bytes) -> None:
        """Write an object; it is there whole or not at all."""
        with _told(self._url):
            obstore.put(self._store, name, content)


class _Object(io.RawIOBase):
    """An object of a store in two parts, of which the second is fetched only if it is asked for."""

    def __init__(self, store: object, name: str) -> None:
        self._store, self.name = store, name  # as a file, by what it is called
        self._at = 0
        self._first = b""
        try:
            found = obstore.get(store, name, options={"range": (0, FIRST_BYTES)})
            self._first = found.bytes()
        except BaseError:
            # An empty object has no range, and some servers know none.
            found = obstore.get(store, name)
        self._size, self._version = found.meta["size"], found.meta["e_tag"]
        self._rest = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        first = len(self._first)
        if self._at >= self._size:
            return 0
        if self._at >= first and not self._rest:
            asked = {"if_match": self._version} | ({"range": (first, self._size)} if first else {})
            with _told(self.name):
                self._rest = obstore.get(self._store, self.name, options=asked).bytes()
        part, at = (self._first, self._at) if self._at < first else (self._rest, self._at - first)
        found = memoryview(part)[at : at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in a line what the store's library says in many."""
    try:
        yield
    except BaseError as error:
        said = " ".join(str(error).partition("Debug source:")[0].split())
        raise PlaceAway(errno.EHOSTDOWN, f"object store: {said[:300]}", what) from error


def _in_order(names: Iterable[str]) -> Iterator[str]:
    """Names sorted; more than fit in memory by way of disk."""
    names = iter(names)
    with contextlib.ExitStack() as stack:
        runs = []
        while run := sorted(itertools.islice(names, NAMES_IN_MEMORY)):
            if len(run) < NAMES_IN_MEMORY:
                runs.append(run)
                break
            file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="ascii"))
            file.writelines(f"{json.dumps(name)}\n" for name in run)
            file.seek(0)
            runs.append(map(json.loads, file))
        yield from heapq.merge(*runs)
