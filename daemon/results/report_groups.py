"""What a report says of each class (PS3.16 TID 1410): its codes, and the values that go into them."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset

from daemon.results import codes, wording
from daemon.results.film import PRODUCT, derive_uid
from daemon.results.template import StandIns, Value
from model.activation import Region
from model.cascade import Cascade, Label
from model.findings import Decision, ModelVersion, Reading

WHOLE_FILM, REGION = "whole film", "region"


@dataclass(frozen=True)
class Step:
    """A step that was run: its number, classes and threshold."""

    number: int
    labels: tuple[str, ...]
    threshold: float

    def identifiers(self, cascade: Cascade) -> Iterator[tuple[Label, str]]:
        """Of each class that is reported its label and *Tracking Identifier*."""
        return (
            (cascade.label(name), class_identifier(self.number, name))
            for name in self.labels
            if cascade.label(name).code
        )


@dataclass(frozen=True)
class Said:
    """What readings have in common whose groups differ in nothing but scores, places and UIDs.

    Parameters
    ----------
    model : ModelVersion
    steps : tuple of Step
    decision : Decision
    pointed_at : str
        *Tracking Identifier* of the class that has a region; empty where none has.
    side : str or None
        Lung that the region lies in.
    least_inside : float
    retrospective : bool
    """

    model: ModelVersion
    steps: tuple[Step, ...]
    decision: Decision
    pointed_at: str
    side: str | None
    least_inside: float
    retrospective: bool


def said(reading: Reading, region: Region | None, retrospective: bool) -> Said:
    """What `reading` has in common with others; `region` is the place that it points at, if it does."""
    steps = tuple(
        Step(number, step.labels, step.threshold)
        for number, step in enumerate((reading.step1, reading.step2), start=1)
        if step is not None
    )
    pointed_at = class_identifier(reading.activation_step, reading.activation_label) if region else ""
    side = region.side if region else None
    return Said(reading.model, steps, reading.decision, pointed_at, side, reading.least_inside, retrospective)


def values(reading: Reading, region: Region | None, uid: str, rows: int, columns: int) -> dict[str, Value]:
    """What stands in the gaps that `groups` leaves.

    Parameters
    ----------
    reading : Reading
    region : Region or None
        In pixels of the film.
    uid : str
        *SOP Instance UID* of the reading's report.
    rows, columns : int
        Matrix of the film, pixels.
    """
    whole = [(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)]
    found: dict[str, Value] = {WHOLE_FILM: np.array(whole)}
    for number, step in enumerate((reading.step1, reading.step2), start=1):
        for label, score in zip(step.labels, step.scores, strict=True) if step else ():
            identifier = class_identifier(number, label)
            found[f"uid of {identifier}"] = tracking_uid(uid, identifier)
            found |= _percentage(identifier, score, wording.rounded_percent(score, step.threshold))
    if region:
        found[REGION] = region.outline
    if region and reading.inside:
        inside = reading.inside
        both = wording.rounded_percent(inside.both, reading.least_inside)
        found |= _percentage("inside both", inside.both, both)
        for side, share in inside._asdict().items():
            found |= _percentage(f"inside {side}", share, wording.rounded_percent(share))
    return found


def groups(
    said: Said, header: Dataset, stand_ins: StandIns
) -> list[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """One group for each class that was scored, normality first.

    Parameters
    ----------
    said : Said
    header : Dataset
        `film.complete_header`.
    stand_ins : StandIns
        Gets those of what `values` gives.
    """
    whole, place = stand_ins.line(WHOLE_FILM), stand_ins.line(REGION)
    return [
        _group(
            said,
            step,
            label,
            identifier,
            image_region(header, place if identifier == said.pointed_at else whole),
            stand_ins,
        )
        for step in said.steps
        for label, identifier in step.identifiers(said.model.cascade)
    ]


def class_identifier(step: int, label: str) -> str:
    """*Tracking Identifier* of what the report says of one class."""
    return f"Step {step}: {label}"


def tracking_uid(report_uid: str, identifier: str) -> str:
    """*Tracking UID*, the same in every result of one reading.

    Parameters
    ----------
    report_uid : str
        *SOP Instance UID* of the reading's report, whether or not there is one.
    identifier : str
    """
    return derive_uid("tracking", report_uid, identifier)


def occasion(retrospective: bool) -> list[sr.QualitativeEvaluation]:
    """Said of the film as a whole where it is out of the ordinary."""
    return [sr.QualitativeEvaluation(codes.OCCASION, codes.RETROSPECTIVE)] if retrospective else []


def _group(
    said: Said, step: Step, label: Label, identifier: str, region: sr.ImageRegion, stand_ins: StandIns
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Score and decision of one class (TID 1410).

    On a planar region, if need be the whole film: a viewer that shows regions only then shows every class.
    """
    evaluations = [sr.QualitativeEvaluation(codes.DECISION, _decision(said, label.name))]
    if label.name == said.model.cascade.absence:
        evaluations.append(sr.QualitativeEvaluation(codes.NORMALITY, _normality(said)))
        if said.model.lungs:  # a film whose picture is refused has no reading; `not_analysed` says why
            evaluations.append(sr.QualitativeEvaluation(codes.PICTURE_CHECK, codes.ACCEPTED))
        evaluations += occasion(said.retrospective)
    if label.narrowed_by:
        narrower = codes.concept(label.narrowed_by)
        evaluations.append(sr.QualitativeEvaluation(codes.MODEL_CLASS, narrower))
    measurements = [measurement(codes.CERTAINTY, identifier, stand_ins, codes.PERCENT)]
    is_pointed_at = identifier == said.pointed_at
    if is_pointed_at and said.model.lungs:
        # How much of the activation lies inside both lungs, and inside each.
        measurements += [
            measurement(codes.INSIDE_LUNGS, f"inside {side}", stand_ins, codes.PERCENT, lung(side))
            for side in ("both", "right", "left")
        ]
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(stand_ins.uid(f"uid of {identifier}"), identifier),
        referenced_region=region,
        finding_type=codes.concept(label.code),
        algorithm_id=_algorithm(said, step),
        finding_sites=[lung(said.side)] if is_pointed_at and said.side else None,
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def image_region(header: Dataset, outline: np.ndarray) -> sr.ImageRegion:
    """A closed line on the film, in its pixels (PS3.3 C.18.6)."""
    source = sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, outline, source)


def lung(side: str) -> sr.FindingSite:
    """The right, the left or both lungs as a place."""
    return sr.FindingSite(codes.LUNG, laterality=codes.LATERALITY[side])


def _algorithm(said: Said, step: Step) -> sr.AlgorithmIdentification:
    """Which algorithm, and with which thresholds (TID 4019)."""
    model = said.model
    lungs = wording.lungs_texts(model, said.least_inside)
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=PRODUCT,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[
            f"threshold {wording.threshold_text(step.threshold)} of 100",
            *lungs,
            f"weights sha256 {model.weights_sha256[:12]}",
        ],
    )


def measurement(
    name: sr.CodedConcept,
    what: str,
    stand_ins: StandIns,
    unit: sr.CodedConcept,
    site: sr.FindingSite | None = None,
) -> sr.Measurement:
    """A figure: as shown in *Numeric Value*, in full in *Floating Point Value* (TID 300)."""
    sites = [site] if site else None
    made = sr.Measurement(name, stand_ins.number(what), unit, finding_sites=sites)
    made[0].MeasuredValueSequence[0].NumericValue = stand_ins.text(f"{what} as shown")
    return made


def _percentage(what: str, share: float, shown: Decimal) -> dict[str, Value]:
    return {what: float(share) * 100, f"{what} as shown": str(shown)}


def _decision(said: Said, label: str) -> sr.CodedConcept:
    """What the decision says of one class."""
    decision, after, refined = said.decision, said.model.cascade.after, said.model.cascade.labels(2)
    if decision.indeterminate or (decision == after and label in refined):
        return codes.UNDETERMINED
    is_said = label == decision or (label == after and decision in refined)
    return codes.PRESENT if is_said else codes.ABSENT


def _normality(said: Said) -> sr.CodedConcept:
    """What the decision says of the film as a whole (PS3.16 CID 242)."""
    if said.decision.indeterminate:
        return codes.NORMALITY_UNDETERMINED
    return codes.NORMAL if said.decision == said.model.cascade.absence else codes.ABNORMAL
