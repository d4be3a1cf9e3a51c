"""The film store as a bucket of an object store that speaks S3, for nodes of several machines."""

import contextlib
import dataclasses
import datetime
import errno
import os
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from storage.spool import Kept, Spool, SpoolUnavailable

# A larger file goes in parts of this size, two at once; `_MOST_PUTS` bounds what all hold in memory.
PART_BYTES = 16 << 20
_MOST_PUTS = threading.BoundedSemaphore(8)
_KEYS_A_PAGE = 1000
# A store that answers nothing is given up before a sender's patience ends, and before a film's time is over.
_LIMITS: dict[str, Any] = {
    "client_options": {
        "connect_timeout": datetime.timedelta(seconds=3),
        "read_timeout": datetime.timedelta(seconds=15),
        "timeout": datetime.timedelta(seconds=60),
    },
    "retry_config": {"max_retries": 2, "retry_timeout": datetime.timedelta(seconds=10)},
}


class StoreUnreachable(SpoolUnavailable):
    """The object store gave no usable answer: what was asked of it waits, as for a disk in trouble."""

    def __str__(self) -> str:
        return str(self.strerror)


@dataclasses.dataclass(frozen=True)
class Bucket:
    """Where the objects are, and how to ask for them.

    Parameters
    ----------
    name : str
    prefix : str
        Before every key; empty for none.
    endpoint : str
        URL of the store; empty for that of AWS in `region`.
    region : str
    access_key, secret_key : str
        Empty for what the machine is given by its environment (AWS's variables, roles and tokens).
    authorities : str
        PEM of authorities that may vouch for the store beside those of the system; empty for none.
    """

    name: str
    prefix: str
    endpoint: str
    region: str
    access_key: str = dataclasses.field(repr=False)
    secret_key: str = dataclasses.field(repr=False)
    authorities: str = ""

    def open(self) -> S3Store:
        """A client, which asks for nothing yet.

        Each body is signed by its SHA-256, so that the store refuses one that was damaged on its way.
        """
        options = _LIMITS["client_options"] | {"allow_http": self.endpoint.startswith("http://")}
        if self.authorities:
            options["root_certificate"] = self.authorities
        given = {
            "endpoint": self.endpoint,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            region=self.region,
            checksum_algorithm="SHA256",
            disable_bulk_delete=True,  # one at a time, as every store can
            client_options=options,
            retry_config=_LIMITS["retry_config"],
            **{key: value for key, value in given.items() if value},
        )


class ObjectSpool(Spool):
    """A bucket for films and results, and a folder of this machine for what is on its way.

    A film is received into the folder's ``incoming``, and kept once the store has confirmed it. Its copy
    stays in ``cache`` for a while: a film's name is never used twice. A result's is, so that none is.

    Parameters
    ----------
    bucket : Bucket
    root : Path
        Of this machine alone; made with its folders if absent.
    most_bytes : int
        Of the copies in ``cache``, about; those used last stay.

    Raises
    ------
    SpoolUnavailable
        If the folders cannot be made. Of the store nothing is asked yet.
    """

    def __init__(self, bucket: Bucket, root: Path, most_bytes: int) -> None:
        self.root = root
        self.where = f"s3://{bucket.name}/{bucket.prefix}".rstrip("/")
        self.incoming = root / "incoming"
        self._cache = root / "cache"
        self._most_bytes = most_bytes
        self._client = bucket.open()
        try:
            for folder in (self.incoming, self._cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolUnavailable(
                f"[storage] s3_folder {root}: {error.strerror}; expected a folder to write in"
            ) from error

    def keep_film(self, incoming: Path) -> str:
        return self._keep(incoming, "films", uuid.uuid4().hex, ".dcm")

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        copy, mine = self._copy(name), self.incoming / f"{uuid.uuid4().hex}{Path(name).suffix}"
        try:
            try:
                # A link of one's own: whoever makes room in the cache takes it away from nobody.
                os.utime(copy)
                mine.hardlink_to(copy)
            except FileNotFoundError:
                self._fetch(name, mine)
                if self._is_copied(name):
                    with contextlib.suppress(FileExistsError):
                        copy.hardlink_to(mine)
                    self._make_room(name)
            yield mine
        finally:
            mine.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        self.path(name)
        try:
            with self._asking("look for", name):
                obstore.head(self._client, name)
        except FileNotFoundError:
            return False
        return True

    def kept(self, kind: str) -> Iterator[Kept]:
        with self._asking("list", kind):
            for page in obstore.list(self._client, kind, chunk_size=_KEYS_A_PAGE):
                for found in page:
                    if self.is_name(found["path"]):
                        yield Kept(found["path"], found["size"], found["last_modified"].timestamp())

    def discard(self, name: str) -> None:
        self._copy(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError), self._asking("remove", name):
            obstore.delete(self._client, name)

    def discard_old(self, name: str, older_than: float) -> bool:
        self.path(name)
        with contextlib.suppress(FileNotFoundError):
            with self._asking("look for", name):
                since = obstore.head(self._client, name)["last_modified"]
            if since.timestamp() < older_than:
                self.discard(name)
                return True
        return False

    def clear_incoming(self, older_than: float) -> int:
        """As of a folder; copies that nobody has used since go too, as retention would have them go."""
        for path in self._cache.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
        return super().clear_incoming(older_than)

    def check(self) -> None:
        """Put, get and remove an object that is no film."""
        super().check()
        name, words = f"probes/{uuid.uuid4().hex}", b"firstread check"
        with self._asking("put", name):
            obstore.put(self._client, name, words, use_multipart=False)
            found = obstore.get(self._client, name).bytes()
            obstore.delete(self._client, name)
        if found != words:
            raise StoreUnreachable(errno.EIO, f"{self.where}: found other bytes than those that were put")

    def _move(self, temporary: Path, name: str) -> None:
        copy = self._copy(name)
        with _MOST_PUTS, self._asking("put", name):
            try:
                obstore.put(self._client, name, temporary, chunk_size=PART_BYTES, max_concurrency=2)
            except FileNotFoundError as error:
                temporary.stat()  # what is not there may be the file
                raise self._unreachable("put", name, error) from error
        if self._is_copied(name):
            temporary.rename(copy)
            self._make_room(name)
        else:
            temporary.unlink()

    def _fetch(self, name: str, target: Path) -> None:
        with self._asking("get", name):
            found = obstore.get(self._client, name)
            size = found.meta["size"]
            with target.open("xb") as file:
                for part in found.stream(min_chunk_size=1 << 20):
                    file.write(part)
        if target.stat().st_size != size:
            raise StoreUnreachable(errno.EIO, f"{self.where}: {name} ended before its {size} bytes")

    def _copy(self, name: str) -> Path:
        return self._cache / self.path(name).name

    def _is_copied(self, name: str) -> bool:
        return self._most_bytes > 0 and name.startswith("films/")

    def _make_room(self, name: str) -> None:
        """Remove the copies used longest ago; at one film in 16, by its random name: a look is not free."""
        if name.partition("/")[2].startswith("0"):
            found = []
            for path in self._cache.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    seen = path.stat()
                    found.append((seen.st_mtime, seen.st_size, path))
            excess = sum(size for _, size, _ in found) - self._most_bytes
            for _, size, path in sorted(found):
                if excess <= 0:
                    break
                path.unlink(missing_ok=True)
                excess -= size

    @contextlib.contextmanager
    def _asking(self, what: str, name: str) -> Iterator[None]:
        """Tell a store that gives no answer from one that has no such object."""
        try:
            yield
        except FileNotFoundError:
            # Also said where there is no bucket, in which nothing is missing but everything out of reach.
            try:
                next(iter(obstore.list(self._client, name)), None)
            except BaseError as error:
                raise self._unreachable(what, name, error) from error
            raise
        except BaseError as error:
            raise self._unreachable(what, name, error) from error

    def _unreachable(self, what: str, name: str, error: Exception) -> StoreUnreachable:
        text = str(error)
        code = re.search(r"<Code>(\w+)</Code>", text)
        said = code[1] if code else text.partition("\n")[0].rpartition(" - ")[2].rstrip(": ")
        return StoreUnreachable(errno.EIO, f"object store: {said}; cannot {what} {name} of {self.where}")
