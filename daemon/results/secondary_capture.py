"""The Secondary Capture: the picture of a reading as an object every PACS shows (DICOM PS3.3 A.8.1)."""

import datetime

import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset

from daemon.results import codes, picture, wording
from daemon.results.film import (
    PRODUCT,
    complete_header,
    equipment,
    finish,
    instance_number,
    result_uid,
    series_uid,
)
from model.findings import Reading

KIND = "SC"
SERIES_NUMBER = 9001
# Both films of the picture lie as the source does; what was lost in the source is lost in it, too.
COPIED_TO_PICTURE = (
    "PatientOrientation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - heatmap"


def build(
    film: Dataset,
    display: np.ndarray,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    longest_side: int = 1024,
) -> Dataset:
    """Draw a reading and make it an instance of the film's study.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why).
    display : (rows, columns) uint8
        The film as a viewer shows it, square pixels, black at 0; a longest side of 1024 is enough.
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the *SOP Instance UID*.
    now : datetime
        Time of production, aware, in the local time to be shown.
    longest_side : int
        Longest side of the picture, pixels, at least 512.

    Returns
    -------
    Dataset
        Secondary Capture Image Storage with file meta, RGB, Explicit VR Little Endian; the same bytes for the
        same arguments.

    Raises
    ------
    ValueError
        If `longest_side` is below 512, or the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.8.1, C.8.6.1 and C.7.6.1.
    """
    header = complete_header(film)
    ds = SCImage(
        pixel_array=picture.draw(display, reading, now, longest_side),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom insists; the film's own or none takes its place
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=series_uid(film, reading.model, KIND),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=result_uid(film, film_digest, reading.model, KIND),
        instance_number=instance_number(film),
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=reading.model.version,
        contributing_equipment=[equipment(reading.model)],
    )
    ds.ConversionType = "WSD"
    ds.BodyPartExamined = "CHEST"
    ds.PatientOrientation = None
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.SourceImageSequence = [_source(header)]
    ds.DerivationDescription = _derivation(reading)
    ds["PixelData"].VR = "OB"  # 8 bits in Explicit VR (PS3.5 A.2)
    return finish(ds, film, now, also=COPIED_TO_PICTURE)


def _source(header: Dataset) -> Dataset:
    """The film as the source of the picture; no pixel of it lies where it lay (PS3.3 C.7.6.1.1.4)."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.SpatialLocationsPreserved = "NO"
    item.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE]
    return item


def _derivation(reading: Reading) -> str:
    """What was done to the film, ASCII, at most 1024 characters (VR ST)."""
    model = reading.model
    parts = [
        f"Model {model.name}, {wording.model_text(model)}",
        f"activation for {wording.activation_source(reading)}, {model.method}",
        f"lungs found by {model.lungs}",
        f"threshold inside the lungs {wording.threshold_text(reading.least_inside)} %",
        f"step 1 threshold {wording.threshold_text(reading.step1.threshold)} of 100",
    ]
    if reading.step2:
        parts.append(f"step 2 threshold {wording.threshold_text(reading.step2.threshold)} of 100")
    return "; ".join(parts)[:1024]
