"""A reading as an ORU^R01 message, for information systems (HL7 v2.5.1, chapters 2, 3, 4 and 7)."""

import datetime
import hashlib
import re
from collections.abc import Mapping

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from daemon.results import codes, wording
from daemon.results.film import PRODUCT, result_uid
from daemon.results.kinds import OBSERVATION_MESSAGE, SECONDARY_CAPTURE, STRUCTURED_REPORT
from model import header
from model.cascade import Label
from model.findings import Reading, StepScores

# HL7 tables 0123, 0085: no person has reviewed it. 0485: what no person has reviewed makes nothing urgent.
PRELIMINARY = "P"
ROUTINE = "R"
CONTROL_ID_CHARACTERS = 20
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_CODE = ("CodeValue", "CodeMeaning", "CodingSchemeDesignator")
_REFERENCES = {
    SECONDARY_CAPTURE: codes.SECONDARY_CAPTURE_UID,
    STRUCTURED_REPORT: codes.STRUCTURED_REPORT_UID,
}

# A field is a text, or a tuple of components, of which one may be a tuple of subcomponents, or a list of
# repetitions.
Component = str | tuple[str, ...]
Field = str | tuple[Component, ...] | list[tuple[Component, ...]]


def build(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    results: Mapping[str, str],
    retrospective: bool = False,
) -> tuple[str, bytes]:
    """Write a reading for an information system.

    Parameters
    ----------
    film : Dataset
        Header of the film as received. Its values are decoded here: what copies their bytes comes before.
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the UID.
    now : datetime
        Time of production, aware, in the local time to be shown.
    results : mapping of str to str
        *SOP Instance UID* of the results in DICOM by kind, ``SC`` and ``SR``.
    retrospective : bool
        Whether the film was asked of the archive.

    Returns
    -------
    uid : str
        The same for the same film and model; MSH-10 is derived from it.
    message : bytes
        Segments MSH, PID, OBR, TQ1 and, of OBX, the research-use text first. UTF-8, as MSH-18 says,
        whatever the film's *Specific Character Set*; letters that do not decode are replaced.

    References
    ----------
    HL7 v2.5.1 7.3.1 ORU^R01; 2.7 escape sequences; 2.15.9 MSH, 3.4.2 PID, 4.5.3 OBR, 4.5.4 TQ1, 7.4.2 OBX.
    """
    uid = result_uid(film, film_digest, reading.model, OBSERVATION_MESSAGE)
    with header.own_judgement():
        segments = [
            _message_header(control_id(uid), now),
            _patient(film),
            _request(film, now),
            _segment("TQ1", {1: "1", 9: (ROUTINE, "Routine", "HL70485")}),
            *_observations(film, reading, results, retrospective),
        ]
    return uid, "".join(f"{segment}\r" for segment in segments).encode("utf-8")


def control_id(uid: str) -> str:
    """MSH-10 of the message with a UID: the same at each attempt (2.15.9.10)."""
    return hashlib.sha256(uid.encode()).hexdigest()[:CONTROL_ID_CHARACTERS].upper()


def _message_header(control: str, now: datetime.datetime) -> str:
    """MSH; its first two fields are the separators themselves."""
    fields: dict[int, Field] = {
        3: PRODUCT,
        7: _timestamp(now),
        9: ("ORU", "R01", "ORU_R01"),
        10: control,
        11: "P",
        12: "2.5.1",
        18: "UNICODE UTF-8",
    }
    return _segment("MSH|^~\\&", fields, first=3)


def _patient(film: Dataset) -> str:
    """PID, from the film's header as it is."""
    qualifiers = header.items(film, "IssuerOfPatientIDQualifiersSequence")
    universal = [
        _text(qualifiers[0], keyword) if qualifiers else ""
        for keyword in ("UniversalEntityID", "UniversalEntityIDType")
    ]
    issuer = (_text(film, "IssuerOfPatientID"), *universal)
    birth = _text(film, "PatientBirthDate")
    sex = header.text(film, "PatientSex")
    return _segment(
        "PID",
        {
            1: "1",
            3: (_text(film, "PatientID"), "", "", issuer),
            5: _names(film),
            7: birth if re.fullmatch(r"\d{8}", birth) else "",
            8: sex if sex in ("M", "F", "O") else "",
        },
    )


def _names(film: Dataset) -> list[tuple[str, ...]]:
    """PID-5, a repetition (XPN) for each way that the name is written (PS3.5 6.2.1)."""
    found = header.value(film, "PatientName")
    name = next(iter(found), None) if isinstance(found, MultiValue) else found
    if not isinstance(name, PersonName):
        return []
    names = []
    for group, code in ((name.alphabetic, "A"), (name.ideographic, "I"), (name.phonetic, "P")):
        if group:
            family, given, middle, prefix, suffix = (*group.split("^", 4), *[""] * 5)[:5]
            # HL7 has the suffix before the prefix; type L, legal or as good as is known (table 0200).
            names.append((family, given, middle, suffix, prefix, "", "L", code))
    return names


def _request(film: Dataset, now: datetime.datetime) -> str:
    """OBR: the order, where the film tells of it, and the imaging procedure."""
    accession = _text(film, "AccessionNumber")
    procedure = next(iter(header.items(film, "ProcedureCodeSequence")), None)
    code = [_text(procedure or Dataset(), keyword) for keyword in _CODE]
    return _segment(
        "OBR",
        {
            1: "1",
            2: _text(film, "PlacerOrderNumberImagingServiceRequest"),
            3: _text(film, "FillerOrderNumberImagingServiceRequest") or accession,
            4: tuple(code) if all(code) else _coded(codes.IMAGING_PROCEDURE),
            7: _study_time(film),
            18: accession,
            22: _timestamp(now),
            25: PRELIMINARY,
        },
    )


def _study_time(film: Dataset) -> str:
    """When the study began, in the film's own zone where it states one (data type TS)."""
    date, time, zone = (
        _text(film, keyword) for keyword in ("StudyDate", "StudyTime", "TimezoneOffsetFromUTC")
    )
    if not re.fullmatch(r"\d{8}", date):
        return ""
    found = re.match(r"\d{6}|\d{4}", time)
    return date + (found.group() + (zone if re.fullmatch(r"[+-]\d{4}", zone) else "") if found else "")


def _observations(
    film: Dataset, reading: Reading, results: Mapping[str, str], retrospective: bool
) -> list[str]:
    """OBX, numbered, and after some an NTE with what a number alone does not say."""
    model = reading.model
    observed: list[tuple[dict[int, Field], str]] = [
        ({2: "TX", 3: _coded(codes.COMMENT), 5: wording.COMMENT}, ""),
        ({2: "ST", 3: _coded(codes.DECISION), 5: wording.headline(reading)}, wording.subline(reading)),
    ]
    for number, step in enumerate((reading.step1, reading.step2), start=1):
        for name in step.labels if step else ():
            label = model.cascade.label(name)
            if label.code:
                score = {4: str(number), 5: _score(step, name), 6: _coded(codes.PERCENT)}
                observed.append(({2: "NM", 3: _finding(label)} | score, _scale(number, step)))
    told = [
        (codes.ALGORITHM_NAME, model.name),
        (codes.ALGORITHM_VERSION, wording.model_text(model)),
        (codes.STUDY_INSTANCE_UID, str(film.StudyInstanceUID)),
        (codes.FILM_UID, str(film.SOPInstanceUID)),
        *((concept, results[kind]) for kind, concept in _REFERENCES.items() if kind in results),
    ]
    if retrospective:
        told.append((codes.OCCASION, str(codes.RETROSPECTIVE.meaning)))
    observed += [({2: "ST", 3: _coded(concept), 5: value}, "") for concept, value in told]
    segments = []
    for number, (fields, note) in enumerate(observed, start=1):
        segments.append(_segment("OBX", {1: str(number), 11: PRELIMINARY} | fields))
        if note:
            segments.append(_segment("NTE", {1: "1", 3: note}))
    return segments


def _score(step: StepScores, label: str) -> str:
    return str(wording.rounded_percent(step.scores[step.labels.index(label)], step.threshold))


def _scale(number: int, step: StepScores) -> str:
    limit = wording.threshold_text(step.threshold)
    return f"Model score, 0 to 100 within step {number}, threshold {limit}; not a probability."


def _finding(label: Label) -> tuple[str, ...]:
    """OBX-3 of a class. No two share one: a receiver may keep one value a code, whatever its sub-ID."""
    found = [codes.concept(code) for code in (label.narrowed_by, label.code) if code]
    return tuple(part for concept in found for part in _coded(concept))


def _coded(concept: CodedConcept) -> tuple[str, ...]:
    """CE; the coding schemes of DICOM have the same names in HL7 table 0396."""
    return str(concept.value), str(concept.meaning), str(concept.scheme_designator)


def _text(ds: Dataset, keyword: str) -> str:
    """The first value of an element as it is, without the blanks around it."""
    return str(next(iter(header.as_list(header.value(ds, keyword))), "")).strip()


def _timestamp(at: datetime.datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")


def _segment(name: str, fields: dict[int, Field], first: int = 1) -> str:
    """A segment, of which only the fields that are there are given (2.5)."""
    last = max((number for number, field in fields.items() if _encoded(field)), default=0)
    return "|".join([name, *(_encoded(fields.get(number, "")) for number in range(first, last + 1))])


def _encoded(field: Field) -> str:
    if isinstance(field, list):
        return "~".join(_encoded(repetition) for repetition in field)
    if isinstance(field, str):
        return _escaped(field)
    return "^".join(
        "&".join(map(_escaped, one)).rstrip("&") if isinstance(one, tuple) else _escaped(one) for one in field
    ).rstrip("^")


def _escaped(text: str) -> str:
    """A text without separators (2.7) and control characters, which would end the segment or the message."""
    return "".join(_ESCAPES.get(letter, letter if letter.isprintable() else " ") for letter in text)
