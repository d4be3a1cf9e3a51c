"""The Secondary Capture: the picture of a reading as an object every PACS shows (DICOM PS3.3 A.8.1)."""

import datetime
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from daemon.results import codes, kinds, not_analysed, picture, wording
from daemon.results.film import (
    complete_header,
    finish,
    instance,
    result_uid,
    series_uid,
    tell_body_part,
)
from daemon.results.lossy import LOSSY, compress
from daemon.results.template import StandIns, Template, of_film
from model.findings import ModelVersion, Reading
from model.scope import OutOfScope

KIND, OVERLAY_KIND, NOT_ANALYSED_KIND = kinds.SECONDARY_CAPTURE, kinds.OVERLAY, kinds.REFUSED_CAPTURE
SERIES_NUMBER, OVERLAY_SERIES_NUMBER = 9001, 9005
# Both films of the picture lie as the source does; what was lost in the source is lost in it, too.
COPIED_TO_PICTURE = ("PatientOrientation", *LOSSY)
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - heatmap"
OVERLAY_SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - overlay"


def build(
    film: Dataset,
    display: np.ndarray,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    longest_side: int = 1024,
    overlay_only: bool = False,
    modality: str = "OT",
    jpeg: bool = False,
    predecessors: Sequence[Dataset] = (),
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
    overlay_only : bool
        The film once, under the activation, in a series of its own; otherwise also as it is.
    modality : str
        The film's own where hanging protocols want it.
    jpeg : bool
        Lossy, a fifteenth of the size.
    predecessors : sequence of Dataset
        Pictures of the same film by earlier versions of a model, which this one stands for; itself not.

    Returns
    -------
    Dataset
        Secondary Capture Image Storage with file meta, RGB in Explicit VR Little Endian or YBR_FULL_422
        in JPEG Baseline; the same bytes for the same arguments.

    Raises
    ------
    ValueError
        If `longest_side` is below 512, or the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.8.1, C.8.6.1 and C.7.6.1.
    """
    model = reading.model
    if overlay_only:
        kind, number, description = OVERLAY_KIND, OVERLAY_SERIES_NUMBER, OVERLAY_SERIES_DESCRIPTION
        drawn = picture.draw_overlay(display, reading, now, longest_side)
    else:
        kind, number, description = KIND, SERIES_NUMBER, SERIES_DESCRIPTION
        drawn = picture.draw(display, reading, now, longest_side)
    series = (kind, number, description)
    ds = _capture(film, drawn, series, "", _derivation(reading), model, film_digest, now, modality, jpeg)
    earlier = [one for one in predecessors if one.SOPInstanceUID != ds.SOPInstanceUID]
    if earlier:
        ds.ReferencedImageSequence = [_reference(one, codes.EARLIER_RESULT) for one in earlier]
        ds.CodingSchemeIdentificationSequence = [codes.private_scheme()]
    return ds


def build_not_analysed(
    film: Dataset,
    display: np.ndarray,
    refusal: OutOfScope,
    model: ModelVersion,
    film_digest: str,
    now: datetime.datetime,
    *,
    longest_side: int = 1024,
    modality: str = "OT",
    jpeg: bool = False,
) -> Dataset:
    """Draw why a film is not read and make it an instance of the film's study.

    Takes and returns what `build` does, but a refusal and the model instead of a reading. A film that is
    later refused for another reason gets another picture.

    Raises
    ------
    not_analysed.NotReportable
        If the header names no study, no instance or no matrix.
    ValueError
        If `longest_side` is below 512.
    """
    not_analysed.check_reportable(film)
    drawn = picture.draw_not_analysed(display, refusal, model, now, longest_side)
    # Another series than the report's: a series holds one modality.
    series = (NOT_ANALYSED_KIND, not_analysed.SERIES_NUMBER, not_analysed.SERIES_DESCRIPTION)
    derivation = f"Not analysed: {refusal.reason}; model {model.name}, {wording.model_text(model)}"
    return _capture(film, drawn, series, refusal.code, derivation, model, film_digest, now, modality, jpeg)


def _capture(
    film: Dataset,
    drawn: np.ndarray,
    series: tuple[str, int, str],
    variant: str,
    derivation: str,
    model: ModelVersion,
    film_digest: str,
    now: datetime.datetime,
    modality: str,
    jpeg: bool,
) -> Dataset:
    """A picture as an instance of the series of its kind, number and description."""
    kind, number, description = series
    # Other pixels under one UID, or two modalities in one series, would be a conflict in the PACS.
    kind = kind if modality == "OT" else f"{kind} {modality}"
    own = " ".join(filter(None, (kind, variant, "JPEG" if jpeg else "")))
    uid = result_uid(film, film_digest, model, own)
    template = _template(str(film.SOPClassUID), model, number, description, modality)
    own = {"capture": uid, "captures": series_uid(film, model, kind), "derivation": derivation}
    ds = template.filled(of_film(film) | own)
    ds.Rows, ds.Columns = drawn.shape[:2]
    ds.add_new("PixelData", "OB", drawn.tobytes())  # 8 bits in Explicit VR (PS3.5 A.2)
    part = tell_body_part(ds, model)
    if not jpeg:
        return finish(ds, film, now, also=COPIED_TO_PICTURE + part)
    compress(ds, drawn, film)
    return finish(ds, film, now, also=("PatientOrientation", *part))


@lru_cache(maxsize=64)
def _template(
    sop_class_uid: str, model: ModelVersion, number: int, description: str, modality: str
) -> Template:
    """A picture of no size, with gaps for what each film has of its own."""
    stand_ins = StandIns()
    film = stand_ins.film(sop_class_uid)
    series = (stand_ins.uid("captures"), number, description)
    header = complete_header(film)
    ds = SCImage(
        pixel_array=np.zeros((1, 1, 3), np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom insists; the film's own or none takes its place
        study_instance_uid=header.StudyInstanceUID,
        **instance(film, model, stand_ins.uid("capture"), series),
    )
    ds.Modality = modality
    ds.ConversionType = "WSD"
    ds.PatientOrientation = None
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.SourceImageSequence = [_source(header)]
    ds.DerivationDescription = stand_ins.text("derivation")
    del ds.PixelData
    return Template(ds, stand_ins)


def _source(header: Dataset) -> Dataset:
    """The film as the source of the picture; no pixel of it lies where it lay (PS3.3 C.7.6.1.1.4)."""
    item = _reference(header, codes.SOURCE_IMAGE)
    item.SpatialLocationsPreserved = "NO"
    return item


def _reference(image: Dataset, purpose: CodedConcept) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _derivation(reading: Reading) -> str:
    """What was done to the film, ASCII, at most 1024 characters (VR ST)."""
    model = reading.model
    parts = [
        f"Model {model.name}, {wording.model_text(model)}",
        f"activation for {wording.activation_source(reading)}, {model.method}",
        *wording.lungs_texts(model, reading.least_inside),
        f"step 1 threshold {wording.threshold_text(reading.step1.threshold)} of 100",
    ]
    if reading.step2:
        parts.append(f"step 2 threshold {wording.threshold_text(reading.step2.threshold)} of 100")
    return "; ".join(parts)[:1024]
