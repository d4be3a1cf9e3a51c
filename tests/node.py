"""A Firstread node of its own for a test: config, folders, real processes, and peers that talk to it."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import servers
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from sqlalchemy import select

from storage import database
from storage.tables import delivery, film


class Node:
    """Config and folders of one node; its processes are started by `running`.

    Parameters
    ----------
    folder : Path
        Empty folder.
    destinations : dict of str to int or dict
        Name and, of a PACS on loopback, its port (the name in capitals is its AE title); of another kind of
        destination, the keys of its table.
    database_url : str, optional
        SQLite in `folder` if absent.
    tables : dict, optional
        Keys of the config's tables that differ from the defaults.
    """

    def __init__(
        self,
        folder: Path,
        destinations: dict[str, int | dict[str, object]] | None = None,
        database_url: str | None = None,
        tables: dict[str, dict[str, object]] | None = None,
    ) -> None:
        self.folder = folder
        self.port, self.console_port = servers.free_port(), servers.free_port()
        self.url = database_url or f"sqlite:///{folder / 'firstread.db'}"
        self.log = folder / "node.log"
        self.config = folder / "firstread.toml"
        self.configure(destinations, tables)
        self.engine = database.open_engine(self.url)

    def configure(
        self,
        destinations: dict[str, int | dict[str, object]] | None = None,
        tables: dict[str, dict[str, object]] | None = None,
    ) -> None:
        """Write the config file, anew."""
        settings: dict[str, dict[str, object]] = {
            "node": {"host": "127.0.0.1", "port": self.port},
            "console": {"port": self.console_port},
            "audit": {"folder": str(self.folder / "audit")},
            "storage": {
                "database": self.url,
                "spool": str(self.folder / "spool"),
                "floor_mib": 0,
                "watermark_percent": 100.0,
            },
        }
        for table, keys in (tables or {}).items():
            settings.setdefault(table, {}).update(keys)
        lines = []
        for table, keys in settings.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        for name, to in (destinations or {}).items():
            pacs = {"ae_title": name.upper(), "host": "127.0.0.1", "port": to}
            keys = {"name": name} | (to if isinstance(to, dict) else pacs)
            lines += ["[[destination]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    def migrate(self) -> None:
        """Make the schema, for tests that fill the database before any process runs."""
        database.migrate(self.engine)

    def firstread(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=120, check=False
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "daemon.cli", "--config", str(self.config), *arguments]

    @contextlib.contextmanager
    def running(self, *roles: str) -> Iterator[list[subprocess.Popen]]:
        """Processes of `roles` (``run`` is all of them), ready for work; ended afterwards."""
        with self.log.open("ab") as log:
            processes = [subprocess.Popen(self.command(role), stderr=log) for role in roles]
            try:
                ready = {"receive", "read", "send", "console"} if roles == ("run",) else set(roles)
                servers.wait_until(lambda: self._are_ready(processes, ready), 240, f"{roles} ready")
                yield processes
            finally:
                for process in processes:
                    servers.end(process, 60)

    def _are_ready(self, processes: list[subprocess.Popen], roles: set[str]) -> bool:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError(self.log_text())
        return all(f"{role} ready" in self.log_text() for role in roles)

    def log_text(self) -> str:
        """What the processes logged so far."""
        return self.log.read_text(encoding="utf-8")

    def films(self) -> list:
        """Rows of all films, oldest first."""
        with database.reading(self.engine) as connection:
            return connection.execute(select(film).order_by(film.c.id)).all()

    def deliveries(self) -> list:
        """Rows of all deliveries, oldest first."""
        with database.reading(self.engine) as connection:
            return connection.execute(select(delivery).order_by(delivery.c.id)).all()

    def spooled(self, kind: str) -> list[Path]:
        """Files of ``films``, ``results`` or ``incoming``."""
        return [path for path in (self.folder / "spool" / kind).rglob("*") if path.is_file()]

    def wait_for_ends(self, films: int, seconds: float = 60) -> list:
        """Rows of the films once there are `films` of them and every one and its deliveries is at an end."""

        def at_end() -> list | None:
            rows = self.films()
            deliveries = {row.state for row in self.deliveries()}
            done = len(rows) >= films and {row.state for row in rows} <= {"READ", "SKIPPED", "FAILED"}
            return rows if done and deliveries <= {"SENT", "COMMITTED", "FAILED"} else None

        return servers.wait_until(at_end, seconds, f"end of {films} films")

    @contextlib.contextmanager
    def association(self, *films: Dataset, ae_title: str = "MODALITY"):
        """An association of a modality that proposes what `films` need."""
        ae = AE(ae_title=ae_title)
        ae.add_requested_context(Verification)
        for sop_class, syntax in {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in films}:
            ae.add_requested_context(sop_class, syntax)
        assoc = ae.associate("127.0.0.1", self.port, ae_title="FIRSTREAD")
        try:
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    def store(self, *films: FileDataset) -> list[Dataset]:
        """C-STORE on one association; the statuses."""
        with self.association(*films) as assoc:
            return [assoc.send_c_store(ds) for ds in films]


class Pacs:
    """A real Storage SCP that keeps what it gets, and answers what it is told to.

    ``answer`` may be replaced: it is given the request's data set and returns a status.
    """

    def __init__(
        self, contexts: list | None = None, ae_title: str = "PACS", port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.received: list[FileDataset] = []
        self.raw: list[bytes] = []
        self.associations = self.releases = 0
        self.answer: Callable[[Dataset], int | Dataset] = lambda ds: 0x0000
        self._lock = threading.Lock()
        ae = AE(ae_title=ae_title)
        ae.supported_contexts = contexts or StoragePresentationContexts
        ae.add_supported_context(Verification)
        self._server = ae.start_server(
            (host, port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_ESTABLISHED, self._count),
                (evt.EVT_RELEASED, self._count_release),
            ],
        )
        self.port = self._server.socket.getsockname()[1]

    def _count(self, _event: evt.Event) -> None:
        self.associations += 1

    def _count_release(self, _event: evt.Event) -> None:
        self.releases += 1

    def _store(self, event: evt.Event) -> int | Dataset:
        ds = event.dataset
        ds.file_meta = event.file_meta
        with self._lock:
            status = self.answer(ds)
            if status == 0x0000:
                self.received.append(ds)
                self.raw.append(event.encoded_dataset(include_meta=False))
        return status

    def of(self, sop_class: UID) -> list[FileDataset]:
        """What was kept of one SOP class."""
        return [ds for ds in self.received if ds.SOPClassUID == sop_class]

    @property
    def active_associations(self) -> list[Association]:
        """What is open now."""
        return self._server.active_associations

    def release_all(self) -> None:
        """End each association by a request of ours, and wait for the answer."""
        for assoc in self.active_associations:
            assoc.release()

    def abort_all(self) -> None:
        """Hang up on everybody."""
        for assoc in self.active_associations:
            assoc.abort(block=False)

    def close(self) -> None:
        self._server.shutdown()
