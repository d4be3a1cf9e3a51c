"""Audit messages of what users of the console do (PS3.15 A.5)."""

from typing import Any

from fastapi import Request
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from daemon import audit_messages, service
from daemon.audit_messages import AccessedFilm, Person
from daemon.audit_trail import Trail
from daemon.console.access import User


def film_used(request: Request, user: User, action: str, film: Any) -> None:
    """Tell that a user saw or changed what there is of a film.

    Parameters
    ----------
    request : Request
    user : User
    action : str
        ``R`` viewed, ``C`` created, ``U`` changed (queued again, a verdict), ``D`` withdrawn.
    film : Row
        As `storage.films.get` gives it; the patient is read from the film's own header.
    """
    patient_id, patient_name = _patient(request, film.spool_name)
    accessed = AccessedFilm(
        film.id,
        film.study_instance_uid,
        film.sop_class_uid,
        film.sop_instance_uid,
        film.accession_number,
        patient_id,
        patient_name,
    )
    trail = _trail(request)
    trail.record(
        audit_messages.instances_accessed(
            trail.source, person(request, user.name), action, accessed, service.now()
        )
    )


def film_tried(request: Request, user: User) -> None:
    """Tell that a user saw a film that is not kept."""
    trail = _trail(request)
    trail.record(audit_messages.film_tried(trail.source, person(request, user.name), service.now()))


def logged_in(request: Request, name: str) -> None:
    """Tell that a user logged in."""
    _authentication(request, name, audit_messages.LOGIN, audit_messages.SUCCESS)


def logged_out(request: Request, name: str) -> None:
    """Tell that a user logged out."""
    _authentication(request, name, audit_messages.LOGOUT, audit_messages.SUCCESS)


def authentication_failed(request: Request, name: str) -> None:
    """Tell that somebody who said to be `name` did not get in."""
    _authentication(request, name[:64], audit_messages.LOGIN, audit_messages.MINOR_FAILURE)


def person(request: Request, name: str) -> Person:
    """Who asks, as audit messages name him."""
    return Person(name, request.client.host if request.client else "")


def _authentication(request: Request, name: str, kind: audit_messages.Code, outcome: str) -> None:
    trail = _trail(request)
    trail.record(
        audit_messages.user_authentication(trail.source, person(request, name), kind, outcome, service.now())
    )


def _trail(request: Request) -> Trail:
    return request.app.state.trail


def _patient(request: Request, spool_name: str) -> tuple[str, str]:
    """Patient ID and name of a film; empty once retention has taken it: the study is named all the same."""
    tags = ["SpecificCharacterSet", "PatientID", "PatientName"]
    try:
        with request.app.state.spool.local(spool_name) as path:
            ds = dcmread(path, stop_before_pixels=True, specific_tags=tags)
        return str(ds.get("PatientID") or ""), str(ds.get("PatientName") or "")
    except (OSError, InvalidDicomError, ValueError, LookupError):
        return "", ""
