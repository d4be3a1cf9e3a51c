"""The Encapsulated PDF: the picture of a reading and its sentences on one page (DICOM PS3.3 A.45.1)."""

import datetime
from functools import cache
from io import BytesIO

import font_roboto
import numpy as np
from highdicom import SOPClass
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from daemon.results import codes, kinds, picture, wording
from daemon.results.film import PRODUCT, complete_header, finish, instance, result_uid, series_uid
from daemon.results.languages import ENGLISH, LANGUAGES, Sentences
from model.findings import Reading

KIND = kinds.PDF
SERIES_NUMBER = 9007
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - summary"
# Lengths in points.
WIDTH, HEIGHT = A4
MARGIN, GAP = 40, 14
BANNER_HEIGHT, LEADING = 28, 14
REGULAR, BOLD = "Roboto", "RobotoBold"


def build(
    film: Dataset,
    display: np.ndarray,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    longest_side: int = 1024,
    language: str = "en",
    retrospective: bool = False,
) -> Dataset:
    """Print a reading on one page in the film's study.

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
    language : str
        One of `languages.LANGUAGES`, for the sentences; the page brings its own letters.
    retrospective : bool
        Whether the film was asked of the archive.

    Returns
    -------
    Dataset
        Encapsulated PDF Storage with file meta, Explicit VR Little Endian; the same bytes for the same
        arguments.

    Raises
    ------
    ValueError
        If `longest_side` is below 512, or the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.45.1 and C.24.2.
    """
    header = complete_header(film)
    model = reading.model
    described = instance(film, model, result_uid(film, film_digest, model, _variant(language)),
                         (series_uid(film, model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION))  # fmt: skip
    equipment = described.pop("contributing_equipment")
    ds = SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **described,
    )
    ds.ContributingEquipmentSequence = equipment
    ds.ConversionType = "WSD"
    ds.ContentDate = ds.ContentTime = None
    ds.AcquisitionDateTime = None
    ds.BurnedInAnnotation = "YES"  # as in the picture: there is text on it
    ds.RecognizableVisualFeatures = "NO"
    ds.VerificationFlag = "UNVERIFIED"
    ds.DocumentTitle = f"{PRODUCT}, {wording.RESEARCH_USE}"
    ds.ConceptNameCodeSequence = [codes.REPORT_TITLE]
    ds.SourceInstanceSequence = [_source(header)]
    sentences = LANGUAGES[language]
    summary = wording.summary(reading, sentences, retrospective)
    document = page(picture.draw(display, reading, now, longest_side), summary, sentences)
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    ds.EncapsulatedDocumentLength = len(document)
    return finish(ds, film, now)


def page(drawn: np.ndarray, summary: tuple[str, ...], language: Sentences) -> bytes:
    """The page: picture, sentences, and a banner below them as the picture has one above.

    Parameters
    ----------
    drawn : (rows, columns, 3) uint8
        The picture of the reading, which says when and by which model.
    summary : tuple of str
        Of `wording.summary`.
    language : Sentences
        That it is in.

    Returns
    -------
    bytes
        A PDF of one page, A4, with its fonts; the same bytes for the same arguments.
    """
    _register_fonts()
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=A4, pageCompression=1, invariant=1, lang=language.code.value)
    canvas.setTitle(SERIES_DESCRIPTION)
    canvas.setAuthor(PRODUCT)
    canvas.setCreator(PRODUCT)
    end = _draw_picture(canvas, drawn)
    _draw_text(canvas, summary, end - GAP / 2)
    _draw_banner(canvas, language)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def _variant(language: str) -> str:
    """Another text under one UID would be a conflict in the PACS."""
    return KIND if language == ENGLISH.code.value else f"{KIND} {language}"


def _source(header: Dataset) -> Dataset:
    """The film as the source of the page (PS3.3 C.24.2)."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE]
    return item


@cache
def _register_fonts() -> None:
    for face in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(face, font_roboto.font_files[face]))


def _draw_picture(canvas: Canvas, drawn: np.ndarray) -> float:
    """The picture across the page; where it ends. It is never higher than wide."""
    rows, columns = drawn.shape[:2]
    width = WIDTH - 2 * MARGIN
    height = width * rows / columns
    bottom = HEIGHT - MARGIN - height
    canvas.drawImage(ImageReader(Image.fromarray(drawn)), MARGIN, bottom, width, height)
    return bottom


def _draw_text(canvas: Canvas, summary: tuple[str, ...], top: float) -> None:
    """The sentences of the Summary, the first one bold."""
    canvas.setFillGray(0)
    baseline = top - GAP
    for number, line in enumerate(summary):
        face, size = (REGULAR, 10) if number else (BOLD, 13)
        canvas.setFont(face, size)
        for part in simpleSplit(line, face, size, WIDTH - 2 * MARGIN):
            canvas.drawString(MARGIN, baseline, part)
            baseline -= LEADING
        baseline -= 4


def _draw_banner(canvas: Canvas, language: Sentences) -> None:
    """What it is not and that no person has looked, light on dark as in the picture, in English too."""
    lines = [wording.NOT_REVIEWED]
    if language is not ENGLISH:
        lines += [language.research_use, language.not_reviewed]
    height = BANNER_HEIGHT + LEADING * len(lines)
    canvas.setFillGray(picture.BANNER / 255)
    canvas.rect(MARGIN, MARGIN, WIDTH - 2 * MARGIN, height, stroke=0, fill=1)
    canvas.setFillGray(picture.TEXT / 255)
    canvas.setFont(BOLD, 16)
    canvas.drawCentredString(WIDTH / 2, MARGIN + height - 20, wording.RESEARCH_USE)
    canvas.setFont(REGULAR, 10)
    for number, line in enumerate(lines, start=1):
        canvas.drawCentredString(WIDTH / 2, MARGIN + height - 21 - LEADING * number, line)
