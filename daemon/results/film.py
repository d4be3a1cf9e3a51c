"""What every result shares with its film: the header it copies, the UIDs it derives, the clock it shows."""

import datetime
import re
import struct
import uuid
from collections.abc import Iterable
from io import BytesIO
from typing import BinaryIO

from highdicom import ContributingEquipment
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from daemon.results import codes
from model.findings import ModelVersion

PRODUCT = "Firstread"

# Type 2: present in each result, empty where the film has none (PS3.3 C.7.1.1, C.7.2.1). Study Description
# is type 3, but within one study it is either everywhere or nowhere.
_ALWAYS_PRESENT = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)
# What says whose film this is and which study it belongs to; absent where the film has none.
_WHERE_PRESENT = (
    "SpecificCharacterSet",
    "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "AdmittingDiagnosesDescription",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthTime",
    "OtherPatientIDs",
    "OtherPatientNames",
    "OtherPatientIDsSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "EthnicGroup",
    "Occupation",
    "AdditionalPatientHistory",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)
COPIED = tuple(sorted(BaseTag(tag_for_keyword(keyword)) for keyword in _ALWAYS_PRESENT + _WHERE_PRESENT))

_PIXEL_DATA = BaseTag(tag_for_keyword("PixelData"))
_LONGEST_SHORT = 0xFFFF  # bytes of a value whose length has two
_CLOCKS = (
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("ContentDate", "ContentTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
    ("PresentationCreationDate", "PresentationCreationTime"),
)
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, codes.PRIVATE_SCHEME)


def derive_uid(*parts: str) -> str:
    """A UID that is the same whenever the parts are the same (PS3.5 B.2, from a name-based UUID).

    Parameters
    ----------
    *parts : str
        What makes the object this one and no other.

    Returns
    -------
    str
        ``2.25.`` and a decimal number, at most 44 characters.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def result_uid(film: Dataset, film_digest: str, model: ModelVersion, kind: str) -> str:
    """*SOP Instance UID* of a result: sending twice is storing once, another model or film is another one.

    Parameters
    ----------
    film : Dataset
        Header of the film.
    film_digest : str
        Digest of the film as received.
    model : ModelVersion
    kind : str
        ``SC`` or ``SR``; with more after it, a UID inside the result.
    """
    return derive_uid("instance", kind, film.SOPInstanceUID, film_digest, *_version(model))


def series_uid(film: Dataset, model: ModelVersion, kind: str) -> str:
    """*Series Instance UID* of the results of one kind and model for one series of films."""
    series = film.get("SeriesInstanceUID") or ""
    return derive_uid("series", kind, film.StudyInstanceUID, series, *_version(model))


def device_uid(model: ModelVersion) -> str:
    """*Device UID* of the reader, another one as soon as the weights change (IHE AIR)."""
    return derive_uid("device", *_version(model))


def equipment(model: ModelVersion) -> ContributingEquipment:
    """The item of *Contributing Equipment Sequence* that names the model (PS3.3 C.12.1.1)."""
    found = f"Lungs found by {model.lungs}. " if model.lungs else ""
    item = ContributingEquipment(
        manufacturer=PRODUCT,
        purpose_of_reference=codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=model.name,
        software_versions=model.version,
        contribution_description=f"Not for diagnosis. {found}Weights sha256 {model.weights_sha256}",
    )
    item.DeviceUID = device_uid(model)
    return item


def tell_body_part(result: Dataset, model: ModelVersion) -> tuple[str, ...]:
    """The chest, where the model looks for lungs; else what the film says, the side perhaps unknown.

    Parameters
    ----------
    result : Dataset
    model : ModelVersion

    Returns
    -------
    tuple of str
        Keywords that `finish` is to copy.

    References
    ----------
    DICOM PS3.3 C.7.3.1: *Laterality*, type 2C of a part that is paired.
    """
    if model.lungs:
        result.BodyPartExamined = "CHEST"
        return ()
    result.Laterality = None
    return "BodyPartExamined", "Laterality"


def instance_number(film: Dataset) -> int:
    """The film's *Instance Number*, so that results sort as their films do; 1 where it has no usable one."""
    try:
        return max(1, int(film.InstanceNumber))
    except (AttributeError, OverflowError, TypeError, ValueError):
        return 1


def instance(film: Dataset, model: ModelVersion, uid: str, series: tuple[str, int, str]) -> dict[str, object]:
    """What highdicom's constructors are told of a result: series, instance and equipment.

    Parameters
    ----------
    film : Dataset
        Header of the film.
    model : ModelVersion
    uid : str
        *SOP Instance UID*.
    series : (str, int, str)
        UID, number and description, the latter at most 64 characters.
    """
    return {
        "series_instance_uid": series[0],
        "series_number": series[1],
        "series_description": series[2],
        "sop_instance_uid": uid,
        "instance_number": instance_number(film),
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": model.version,
        "contributing_equipment": [equipment(model)],
    }


def complete_header(film: Dataset) -> Dataset:
    """A stand-in for the film that highdicom can build on: what it insists on, and nothing of the patient.

    highdicom reads elements a film may lack, checks values a film may break, and decodes names that may not
    decode. So it sees empty ones, and `finish` puts the film's own in their place.

    Parameters
    ----------
    film : Dataset
        Header as received.

    Returns
    -------
    Dataset
        UIDs of the film, and the copied elements of type 2, all empty.
    """
    header = Dataset()
    for keyword in _ALWAYS_PRESENT:
        setattr(header, keyword, None)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"):
        setattr(header, keyword, film[keyword].value)
    header.SeriesInstanceUID = film.get("SeriesInstanceUID") or derive_uid("no series", film.StudyInstanceUID)
    header.Modality = "OT"  # any other makes highdicom ask for orientation and spacing
    return header


def finish(
    result: Dataset,
    film: Dataset,
    now: datetime.datetime,
    *,
    also: tuple[str, ...] = (),
    character_set: str | None = None,
) -> Dataset:
    """The result with its film's header, the given clock, and bytes that no later write changes.

    Parameters
    ----------
    result : Dataset
        As highdicom built it.
    film : Dataset
        Header as received, the copied elements not yet looked at: pydicom keeps the bytes of an element
        until someone reads its value, and text that did not decode is lost then.
    now : datetime
        Time of production, aware.
    also : tuple of str
        Keywords of further elements to copy where the film has them.
    character_set : str or None
        The film's, in which text of our own is encoded; without it all of that is ASCII.

    Returns
    -------
    Dataset
        Explicit VR Little Endian. Copied elements are byte for byte those of the film, also where they do
        not decode under its *Specific Character Set*; of type 2, empty where it has none.
    """
    _stamp(result, film, now)
    result.InstanceCreatorUID = derive_uid("instance creator", PRODUCT)
    for keyword in _ALWAYS_PRESENT:
        if keyword not in result:
            setattr(result, keyword, None)
    elements = {tag: result.get_item(tag) for tag in set(result.keys())}  # bytes not yet looked at stay so
    of_film, in_film = film.get("SpecificCharacterSet"), film.keys()
    for tag in COPIED + tuple(BaseTag(tag_for_keyword(keyword)) for keyword in also):
        if tag in in_film:
            elements[tag] = _verbatim(film, tag, of_film)
    pixels = elements.pop(_PIXEL_DATA, None)  # nothing else of megabytes; in bytes as it is
    encoded = encode((elements[tag] for tag in sorted(elements)), character_set)
    finished = read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
    if pixels is not None:
        finished[_PIXEL_DATA] = pixels
    finished.file_meta = result.file_meta
    return finished


def _version(model: ModelVersion) -> tuple[str, str, str]:
    return model.name, model.version, model.weights_sha256


def _stamp(result: Dataset, film: Dataset, now: datetime.datetime) -> None:
    """Every clock of the result, in the offset that the copied header declares (PS3.3 C.12.1.1.8)."""
    offset = re.fullmatch(r"([+-])(0\d|1[0-4])([0-5]\d)", str(film.get("TimezoneOffsetFromUTC") or ""))
    if offset:
        sign, hours, minutes = offset.groups()
        delta = datetime.timedelta(hours=int(hours), minutes=int(minutes))
        now = now.astimezone(datetime.timezone(-delta if sign == "-" else delta))
    for item in result.ContributingEquipmentSequence:
        if "ContributionDateTime" in item:
            item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S%z")
    for date, time in _CLOCKS:
        if date in result:
            setattr(result, date, now.strftime("%Y%m%d"))
            setattr(result, time, now.strftime("%H%M%S"))


def _verbatim(ds: Dataset, tag: BaseTag, character_set: str | list[str] | None) -> RawDataElement:
    """One element for an Explicit VR Little Endian data set, its text bytes as they came."""
    element = ds.get_item(tag)
    vr = element.VR or "UN"
    if vr == "UN" and dictionary_has_tag(tag):  # implicit VR, or a sender that knew no better
        vr = dictionary_VR(tag)
    if vr == "SQ":
        value = _items(
            encode(_verbatim(item, item_tag, character_set) for item_tag in sorted(item.keys()))
            for item in ds[tag].value
        )
    elif isinstance(element, RawDataElement):
        value = element.value or b""
    else:
        header = 12 if vr in EXPLICIT_VR_LENGTH_32 else 8  # PS3.5 7.1.2
        value = encode([element], character_set)[header:]
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    return RawDataElement(tag, vr, len(value), value, 0, False, True)


def write(result: Dataset, file: BinaryIO) -> None:
    """Write what `finish` gave as a file (PS3.10 7.1), its pixels as they lie in memory."""
    meta = DicomBytesIO()
    write_file_meta_info(meta, result.file_meta)
    file.write(bytes(128) + b"DICM" + meta.getvalue())
    for tag in sorted(result.keys()):
        element = result.get_item(tag)
        if tag == _PIXEL_DATA and not (element.is_raw or element.is_undefined_length):
            padding = bytes(len(element.value) % 2)
            file.write(element_head(element.tag, element.VR, len(element.value) + len(padding)))
            file.write(element.value)
            file.write(padding)
        else:
            file.write(encode([element]))


def encode(elements: Iterable, character_set: str | list[str] | None = None) -> bytes:
    """Elements, in order of their tags, as Explicit VR Little Endian."""
    return b"".join(_encoded(element, character_set) for element in elements)


def _encoded(element: DataElement | RawDataElement, character_set: str | list[str] | None) -> bytes:
    if isinstance(element, RawDataElement) and element.length <= _LONGEST_SHORT:
        return element_head(element.tag, element.VR, len(element.value or b"")) + (element.value or b"")
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_data_element(stream, element, character_set)
    return stream.getvalue()


def element_head(tag: BaseTag, vr: str, length: int) -> bytes:
    """What stands before a value of so many bytes in Explicit VR Little Endian (PS3.5 7.1.2)."""
    if vr in EXPLICIT_VR_LENGTH_32:
        return struct.pack("<HH2sHL", tag.group, tag.element, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), length)


def encode_sequence(tag: BaseTag, items: Iterable[bytes]) -> bytes:
    """A sequence of encoded items as Explicit VR Little Endian (PS3.5 7.5)."""
    value = _items(items)
    return element_head(tag, "SQ", len(value)) + value


def _items(items: Iterable[bytes]) -> bytes:
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(item)) + item for item in items)
