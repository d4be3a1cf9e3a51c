"""The Presentation State: outlines on the film itself, displayed as without them (DICOM PS3.3 A.33.1)."""

import datetime
from fractions import Fraction

import numpy as np
from highdicom import PresentationLUTShapeValues, PresentationLUTTransformation
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from daemon.results import kinds, overlay, wording
from daemon.results.contours import closed_lines
from daemon.results.film import (
    complete_header,
    device_uid,
    finish,
    instance,
    result_uid,
    series_uid,
    tell_body_part,
)
from model.activation import CONTOUR_LEVEL, spread
from model.findings import Reading
from model.header import UNREADABLE_VALUE, items, numbers
from model.lungs import either_lung
from model.pixels import first_window, inverse, lut_entries, pixel_sides

KIND = kinds.PRESENTATION_STATE
SERIES_NUMBER = 9004
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - outline"
MOST_POINTS = 200  # viewers draw and save every point of a line
# Left, top, right, bottom as shares of the display: below the lungs, away from the markers in the corners.
TEXT_BOX = (0.02, 0.93, 0.98, 0.99)
LAYERS = (
    GraphicLayer("LUNGS", 1, "Lung outline"),
    GraphicLayer("ACTIVATION", 2, "50 % contour of the class activation"),
    # Of its own, so that no one hides what this is not together with a line.
    GraphicLayer("STATEMENT", 3, "Model score, model and time"),
)


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    rows: int,
    columns: int,
) -> Dataset | None:
    """Draw lungs and activation of a reading on the film in the film's study.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why), with its file meta
        information.
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the *SOP Instance UID*.
    now : datetime
        Time of production, aware, in the local time to be shown.
    rows, columns : int
        Matrix of the film, pixels; lines are given in it.

    Returns
    -------
    Dataset or None
        Grayscale Softcopy Presentation State Storage with file meta, Explicit VR Little Endian; the same
        bytes for the same arguments. None where the reading has no region to point at.

    Raises
    ------
    ValueError
        If the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.33.1, C.10.4, C.10.5, C.11.1, C.11.6 and C.11.8.
    """
    if not wording.has_region(reading):
        return None
    header = complete_header(film)
    header.Rows, header.Columns, header.SamplesPerPixel = rows, columns, 1
    model = reading.model
    shape = PresentationLUTShapeValues.INVERSE if inverse(film) else PresentationLUTShapeValues.IDENTITY
    ds = GrayscaleSoftcopyPresentationState(
        referenced_images=[header],
        content_label="OUTLINE",
        content_description=f"{wording.shown(model)}, not for diagnosis",
        graphic_layers=LAYERS if model.lungs else LAYERS[1:],
        graphic_annotations=_annotations(header, reading, now),
        voi_lut_transformations=_window(film),
        presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=shape),
        device_serial_number=device_uid(model),
        **instance(film, model, result_uid(film, film_digest, model, KIND),
                   (series_uid(film, model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION)),
    )  # fmt: skip
    part = tell_body_part(ds, model)
    _display_as_the_film(ds, film)
    return finish(ds, film, now, also=_rescale(film) + part)


def _annotations(header: Dataset, reading: Reading, now: datetime.datetime) -> list[GraphicAnnotation]:
    """Lungs, activation and statement, each on its layer; no lungs found, no layer used."""
    lungs = overlay.smooth(either_lung(reading.lungs))
    activation = spread(reading.activation, *lungs.shape)
    statement = TextObject(
        "\r\n".join(_statement(reading, now)), "DISPLAY", bounding_box=TEXT_BOX, text_justification="CENTER"
    )
    drawn = [
        _lines(closed_lines(lungs, overlay.MIDDLE, header.Rows, header.Columns, MOST_POINTS)),
        _lines(closed_lines(activation, CONTOUR_LEVEL, header.Rows, header.Columns, MOST_POINTS)),
        [statement],
    ]
    return [
        GraphicAnnotation(
            [header],
            layer,
            graphic_objects=[item for item in objects if isinstance(item, GraphicObject)],
            text_objects=[item for item in objects if isinstance(item, TextObject)],
        )
        for layer, objects in zip(LAYERS, drawn, strict=True)
        if objects
    ]


def _lines(lines: list[np.ndarray]) -> list[GraphicObject]:
    return [GraphicObject("POLYLINE", line, "PIXEL") for line in lines]


def _statement(reading: Reading, now: datetime.datetime) -> tuple[str, ...]:
    """What it is not, what the model said, which model and when."""
    model = reading.model
    return (
        wording.RESEARCH_USE,
        wording.headline_with_score(reading),
        f"{model.name} {model.version}  {now:%Y-%m-%d %H:%M}",
    )


def _window(film: Dataset) -> list[SoftcopyVOILUTTransformation] | None:
    """The film's first window: a viewer that applies the state shows the film as without it."""
    try:
        centre, width, function = first_window(film)
    except ValueError:
        return None
    return [SoftcopyVOILUTTransformation(centre, width, voi_lut_function=function)]


def _display_as_the_film(ds: Dataset, film: Dataset) -> None:
    """Tables and pixel sides of the film, which highdicom does not take over or takes for granted."""
    voi = _table(film, "VOILUTSequence")
    if voi is not None:  # outranks the window, as it does in the picture
        ds.SoftcopyVOILUTSequence = [Dataset()]
        ds.SoftcopyVOILUTSequence[0].VOILUTSequence = [voi]
    modality = _table(film, "ModalityLUTSequence")
    if modality is not None:
        modality.ModalityLUTType = "US"
        ds.ModalityLUTSequence = [modality]
    area = ds.DisplayedAreaSelectionSequence[0]
    tall, wide, _ = pixel_sides(film)
    if numbers(film, "PixelSpacing") == [tall, wide]:
        # Only what was calibrated: a viewer measures with it.
        area.PresentationPixelSpacing = [format_number_as_ds(side) for side in (tall, wide)]
        del area.PresentationPixelAspectRatio
    else:
        ratio = Fraction(tall / wide).limit_denominator(1000)
        area.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]


def _table(film: Dataset, keyword: str) -> Dataset | None:
    """The film's first table as an item; None where it has none that can be read."""
    if not items(film, keyword):
        return None
    try:
        entries, start, bits = lut_entries(film, keyword)
    except UNREADABLE_VALUE:
        return None
    item = Dataset()
    signed = start < 0
    length = len(entries) - 2**16 if signed and len(entries) >= 2**15 else len(entries) % 2**16
    item.add_new("LUTDescriptor", "SS" if signed else "US", [length, start, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def _rescale(film: Dataset) -> tuple[str, ...]:
    """Elements of the film's rescale, where that is what makes modality values (PS3.3 C.11.1)."""
    slope, intercept = numbers(film, "RescaleSlope")[:1], numbers(film, "RescaleIntercept")[:1]
    if _table(film, "ModalityLUTSequence") is not None or not intercept or slope in ([], [0.0]):
        return ()
    return ("RescaleIntercept", "RescaleSlope", "RescaleType")
