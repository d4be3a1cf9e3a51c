"""DICOM audit messages: who did what with whose films, as XML of one line (PS3.15 A.5).

The audit trail is the one record that names patients; what is built here goes to `daemon.audit_trail` and
nowhere else.
"""

import base64
import dataclasses
import datetime
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

# EventOutcomeIndicator
SUCCESS, MINOR_FAILURE = "0", "4"
# What XML 1.0 cannot hold, whatever the escape.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class Code:
    """A coded value with its meaning."""

    value: str
    scheme: str
    meaning: str


# PS3.16 CID 400 and 401, D.1; PS3.15 A.5.1.2.4
APPLICATION_ACTIVITY = Code("110100", "DCM", "Application Activity")
INSTANCES_ACCESSED = Code("110103", "DCM", "DICOM Instances Accessed")
SECURITY_ALERT = Code("110113", "DCM", "Security Alert")
USER_AUTHENTICATION = Code("110114", "DCM", "User Authentication")
APPLICATION_START = Code("110120", "DCM", "Application Start")
APPLICATION_STOP = Code("110121", "DCM", "Application Stop")
LOGIN = Code("110122", "DCM", "Login")
LOGOUT = Code("110123", "DCM", "Logout")
SECURITY_ROLES_CHANGED = Code("110136", "DCM", "Security Roles Changed")
SECURITY_ATTRIBUTES_CHANGED = Code("110137", "DCM", "User Security Attributes Changed")
_APPLICATION = Code("110150", "DCM", "Application")
_STUDY_INSTANCE_UID = Code("110180", "DCM", "Study Instance UID")
_PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
_URI = Code("12", "RFC-3881", "URI")
# More than any value representation that is told of has (PS3.5 6.2: a name has up to three times 64).
_LONGEST_VALUE = 256
_APPLICATION_SERVER = "4"  # PS3.15 A.5.1.2.1


@dataclasses.dataclass(frozen=True)
class Person:
    """Who acted.

    Parameters
    ----------
    name : str
    address : str
        IP address of the browser or program; empty for a command on the node itself.
    """

    name: str
    address: str = ""


@dataclasses.dataclass(frozen=True)
class AccessedFilm:
    """What was accessed; `patient_id` and `patient_name` are empty where the film has none or is gone."""

    job: int
    study_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str


def application_activity(source: str, process: str, kind: Code, now: datetime.datetime) -> bytes:
    """That the console started or stopped (A.5.3.1).

    Parameters
    ----------
    source : str
        Audit Source ID.
    process : str
        The console's process, unique on the node.
    kind : Code
        `APPLICATION_START` or `APPLICATION_STOP`.
    now : datetime.datetime
        Aware.

    Returns
    -------
    bytes
        UTF-8, without line breaks.
    """
    message = _begin(APPLICATION_ACTIVITY, "E", SUCCESS, now, kind)
    _code(_participant(message, process, is_requestor=False), "RoleIDCode", _APPLICATION)
    _source(message, source)
    return _line(message)


def user_authentication(
    source: str, person: Person, kind: Code, outcome: str, now: datetime.datetime
) -> bytes:
    """That somebody logged in or out, or tried to (A.5.3.12); parameters as `application_activity`."""
    message = _begin(USER_AUTHENTICATION, "E", outcome, now, kind)
    _person(message, person)
    _source(message, source)
    return _line(message)


def instances_accessed(
    source: str, person: Person, action: str, film: AccessedFilm, now: datetime.datetime
) -> bytes:
    """That somebody viewed or changed what there is of a film (A.5.3.6).

    Parameters
    ----------
    action : str
        ``C`` created, ``R`` viewed, ``U`` changed, ``D`` withdrawn; the rest as `application_activity`.
    """
    message = _begin(INSTANCES_ACCESSED, action, SUCCESS, now)
    _person(message, person)
    _source(message, source)
    study = _object(message, "2", "3", _STUDY_INSTANCE_UID, film.study_instance_uid, f"job {film.job}")
    description = SubElement(study, "ParticipantObjectDescription")
    if film.accession_number:
        SubElement(description, "Accession", Number=_text(film.accession_number))
    sop_class = SubElement(description, "SOPClass", UID=_text(film.sop_class_uid), NumberOfInstances="1")
    SubElement(sop_class, "Instance", UID=_text(film.sop_instance_uid))
    _object(message, "1", "1", _PATIENT_NUMBER, film.patient_id, film.patient_name)
    return _line(message)


def film_tried(source: str, person: Person, now: datetime.datetime) -> bytes:
    """That somebody had a film of his own read (A.5.3.6); parameters as `application_activity`.

    Nothing of its header outlasts the answer, so that neither patient nor UID is named.
    """
    message = _begin(INSTANCES_ACCESSED, "R", SUCCESS, now)
    _person(message, person)
    _source(message, source)
    _object(message, "2", "3", _URI, "firstread:tried-film", "a film of the user's own, not kept")
    return _line(message)


def security_alert(
    source: str, person: Person, user: str, what: str, kind: Code, now: datetime.datetime
) -> bytes:
    """That a user was added, changed or removed (A.5.3.11).

    Parameters
    ----------
    user : str
        Who was changed.
    what : str
        What of that user; the rest as `application_activity`.
    """
    message = _begin(SECURITY_ALERT, "E", SUCCESS, now, kind)
    _person(message, person)
    _source(message, source)
    subject = _object(message, "2", "13", _URI, f"firstread:user:{user}", user)
    SubElement(
        subject,
        "ParticipantObjectDetail",
        type="Alert Description",
        value=base64.b64encode(what.encode()).decode(),
    )
    return _line(message)


def _begin(
    event: Code, action: str, outcome: str, now: datetime.datetime, kind: Code | None = None
) -> Element:
    message = Element("AuditMessage")
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=now.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=outcome,
    )
    _code(identification, "EventID", event)
    if kind is not None:
        _code(identification, "EventTypeCode", kind)
    return message


def _participant(message: Element, user_id: str, *, is_requestor: bool) -> Element:
    return SubElement(
        message, "ActiveParticipant", UserID=_text(user_id), UserIsRequestor=str(is_requestor).lower()
    )


def _person(message: Element, person: Person) -> None:
    participant = _participant(message, person.name, is_requestor=True)
    if person.address:
        participant.set("NetworkAccessPointID", _text(person.address))
        participant.set("NetworkAccessPointTypeCode", "2")  # IP address


def _source(message: Element, source: str) -> None:
    identification = SubElement(message, "AuditSourceIdentification", AuditSourceID=_text(source))
    SubElement(identification, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})


def _object(message: Element, kind: str, role: str, id_type: Code, identifier: str, name: str) -> Element:
    participant = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_text(identifier),
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _code(participant, "ParticipantObjectIDTypeCode", id_type)
    SubElement(participant, "ParticipantObjectName").text = _text(name)
    return participant


def _code(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent, name, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    )


def _line(message: Element) -> bytes:
    return ElementTree.tostring(message, encoding="utf-8", xml_declaration=False)


def _text(value: str) -> str:
    """A value of somebody else's on one line, whatever is in it and however long it is."""
    return _NO_XML.sub("\ufffd", " ".join(value.split()))[:_LONGEST_VALUE]
