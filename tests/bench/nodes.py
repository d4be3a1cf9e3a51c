"""What is compared: the stand-in PACS, and each node that reads films or takes them, started anew."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import foreign
import servers
from bench.films import Film
from node import Node
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

REPOSITORY = Path(__file__).parents[2]
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
LONGEST_PDU = 131072
START_SECONDS = 180
# DCMTK waits 40 ms for each object else.
_AT_ONCE = {"TCP_NODELAY": "1"}
# Files are whole when none has changed for so long: DCMTK writes one in a moment once it has all of it.
_QUIET_SECONDS = 0.3


@dataclasses.dataclass(frozen=True)
class Running:
    """A node that listens: its port, AE title and first process."""

    port: int
    ae_title: str
    pid: int


class Pacs:
    """DCMTK's storescp with a process for each association; it syncs nothing.

    Parameters
    ----------
    folder : Path
        Empty; takes what is accepted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = servers.free_port()
        program = foreign.require("storescp", "dcmtk")
        command = [program, "--fork", "--max-pdu", str(LONGEST_PDU), "-od", str(folder), str(self.port)]
        self._server = subprocess.Popen(command, env=os.environ | _AT_ONCE, stderr=subprocess.DEVNULL)
        servers.wait_until(lambda: servers.accepts(self.port), what="storescp's port")

    def close(self) -> None:
        """End it."""
        servers.end(self._server)

    def accepted(self, films: Sequence[Film], seconds: float) -> dict[str, float]:
        """Wait until a Secondary Capture and a report of each film are accepted, and forget them.

        Returns
        -------
        dict of str to float
            When the later of the two was, POSIX seconds, by the film's *Study Instance UID*: the file's time
            of change, as exact as the kernel's clock ticks (some milliseconds).

        Raises
        ------
        TimeoutError
            If one is missing after so many seconds.
        ValueError
            If there is anything else, or anything twice.
        """
        wanted = 2 * len(films)
        servers.wait_until(
            lambda: len([*self._folder.iterdir()]) >= wanted and self._is_quiet(),
            seconds,
            f"{wanted} results at the PACS",
        )
        found: dict[str, dict[str, float]] = {film.study_instance_uid: {} for film in films}
        for path in self._folder.iterdir():
            ds = dcmread(path, specific_tags=["SOPClassUID", "StudyInstanceUID"], stop_before_pixels=True)
            kind = "SC" if ds.SOPClassUID == SecondaryCaptureImageStorage else "SR"
            of_film = found.get(ds.StudyInstanceUID)
            if of_film is None or kind in of_film:
                raise ValueError(f"found a {kind} of no film or a second one, expected one SC and SR a film")
            of_film[kind] = path.stat().st_ctime_ns / 1e9
            path.unlink()
        return {study: max(of_film.values()) for study, of_film in found.items()}

    def _is_quiet(self) -> bool:
        newest = max(path.stat().st_ctime for path in self._folder.iterdir())
        return time.time() - newest > _QUIET_SECONDS


@contextlib.contextmanager
def firstread(folder: Path, pacs_port: int, version: str) -> Iterator[Running]:
    """All of Firstread's processes at their defaults but for ports, folders and the model version."""
    node = Node(folder, {"pacs": pacs_port}, tables={"model": {"version": version}})
    try:
        with node.running("run") as [process]:
            yield Running(node.port, "FIRSTREAD", process.pid)
    finally:
        node.engine.dispose()


@contextlib.contextmanager
def straightforward(folder: Path, pacs_port: int, version: str) -> Iterator[Running]:
    """The script of `bench.straightforward`."""
    port = servers.free_port()
    command = [sys.executable, "-m", "bench.straightforward", str(port), str(pacs_port), version]
    with (folder / "script.log").open("wb") as log:
        script = subprocess.Popen(command, env=os.environ | python_path(), stderr=log, cwd=REPOSITORY)
    try:
        servers.wait_until(
            lambda: servers.accepts(port) or script.poll() is not None, START_SECONDS, "the script's port"
        )
        if script.poll() is not None:
            raise RuntimeError((folder / "script.log").read_text(encoding="utf-8"))
        yield Running(port, "SCRIPT", script.pid)
    finally:
        servers.end(script)


@contextlib.contextmanager
def orthanc_plugin(_folder: Path, pacs_port: int, version: str) -> Iterator[Running]:
    """Orthanc with `bench.orthanc_plugin` in it."""
    settings = {
        "Plugins": [str(PLUGIN)],
        "PythonScript": str(Path(__file__).with_name("orthanc_plugin.py")),
        "DicomModalities": {"pacs": ["PACS", "127.0.0.1", pacs_port]},
    }
    with _environment(python_path() | {"BENCH_VERSION": version}), _orthanc(settings) as running:
        yield running


@contextlib.contextmanager
def orthanc_alone(_folder: Path, _pacs_port: int, _version: str) -> Iterator[Running]:
    """Orthanc that takes films and reads none."""
    with _orthanc({}) as running:
        yield running


def why_no_plugin() -> str:
    """Why Orthanc's Python plug-in cannot be run with our libraries; empty if it can."""
    if not PLUGIN.exists():
        return f"{PLUGIN} is not installed (Debian package orthanc-python)"
    linked = subprocess.run(["ldd", PLUGIN], capture_output=True, text=True, check=False).stdout
    ours = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so"
    if ours not in linked:
        return f"{PLUGIN} is not linked with {ours}, and so cannot load the libraries of this Python"
    return ""


def python_path() -> dict[str, str]:
    """Environment in which another Python finds us, `bench` and our libraries."""
    places = [REPOSITORY, REPOSITORY / "tests", sysconfig.get_path("purelib")]
    return {"PYTHONPATH": os.pathsep.join(map(str, places))}


@contextlib.contextmanager
def _orthanc(settings: dict[str, object]) -> Iterator[Running]:
    with servers.orthanc(MaximumPduLength=LONGEST_PDU, **settings) as server:
        yield Running(server.dicom_port, "PACS", server.pid)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


Start = Callable[[Path, int, str], contextlib.AbstractContextManager[Running]]
