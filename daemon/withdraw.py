"""Results taken back: a rejection note to each destination that may have them (IHE RAD-66, IOCM)."""

import logging
from functools import partial
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import Engine

from daemon import service
from daemon.results import film, key_objects
from model.findings import ModelVersion
from storage import database, films, withdrawals
from storage.spool import Spool
from storage.withdrawals import BeingSent, Note

# A header that was wrong and is corrected: the results stand in the study, or with the patient, of another.
CORRECTED = "worklist"
_NAMES = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
_LOGGER = logging.getLogger("firstread.withdraw")


class NothingToWithdraw(RuntimeError):
    """A film without results that can be taken back."""


def withdraw(engine: Engine, spool: Spool, job: int, reason: str, who: str) -> int:
    """Take back the results of a film.

    Parameters
    ----------
    reason : str
        One of `codes.REJECTIONS`.
    who : str
        For the history.

    Returns
    -------
    int
        Destinations that are told.

    Raises
    ------
    storage.films.NoSuchJob
    NothingToWithdraw
    storage.withdrawals.BeingSent
    """
    with database.reading(engine) as connection:
        row = films.get(connection, job)
        results = withdrawals.results(connection, job)
    if row.withdrawn_at is not None:
        when = row.withdrawn_at.astimezone()
        raise NothingToWithdraw(f"its results were withdrawn before, at {when:%Y-%m-%d %H:%M}")
    if row.files_removed_at is not None:
        raise NothingToWithdraw("its files have been removed, expected them; reject the results at the PACS")
    if not results or row.reading is None:
        raise NothingToWithdraw(f"it is {row.state} and has no results of a reading")
    now = service.now()
    note = key_objects.rejection_note(
        _read(spool, row.spool_name, stop_before_pixels=True),
        [_read(spool, one.spool_name, specific_tags=_NAMES) for one in results],
        reason,
        _model(row.reading),
        now.astimezone(),
    )
    name = spool.write_result(note.SOPInstanceUID, partial(film.write, note))
    kept = Note(str(note.SOPClassUID), str(note.SOPInstanceUID), name)
    return withdrawals.withdraw(engine, job, kept, who, now, f"withdrawn: {reason}")


def withdraw_corrected(engine: Engine, spool: Spool) -> None:
    """Take back the results of films whose header has since been corrected and sent again."""
    for job in withdrawals.corrected(engine):
        try:
            told = withdraw(engine, spool, job, CORRECTED, service.claimant("withdraw"))
        except (BeingSent, NothingToWithdraw) as error:
            _LOGGER.warning("job %d: corrected, its results not withdrawn now: %s", job, error)
        else:
            _LOGGER.warning("job %d: corrected; its results withdrawn at %d destinations", job, told)


def _read(spool: Spool, name: str, **what: Any) -> Dataset:
    with spool.local(name) as path:
        return pydicom.dcmread(path, **what)


def _model(reading: dict[str, object]) -> ModelVersion:
    """Which model the job row says it was; what it does not say, a note does not tell."""
    name, version, sha256 = (str(reading[key]) for key in ("model", "version", "weights_sha256"))
    return ModelVersion(name, version, "", sha256, "", (0, 0))
