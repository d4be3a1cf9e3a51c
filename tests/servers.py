"""Real servers for tests, on loopback or a socket of their own, ended by the process that started them."""

import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import foreign
import psycopg


def free_port() -> int:
    """A TCP port that nobody on loopback listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(condition: Callable[[], object], seconds: float = 30.0, what: str = "condition") -> object:
    """The first true value of `condition`, which is asked again and again until `seconds` have passed."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > limit:
            raise TimeoutError(f"{what} not met within {seconds} s")
        time.sleep(0.02)
    return value


def accepts(port: int) -> bool:
    """Whether somebody on loopback listens on `port`."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
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
def postgresql() -> Iterator[str]:
    """A new PostgreSQL server; yields the URL of its maintenance database."""
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
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "cluster", "-k", folder, "-p", str(port),
             "-c", "listen_addresses=", "-c", "fsync=off"],
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
    """A running Orthanc: its DICOM port and the root of its REST interface."""

    dicom_port: int
    url: str


@contextlib.contextmanager
def orthanc(**settings_of_test: object) -> Iterator[Orthanc]:
    """A new, empty Orthanc with its DICOMweb plug-in; ended, and waited for, afterwards."""
    program = foreign.require("/usr/sbin/Orthanc", "orthanc")
    plugin = foreign.require("/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "orthanc-dicomweb")
    folder = Path(tempfile.mkdtemp(prefix="fr-orthanc-"))
    dicom_port, http_port = free_port(), free_port()
    settings = {
        "Name": "PACS", "DicomAet": "PACS", "DicomPort": dicom_port, "HttpPort": http_port,
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "Plugins": [plugin],
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, **settings_of_test,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    try:
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            wait_until(lambda: accepts(http_port) and accepts(dicom_port), what="Orthanc's ports")
            yield Orthanc(dicom_port, f"http://127.0.0.1:{http_port}")
        finally:
            end(server)
    finally:
        shutil.rmtree(folder)


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


def drop_database(url: str) -> None:
    """Take a database away from everybody who uses it."""
    name = url.partition("/t")[2].partition("?")[0]
    with psycopg.connect(_conninfo(url.replace(f"/t{name}?", "/postgres?")), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "t{name}" WITH (FORCE)')
