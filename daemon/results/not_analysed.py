"""The report on a film that is not read: why, in one sentence and one code; no score and no finding."""

import datetime

from highdicom import sr
from pydicom.dataset import Dataset

from daemon.results import codes, kinds, wording
from daemon.results.film import PRODUCT, complete_header, derive_uid, finish, result_uid, series_uid
from daemon.results.languages import LANGUAGES, character_set, fitting
from daemon.results.report_groups import occasion
from daemon.results.structured_report import IODS, document, variant
from model.findings import ModelVersion
from model.header import numbers, text
from model.scope import OutOfScope

KIND = kinds.NOT_ANALYSED
SERIES_NUMBER = 9006
SERIES_DESCRIPTION = "Firstread AI - not analysed"
REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Rows", "Columns")


class NotReportable(ValueError):
    """The film's header lacks what a report must refer to."""


def build(
    film: Dataset,
    refusal: OutOfScope,
    model: ModelVersion,
    film_digest: str,
    now: datetime.datetime,
    *,
    iod: str = "comprehensive-3d",
    language: str = "en",
    retrospective: bool = False,
) -> Dataset:
    """Write in the film's study why it was not analysed.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why).
    refusal : OutOfScope
    model : ModelVersion
        Which model would have read it.
    film_digest : str
        Digest of the film as received; with the refusal's code, part of the *SOP Instance UID*: a film that
        is later refused for another reason gets another report.
    now : datetime
        Time of production, aware.
    iod, language, retrospective
        As of `structured_report.build`.

    Returns
    -------
    Dataset
        Comprehensive 3D, Comprehensive or Enhanced SR Storage with file meta, Explicit VR Little Endian; the
        same bytes for the same arguments.

    Raises
    ------
    NotReportable
        If the header names no study, no instance or no matrix.

    References
    ----------
    DICOM PS3.16 TID 1500 and 1501.
    """
    check_reportable(film)
    header = complete_header(film)
    header.Rows, header.Columns = (int(numbers(film, keyword)[0]) for keyword in ("Rows", "Columns"))
    wished = wording.refusal_summary(refusal, model, LANGUAGES[language], retrospective)
    sentences = fitting(film, language, wished)
    summary = wording.refusal_summary(refusal, model, sentences, retrospective)
    uid = result_uid(film, film_digest, model, variant(f"{KIND} {refusal.code}", iod, sentences.code.value))
    series = (series_uid(film, model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION)
    group = _group(header, refusal, model, uid, retrospective)
    ds = document(film, header, [group], summary, model, series, uid, iod=IODS[iod], language=sentences)
    return finish(ds, film, now, character_set=character_set(film))


def check_reportable(film: Dataset) -> None:
    """Raise `NotReportable` if the header names no study, no instance or no matrix."""
    missing = [keyword for keyword in REQUIRED if not text(film, keyword)]
    if missing:
        raise NotReportable(f"found no {' and no '.join(missing)}, expected them in the film's header")


def _group(
    header: Dataset, refusal: OutOfScope, model: ModelVersion, uid: str, retrospective: bool
) -> sr.MeasurementsAndQualitativeEvaluations:
    """The reason as a code, said of the film as a whole (TID 1501)."""
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(derive_uid("tracking", uid), "Not analysed"),
        algorithm_id=sr.AlgorithmIdentification(
            name=model.name,
            version=model.version,
            manufacturer=PRODUCT,
            family=codes.ARTIFICIAL_INTELLIGENCE,
        ),
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.ANALYSES, codes.NOT_ATTEMPTED),
            sr.QualitativeEvaluation(codes.WHY_NOT_ANALYSED, codes.REFUSED[refusal.code]),
            *occasion(retrospective),
        ],
        source_images=[sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )
