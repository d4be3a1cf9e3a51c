"""A reading as JSON, for programs: scores, decision and UIDs; of the patient nothing."""

import datetime
import json
from collections.abc import Mapping

from pydicom.dataset import Dataset

from daemon.results.film import result_uid
from daemon.results.kinds import NOTIFICATION
from daemon.results.wording import COMMENT
from model import header
from model.findings import Reading

SCALE = "0 to 1 within a step; a model score is not a probability"


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    job: int,
    results: Mapping[str, str],
    retrospective: bool = False,
) -> tuple[str, bytes]:
    """Write a reading for a program.

    Parameters
    ----------
    film : Dataset
        Header of the film as received.
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the UID.
    now : datetime
        Time of production, aware.
    job : int
        Number of the film's job.
    results : mapping of str to str
        *SOP Instance UID* of the results in DICOM by kind, ``SC`` and ``SR``.
    retrospective : bool
        Whether the film was asked of the archive.

    Returns
    -------
    uid : str
        The same for the same film and model.
    body : bytes
        A JSON object, ASCII, the research-use text first.
    """
    body = {
        "research_use_only": COMMENT,
        "type": "reading",
        "created_at": now.isoformat(),
        "job": job,
        "retrospective": retrospective,
        "sop_instance_uid": str(film.SOPInstanceUID),
        "study_instance_uid": str(film.StudyInstanceUID),
        "accession_number": str(header.value(film, "AccessionNumber") or ""),
        "score_scale": SCALE,
        "reading": figures(reading),
        "results": dict(results),
    }
    uid = result_uid(film, film_digest, reading.model, NOTIFICATION)
    return uid, json.dumps(body).encode("ascii")


def figures(reading: Reading) -> dict[str, object]:
    """A reading in figures, as the job row keeps it too, for lists and charts."""
    return {
        "model": reading.model.name,
        "version": reading.model.version,
        "weights_sha256": reading.model.weights_sha256,
        "decision": str(reading.decision),
        "step1": dict(zip(reading.step1.labels, reading.step1.scores, strict=True)),
        "step2": reading.step2 and dict(zip(reading.step2.labels, reading.step2.scores, strict=True)),
        "inside_lungs": reading.inside and {"both": reading.inside.both, **reading.inside._asdict()},
        "least_inside": reading.least_inside,
        "warnings": list(reading.warnings),
    }
