"""The Structured Report: a reading in codes, for machines, and in a few sentences, for people.

Comprehensive 3D SR by TID 1500 (DICOM PS3.16), primary result of the IHE AI Results profile. Its regions are
two-dimensional and no item refers to another, so that older classes hold the same content.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from daemon.results import codes, kinds, report_groups, texture_groups, wording
from daemon.results.film import (
    PRODUCT,
    complete_header,
    device_uid,
    finish,
    instance,
    result_uid,
    series_uid,
)
from daemon.results.languages import ENGLISH, LANGUAGES, Sentences, character_set, fitting
from daemon.results.template import StandIns, Template, of_film
from model.findings import ModelVersion, Reading
from model.texture.features import Textures

KIND = kinds.STRUCTURED_REPORT
SERIES_NUMBER = 9002
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - report"
IODS = {
    "comprehensive-3d": sr.Comprehensive3DSR,
    "comprehensive": sr.ComprehensiveSR,
    "enhanced": sr.EnhancedSR,
}
_PREDECESSOR = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_DIRECTIONS = {
    "direction of rows": codes.PATIENT_ORIENTATION_ROW,
    "direction of columns": codes.PATIENT_ORIENTATION_COLUMN,
}


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    rows: int,
    columns: int,
    iod: str = "comprehensive-3d",
    language: str = "en",
    retrospective: bool = False,
    predecessors: Sequence[Dataset] = (),
    textures: Textures = MappingProxyType({}),
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
    iod : str
        One of `IODS`, for a PACS that refuses Comprehensive 3D SR; the content is the same.
    language : str
        One of `languages.LANGUAGES`, for the *Summary*; where the film's character set lacks one of its
        letters, the *Summary* is English.
    retrospective : bool
        Whether the film was asked of the archive.
    predecessors : sequence of Dataset
        Reports on the same film by earlier versions of a model, which this one stands for; itself not.
    textures : Textures
        What `model.texture.regions.textures` finds in the lungs and the region of the reading; empty for a
        report without.

    Returns
    -------
    Dataset
        Comprehensive 3D, Comprehensive or Enhanced SR Storage with file meta, Explicit VR Little Endian; the
        same bytes for the same arguments.

    Raises
    ------
    ValueError
        If the activation holds NaN or infinity.

    References
    ----------
    DICOM PS3.3 A.35.13, A.35.3 and A.35.2; PS3.16 TID 1500, 1204, 1410, 1600 and 4019.
    """
    report_uid = result_uid(film, film_digest, reading.model, KIND)
    summary = wording.summary(reading, LANGUAGES[language], retrospective)
    sentences = fitting(film, language, summary)
    if sentences is not LANGUAGES[language]:
        summary = wording.summary(reading, sentences, retrospective)
    kind = variant(KIND, iod, sentences.code.value, bool(textures))
    uid = result_uid(film, film_digest, reading.model, kind)
    region = wording.region_of(reading, rows, columns)
    directions, view = _directions(film), film.get("ViewPosition")
    common = _Common(
        report_groups.said(reading, region, retrospective),
        iod,
        sentences.code.value,
        str(film.SOPClassUID),
        view if view in codes.VIEWS else "",
        bool(directions),
        texture_groups.measured(textures, region),
        tuple(_names(one) for one in predecessors if one.SOPInstanceUID != uid),
    )
    values = {
        "report": uid,
        "series of the report": series_uid(film, reading.model, KIND),
        "rows": str(rows),
        "columns": str(columns),
        "summary": _lines(summary),
        **of_film(film),
        **dict(zip(_DIRECTIONS, directions, strict=False)),
        **report_groups.values(reading, region, report_uid, rows, columns),
        **texture_groups.values(textures, reading, region, report_uid, rows, columns),
    }
    terms = character_set(film)
    return finish(_template(common).filled(values, terms), film, now, character_set=terms)


@dataclass(frozen=True)
class _Common:
    """What reports have in common that are made from one template.

    Parameters
    ----------
    said : report_groups.Said
    iod, language, sop_class_uid : str
    view : str
        *View Position*; empty where the report says none.
    has_directions : bool
    measured : tuple of texture_groups.Measured
    predecessors : tuple
        `_names` of each.
    """

    said: report_groups.Said
    iod: str
    language: str
    sop_class_uid: str
    view: str
    has_directions: bool
    measured: tuple[texture_groups.Measured, ...]
    predecessors: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=256)
def _template(common: _Common) -> Template:
    """A report with gaps for what each film has of its own."""
    stand_ins = StandIns()
    film = stand_ins.film(common.sop_class_uid)
    film.ViewPosition = common.view
    if common.has_directions:
        film.PatientOrientation = [stand_ins.text(name) for name in _DIRECTIONS]
    header = complete_header(film)
    header.Rows, header.Columns = int(stand_ins.text("rows")), int(stand_ins.text("columns"))
    ds = document(
        film,
        header,
        report_groups.groups(common.said, header, stand_ins)
        + texture_groups.groups(common.measured, common.said.model, header, stand_ins),
        (stand_ins.text("summary"),),
        common.said.model,
        (stand_ins.uid("series of the report"), SERIES_NUMBER, SERIES_DESCRIPTION),
        stand_ins.uid("report"),
        iod=IODS[common.iod],
        language=LANGUAGES[common.language],
        predecessors=[_named(names) for names in common.predecessors],
        more_schemes=[codes.ibsi_scheme()] if common.measured else [],
    )
    return Template(ds, stand_ins)


def _names(report: Dataset) -> tuple[str, ...]:
    """What highdicom is told of a predecessor."""
    return tuple(str(report[keyword].value) for keyword in _PREDECESSOR)


def _named(names: tuple[str, ...]) -> Dataset:
    report = Dataset()
    for keyword, name in zip(_PREDECESSOR, names, strict=True):
        setattr(report, keyword, name)
    return report


def variant(kind: str, iod: str, language: str, has_texture: bool = False) -> str:
    """Kind of a report for its UID: another class or another text under one UID would be a conflict."""
    usual = {"comprehensive-3d", "en"}
    unusual = [name for name in (iod, language) if name not in usual]
    return " ".join([kind, *unusual, *["texture"] * has_texture])


def document(
    film: Dataset,
    header: Dataset,
    groups: list,
    summary: tuple[str, ...],
    model: ModelVersion,
    series: tuple[str, int, str],
    uid: str,
    *,
    iod: type[Dataset] = sr.Comprehensive3DSR,
    language: Sentences = ENGLISH,
    predecessors: Sequence[Dataset] = (),
    more_schemes: Sequence[Dataset] = (),
) -> Dataset:
    """A report of `groups` on one film, by the model, without what `film.finish` adds.

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
    iod : type
        highdicom's class, one of `IODS`.
    language : Sentences
        Of the *Summary*.
    predecessors : sequence of Dataset
        For *Predecessor Documents Sequence*.
    more_schemes : sequence of Dataset
        For *Coding Scheme Identification Sequence*, beside that of the private codes.
    """
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(model)),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.REPORT_TITLE,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(codes.ENGLISH),
        referenced_images=[header],
    )
    root = report[0]
    _add_film_descriptors(root, film)
    _insert_texts(root, summary, language)
    separate(root)
    return iod(
        evidence=[header],
        content=root,
        is_complete=True,
        coding_schemes=[codes.private_scheme(), *more_schemes],
        previous_versions=predecessors or None,
        **instance(film, model, uid, series),
    )


def observer(model: ModelVersion) -> sr.ObserverContext:
    """A device reports, never a person (TID 1001, 1004)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(model),
        name=PRODUCT,
        manufacturer_name=PRODUCT,
        model_name=f"{model.name} {model.version}",
    )
    return sr.ObserverContext(codes.DEVICE, device)


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
    for name, direction in zip(_DIRECTIONS.values(), _directions(film), strict=False):
        entry.ContentSequence.append(sr.TextContentItem(name, direction, relationship))


def _directions(film: Dataset) -> Sequence[str]:
    """Where the film's rows and columns run, if it states both."""
    orientation = film.get("PatientOrientation")
    is_stated = isinstance(orientation, MultiValue) and len(orientation) == 2 and all(orientation)
    return orientation if is_stated else ()


def _insert_texts(root: Dataset, summary: tuple[str, ...], language: Sentences) -> None:
    """Comment and Summary, first of all that the report contains."""
    relationship = sr.RelationshipTypeValues.CONTAINS
    texts = [
        sr.TextContentItem(codes.COMMENT, wording.COMMENT, relationship),
        # A reader sees lines; one that drops the line ends still sees sentences.
        sr.TextContentItem(codes.SUMMARY, _lines(summary), relationship),
    ]
    if language is not ENGLISH:
        # The rest of the report is English, codes and comment, and so says its root (TID 1204).
        texts[1].ContentSequence = sr.LanguageOfContentItemAndDescendants(language.code)
    first = next(
        number
        for number, item in enumerate(root.ContentSequence)
        if item.RelationshipType == relationship.value
    )
    for number, item in enumerate(texts):
        root.ContentSequence.insert(first + number, item)


def _lines(summary: tuple[str, ...]) -> str:
    return "\r\n".join(summary)


def separate(item: Dataset) -> None:
    """Headings and paragraphs for every container: CONTINUOUS runs all text into one (PS3.3 C.18.8)."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        separate(child)
