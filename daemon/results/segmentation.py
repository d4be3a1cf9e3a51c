"""The Segmentation: lungs and region as masks over the film's whole matrix (DICOM PS3.3 A.51)."""

import datetime
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from PIL import Image
from pydicom.dataset import Dataset

from daemon.results import codes, kinds, overlay, report_groups, structured_report, wording
from daemon.results.film import (
    PRODUCT,
    complete_header,
    derive_uid,
    device_uid,
    finish,
    instance,
    result_uid,
    series_uid,
)
from daemon.results.lossy import LOSSY
from model.activation import CONTOUR_LEVEL, spread
from model.findings import Reading
from model.lungs import SIDES

KIND = kinds.SEGMENTATION
SERIES_NUMBER = 9003
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - regions"
# The masks lie as the film does; what was lost in the film is lost in what was found there.
COPIED_FROM_FILM = ("PatientOrientation", *LOSSY)


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    rows: int,
    columns: int,
) -> Dataset | None:
    """Give lungs and region of a reading as segments in the film's study.

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
        Matrix of the film, pixels.

    Returns
    -------
    Dataset or None
        Segmentation Storage, BINARY, with file meta, Explicit VR Little Endian; the same bytes for the same
        arguments. None where neither a lung nor a region was found.

    Raises
    ------
    ValueError
        If the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.51 and C.8.20; PS3.16 CID 7150, 7155 and 217.
    """
    segments = _lungs(reading, rows, columns)
    if wording.has_region(reading):
        segments.append(_region(reading, rows, columns))
    if not segments:
        return None
    header = complete_header(film)
    header.Rows, header.Columns = rows, columns
    model = reading.model
    report_uid = result_uid(film, film_digest, model, structured_report.KIND)
    ds = Segmentation(
        source_images=[header],
        pixel_array=np.stack([segment.mask for segment in segments], axis=-1)[np.newaxis],  # (1, h, w, n)
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(number, segment, report_uid) for number, segment in enumerate(segments, start=1)
        ],
        omit_empty_frames=False,
        content_label="REGIONS",
        content_description=f"{wording.shown(model)}, not for diagnosis",
        device_serial_number=device_uid(model),
        **instance(film, model, result_uid(film, film_digest, model, KIND),
                   (series_uid(film, model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION)),
    )  # fmt: skip
    ds.PatientOrientation = None
    _derive_dimension_uid(ds)
    ds["PixelData"].VR = "OW"  # one bit a pixel in Explicit VR (PS3.5 A.2)
    return finish(ds, film, now, also=COPIED_FROM_FILM)


def _derive_dimension_uid(ds: Dataset) -> None:
    """The same UID for the same object, where highdicom takes a new one each time."""
    uid = derive_uid("dimensions", ds.SOPInstanceUID)
    for item in (*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


class _Segment(NamedTuple):
    """A mask, (rows, columns) bool, what it shows and who found it."""

    mask: np.ndarray
    label: str
    identifier: str
    category: CodedConcept
    kind: CodedConcept
    side: CodedConcept | None
    algorithm: str
    version: str


def _lungs(reading: Reading, rows: int, columns: int) -> list[_Segment]:
    """Each lung that was found."""
    algorithm, _, version = reading.model.lungs.rpartition(" ")
    found = []
    for number, side in enumerate(SIDES):
        lung = reading.lungs[..., number]
        if lung.any():
            field = Image.fromarray(overlay.smooth(lung)).resize((columns, rows), Image.Resampling.BICUBIC)
            label = f"{side.capitalize()} lung"
            found.append(
                _Segment(
                    np.asarray(field) >= overlay.MIDDLE,
                    label,
                    label,
                    codes.ANATOMICAL_STRUCTURE,
                    codes.LUNG,
                    codes.LATERALITY[side],
                    algorithm,
                    version,
                )
            )
    return found


def _region(reading: Reading, rows: int, columns: int) -> _Segment:
    """What lies within the 50 % contour of the activation."""
    return _Segment(
        spread(reading.activation, rows, columns) >= CONTOUR_LEVEL,
        f"Class activation for {wording.activation_source(reading)}, at 50 %",
        report_groups.class_identifier(reading.activation_step, reading.activation_label),
        codes.SPATIAL_CONCEPT,
        codes.CLASS_ACTIVATION,
        None,
        reading.model.name,
        reading.model.version,
    )


def _description(number: int, segment: _Segment, report_uid: str) -> SegmentDescription:
    """One item of *Segment Sequence* (PS3.3 C.8.20.4)."""
    algorithm = AlgorithmIdentificationSequence(
        name=segment.algorithm,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=segment.version,
        source=PRODUCT,
    )
    description = SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=segment.category,
        segmented_property_type=deepcopy(segment.kind),  # gets a side of its own
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=segment.identifier,
        tracking_uid=report_groups.tracking_uid(report_uid, segment.identifier),
    )
    if segment.side:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [segment.side]
    return description
