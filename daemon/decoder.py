"""What the reader's worker processes do: decode a film and build its results, within bounds."""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import multiprocessing
import os
import resource
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from daemon import identities, routing
from daemon.board import Board, SharedFilm
from daemon.config import Config
from daemon.results import film, kinds, notification, object_set, observation_message
from model.decode import UnreadableFilm, stored_values
from model.findings import ModelVersion, Reading
from model.reader import InputSizes, PreparedFilm, prepare
from model.scope import OutOfScope, ScopeRules
from storage.claims import Job
from storage.deliveries import NewDelivery
from storage.spool import Spool

# Twice the largest film that scope allows, decoded, with room for the libraries.
WORKER_MEMORY_BYTES = 6 << 30
_board: Board | None = None


def _earlier_results(spool: Spool, job: Job) -> list[Dataset]:
    names = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber"]
    found = []
    for name in job.earlier_results:
        if name.endswith(".dcm"):
            with contextlib.suppress(FileNotFoundError), spool.local(name) as path:
                found.append(pydicom.dcmread(path, specific_tags=names))
    return found


def start_fork_server() -> None:
    """Have what workers are forked with loaded by their fork server, beside what this process loads."""
    multiprocessing.set_forkserver_preload([__name__, "daemon.results.preload"])
    forkserver.ensure_running()


def new_pool(workers: int, board: Board | None = None) -> ProcessPoolExecutor:
    """Worker processes, all of them there already; with a board for `prepare_on_board`."""
    # forkserver: a fork of this process would carry TensorFlow's threads and their locks. All imports are
    # made once, so that a new worker, the first or one after a crash, is there at once.
    start_fork_server()
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(board,))
    concurrent.futures.wait([pool.submit(int) for _ in range(workers)])
    return pool


def start_worker(board: Board | None = None) -> None:
    """In a worker: no identities in warnings, a bound on memory, a terminal's signals left to the parent."""
    global _board  # noqa: PLW0603 - a worker has one board
    _board = board
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_reader, daemon=True).start()


def _end_with_reader() -> None:
    """A killed reader closes no queue: workers would wait on it for ever, and keep their fork server."""
    multiprocessing.parent_process().join()
    os._exit(1)


def on_file(spool: Spool, name: str, work: Callable, *arguments: object) -> object:
    """Run on a file of the spool: its path comes before the arguments."""
    with spool.local(name) as path:
        return work(path, *arguments)


def bounded_on(
    seconds: int, spool: Spool, name: str, work: Callable, *arguments: object
) -> tuple[object, float]:
    """As `bounded`, on a file of the spool; to fetch it does not count."""
    with spool.local(name) as path:
        return bounded(seconds, work, path, *arguments)


def bounded(seconds: int, work: Callable, *arguments: object) -> tuple[object, float]:
    """Run in a worker, and say how many seconds it took.

    SIGALRM ends the process if a decoder hangs, even in native code.
    """
    began = time.monotonic()
    signal.alarm(seconds)
    try:
        return work(*arguments), time.monotonic() - began
    finally:
        signal.alarm(0)


class Conflict(ValueError):
    """Another film came under a SOP Instance UID that is taken."""


def prepare_film(
    path: Path, spool: Spool, same_uid: str | None, rules: ScopeRules, sizes: InputSizes
) -> PreparedFilm:
    """Decode a film and judge its header.

    Parameters
    ----------
    same_uid : str or None
        Spool name of the film that had its SOP Instance UID before it.

    Raises
    ------
    Conflict
        If that one has other pixels, or cannot be read any more: only a corrected header may stand for it.
    OutOfScope, UnreadableFilm
    """
    if same_uid is not None and not _has_same_pixels(path, spool, same_uid):
        raise Conflict
    try:
        return prepare(path, rules, sizes)
    except OutOfScope as error:
        # What was found may be the patient's name, in an element that is not for it.
        patient = identities.of(pydicom.dcmread(path, stop_before_pixels=True))
        raise OutOfScope(error.code, identities.without(error.found, patient), error.expected) from None


def prepare_on_board(path: Path, place: int, *arguments: object) -> SharedFilm:
    """As `prepare_film`, with its pictures at a place of the worker's board."""
    return _board.put(prepare_film(path, *arguments), place)


def _has_same_pixels(path: Path, spool: Spool, name: str) -> bool:
    try:
        with spool.local(name) as other:
            ours, theirs = (stored_values(pydicom.dcmread(one)) for one in (path, other))
    except (FileNotFoundError, InvalidDicomError, UnreadableFilm):
        return False
    return np.array_equal(ours, theirs)


@dataclasses.dataclass(frozen=True)
class Built:
    """What was written for a film.

    Parameters
    ----------
    deliveries : list of NewDelivery
    conflict : str
        What is wrong with the study that the film is in; empty if nothing.
    """

    deliveries: list[NewDelivery]
    conflict: str


def build(
    path: Path,
    spool: Spool,
    job: Job,
    prepared: PreparedFilm | None,
    answer: Reading | OutOfScope,
    model: ModelVersion,
    config: Config,
    now: datetime.datetime,
) -> Built:
    """Write what the destinations get of a film that was read or refused."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    plan = _plan(config, path, job, answer)
    # Results of a node without destinations are kept all the same.
    names = frozenset().union(*plan.values()) if plan else frozenset(kinds.DEFAULT_OBJECTS)
    about = (header, prepared, answer)
    if isinstance(answer, OutOfScope):
        objects = object_set.of_refusal(
            names, *about, model, job.digest, now, config.results, job.retrospective
        )
    else:
        earlier = _earlier_results(spool, job)
        objects = object_set.of_reading(
            names, *about, job.digest, now, config.results, earlier, job.retrospective
        )
    written = {}
    for name, ds in objects:
        kept = spool.write_result(ds.SOPInstanceUID, partial(film.write, ds))
        kind = object_set.kind(name, isinstance(answer, OutOfScope))
        written[name] = (kind, str(ds.SOPClassUID), str(ds.SOPInstanceUID), kept)
    if isinstance(answer, Reading):
        # Last, since these read values of the header whose bytes the results copy.
        told = (header, answer, job.digest, now)
        uids = {kind: uid for kind, _, uid, _ in written.values()}
        if "message" in names:
            message = observation_message.build(*told, results=uids, retrospective=job.retrospective)
            written["message"] = _keep(spool, kinds.OBSERVATION_MESSAGE, *message, ".hl7")
        if "notification" in names:
            body = notification.build(*told, job=job.id, results=uids, retrospective=job.retrospective)
            written["notification"] = _keep(spool, kinds.NOTIFICATION, *body, ".json")
    new = [
        NewDelivery(kind, to, sop_class_uid, uid, kept)
        for to, theirs in plan.items()
        for name, (kind, sop_class_uid, uid, kept) in written.items()
        if name in theirs
    ]
    return Built(new, _study_conflict(path, spool, job))


def _plan(config: Config, path: Path, job: Job, answer: Reading | OutOfScope) -> dict[str, frozenset[str]]:
    # A header of its own: rules read values whose bytes the results copy.
    header = pydicom.dcmread(path, stop_before_pixels=True) if config.rule else Dataset()
    return routing.plan(
        config.destination, config.rule, header, job.calling_ae_title, answer, job.retrospective
    )


def _keep(spool: Spool, kind: str, uid: str, content: bytes, suffix: str) -> tuple[str, str, str, str]:
    """Write a result that is no SOP instance, and so has no SOP class."""
    return kind, "", uid, spool.write_result(uid, lambda file: file.write(content), suffix)


def _study_conflict(path: Path, spool: Spool, job: Job) -> str:
    """Whether the patient's ID differs from that of the study's first film; empty if not.

    Results keep the film's own. Neither ID is told: what is told goes into log and job row.
    """
    first = job.study_began
    if first is None or first.job == job.id:
        return ""
    try:
        with spool.local(first.spool_name) as other:
            ours, theirs = _patient(path), _patient(other)
    except (FileNotFoundError, InvalidDicomError):  # retention may have taken it
        return ""
    if ours == theirs:
        return ""
    return f"patient ID or its issuer differs from that of job {first.job}, in the same study"


def _patient(path: Path) -> list[bytes]:
    """Patient ID and its issuer (PS3.3 C.7.1.1) as they stand in the file, without padding."""
    ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "IssuerOfPatientID"])
    raw = (ds.get_item(keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    return [bytes(one.value or b"").strip(b" \0") if one is not None else b"" for one in raw]
