"""The Structured Report: a reading in codes, for machines, and in a few sentences, for people.

Comprehensive 3D SR by TID 1500 (DICOM PS3.16), primary result of the IHE AI Results profile.
"""

import datetime
from decimal import Decimal

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from daemon.results import codes, wording
from daemon.results.film import (
    PRODUCT,
    complete_header,
    derive_uid,
    device_uid,
    equipment,
    finish,
    instance_number,
    result_uid,
    series_uid,
)
from model.findings import Decision, ModelVersion, Reading, StepScores

KIND = "SR"
SERIES_NUMBER = 9002
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - report"
COMMENT = f"{wording.RESEARCH_USE}. {wording.NOT_REVIEWED.capitalize()}."


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    rows: int,
    columns: int,
) -> Dataset:
    """Write a reading as a report in the film's study.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why).
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the *SOP Instance UID*.
    now : datetime
        Time of production, aware.
    rows, columns : int
        Matrix of the film, pixels; regions are given in it.

    Returns
    -------
    Dataset
        Comprehensive 3D SR Storage with file meta, Explicit VR Little Endian; the same bytes for the same
        arguments.

    Raises
    ------
    ValueError
        If the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.35.13; PS3.16 TID 1500, 1410, 1600 and 4019.
    """
    header = complete_header(film)
    header.Rows, header.Columns = rows, columns
    uid = result_uid(film, film_digest, reading.model, KIND)
    series = (series_uid(film, reading.model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION)
    groups = _groups(header, reading, uid)
    return document(film, header, groups, wording.summary(reading), reading.model, series, uid, now)


def document(
    film: Dataset,
    header: Dataset,
    groups: list,
    summary: tuple[str, ...],
    model: ModelVersion,
    series: tuple[str, int, str],
    uid: str,
    now: datetime.datetime,
) -> Dataset:
    """A report of `groups` on one film, by the model.

    Parameters
    ----------
    film : Dataset
        Header as received.
    header : Dataset
        `film.complete_header` of it, with *Rows* and *Columns*.
    groups : list
        Measurement groups of TID 1410 or 1501, at least one.
    summary : tuple of str
        Lines of the *Summary*.
    model : ModelVersion
    series : (str, int, str)
        UID, number and description.
    uid : str
        *SOP Instance UID*.
    now : datetime
        Time of production, aware.
    """
    report = sr.MeasurementReport(
        observation_context=_observation_context(model),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.REPORT_TITLE,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(codes.ENGLISH),
        referenced_images=[header],
    )
    root = report[0]
    _add_film_descriptors(root, film)
    _insert_texts(root, summary)
    _separate(root)
    ds = sr.Comprehensive3DSR(
        evidence=[header],
        content=root,
        series_instance_uid=series[0],
        series_number=series[1],
        series_description=series[2],
        sop_instance_uid=uid,
        instance_number=instance_number(film),
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=model.version,
        is_complete=True,
        coding_schemes=[codes.private_scheme()],
        contributing_equipment=[equipment(model)],
    )
    return finish(ds, film, now)


def _observation_context(model: ModelVersion) -> sr.ObservationContext:
    """A device reports, never a person (TID 1001, 1004)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=PRODUCT,
        manufacturer_name=PRODUCT,
        model_name=f"{model.name} {model.version}",
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DEVICE, device))


def _groups(header: Dataset, reading: Reading, uid: str) -> list:
    """One group for each class that was scored, normality first."""
    return [
        _group(header, reading, number, label, uid)
        for number, step in enumerate((reading.step1, reading.step2), start=1)
        if step is not None
        for label in step.labels
        if label in codes.FINDINGS
    ]


def _group(
    header: Dataset, reading: Reading, number: int, label: str, uid: str
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Score and decision of one class (TID 1410).

    On a planar region, if need be the whole film: a viewer that shows regions only then shows every class.
    """
    step = reading.step1 if number == 1 else reading.step2
    evaluations = [sr.QualitativeEvaluation(codes.DECISION, _decision(reading.decision, label))]
    if label == "normal":
        evaluations.append(sr.QualitativeEvaluation(codes.NORMALITY, _normality(reading.decision)))
    if label == "other virus":
        evaluations.append(sr.QualitativeEvaluation(codes.MODEL_CLASS, codes.OTHER_VIRUS))
    measurements = [_score(step.scores[step.labels.index(label)], step.threshold)]
    outline, side = _whole_film(header.Rows, header.Columns), None
    if wording.has_region(reading) and (number, label) == (reading.activation_step, reading.activation_label):
        outline, side = wording.region_of(reading, header.Rows, header.Columns)
        measurements += _shares(reading)
    identifier = f"Step {number}: {label}"
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(derive_uid("tracking", uid, identifier), identifier),
        referenced_region=_image_region(header, outline),
        finding_type=codes.FINDINGS[label],
        algorithm_id=_algorithm(reading, step),
        finding_sites=[_lung(side)] if side else None,
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _whole_film(rows: int, columns: int) -> np.ndarray:
    """Closed outline of the whole film, (5, 2) float, column and row."""
    return np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], float)


def _image_region(header: Dataset, outline: np.ndarray) -> sr.ImageRegion:
    """A closed line on the film, in its pixels (PS3.3 C.18.6)."""
    source = sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, outline, source)


def _lung(side: str) -> sr.FindingSite:
    """The right, the left or both lungs as a place."""
    return sr.FindingSite(codes.LUNG, laterality=codes.LATERALITY[side])


def _algorithm(reading: Reading, step: StepScores) -> sr.AlgorithmIdentification:
    """Which algorithm, and with which thresholds (TID 4019)."""
    model = reading.model
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=PRODUCT,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[
            f"threshold {wording.threshold_text(step.threshold)} of 100",
            f"lungs found by {model.lungs}",
            f"inside lungs at least {wording.threshold_text(reading.least_inside)} %",
            f"weights sha256 {model.weights_sha256[:12]}",
        ],
    )


def _score(score: float, threshold: float) -> sr.Measurement:
    """The score of a class."""
    return _percentage(codes.CERTAINTY, score, wording.rounded_percent(score, threshold))


def _shares(reading: Reading) -> list[sr.Measurement]:
    """How much of the activation lies inside both lungs, and inside each."""
    inside = reading.inside
    both = wording.rounded_percent(inside.both, reading.least_inside)
    sides = [("both", inside.both, both)]
    sides += [(side, share, wording.rounded_percent(share)) for side, share in inside._asdict().items()]
    return [_percentage(codes.INSIDE_LUNGS, share, shown, _lung(side)) for side, share, shown in sides]


def _percentage(
    name: sr.CodedConcept, share: float, shown: Decimal, site: sr.FindingSite | None = None
) -> sr.Measurement:
    """A share in per cent: as shown in *Numeric Value*, in full in *Floating Point Value*."""
    sites = [site] if site else None
    measurement = sr.Measurement(name, float(share) * 100, codes.PERCENT, finding_sites=sites)
    measurement[0].MeasuredValueSequence[0].NumericValue = str(shown)
    return measurement


def _decision(decision: Decision, label: str) -> sr.CodedConcept:
    """What the decision says of one class."""
    refined = (Decision.COVID19, Decision.OTHER_VIRUS)
    if decision.indeterminate or (decision is Decision.VIRAL and label in refined):
        return codes.UNDETERMINED
    said = label == decision or (label == Decision.VIRAL and decision in refined)
    return codes.PRESENT if said else codes.ABSENT


def _normality(decision: Decision) -> sr.CodedConcept:
    """What the decision says of the film as a whole (PS3.16 CID 242)."""
    if decision.indeterminate:
        return codes.NORMALITY_UNDETERMINED
    return codes.NORMAL if decision is Decision.NORMAL else codes.ABNORMAL


def _add_film_descriptors(root: Dataset, film: Dataset) -> None:
    """View and orientation into the image library, where the film states them (TID 1603)."""
    library = sr.utils.find_content_items(root, name=codes.IMAGE_LIBRARY)[0]
    entry = library.ContentSequence[0].ContentSequence[0]
    for item in entry.ContentSequence:
        if item.ValueType == "NUM":  # highdicom writes 600 rows as 600.0
            value = item.MeasuredValueSequence[0]
            value.NumericValue = str(int(value.NumericValue))
    relationship = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
    view = codes.VIEWS.get(film.get("ViewPosition"))
    if view:
        entry.ContentSequence.append(sr.CodeContentItem(codes.IMAGE_VIEW, view, relationship))
    orientation = film.get("PatientOrientation")
    if isinstance(orientation, MultiValue) and len(orientation) == 2 and all(orientation):
        names = (codes.PATIENT_ORIENTATION_ROW, codes.PATIENT_ORIENTATION_COLUMN)
        for name, direction in zip(names, orientation, strict=True):
            entry.ContentSequence.append(sr.TextContentItem(name, direction, relationship))


def _insert_texts(root: Dataset, summary: tuple[str, ...]) -> None:
    """Comment and Summary, first of all that the report contains."""
    relationship = sr.RelationshipTypeValues.CONTAINS
    texts = [
        sr.TextContentItem(codes.COMMENT, COMMENT, relationship),
        # A reader sees lines; one that drops the line ends still sees sentences.
        sr.TextContentItem(codes.SUMMARY, "\r\n".join(summary), relationship),
    ]
    first = next(
        number
        for number, item in enumerate(root.ContentSequence)
        if item.RelationshipType == relationship.value
    )
    for number, item in enumerate(texts):
        root.ContentSequence.insert(first + number, item)


def _separate(item: Dataset) -> None:
    """Headings and paragraphs for every container: CONTINUOUS runs all text into one (PS3.3 C.18.8)."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)
