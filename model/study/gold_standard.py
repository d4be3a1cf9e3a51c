"""What a film is taken to show: the radiologist's read, the discharge codes and the other films together.

Neither a read nor a code is the truth alone: a code may belong to another day of the admission, a read may
overlook or overcall. The rules are those of the plan of Gao and Wang for a hospital's own films.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from model.study.aetiology import Aetiology, Origin


@dataclass(frozen=True)
class Examination:
    """One film of an admission, as it was read.

    Parameters
    ----------
    study_instance_uid : str
    examined_at : datetime
    position : str
        ``standing``, ``lying``, or empty where nobody noted it.
    is_suspected : bool
        Whether it was asked for because of suspected pneumonia.
    shows_pneumonia : bool
        What the radiologist read.
    """

    study_instance_uid: str
    examined_at: datetime.datetime
    position: str
    is_suspected: bool
    shows_pneumonia: bool


@dataclass(frozen=True)
class Admission:
    """One stay in hospital.

    Parameters
    ----------
    patient, admission : str
        Keys of the hospital's own; they leave this process pseudonymised alone.
    examinations : tuple of Examination
        In order of time.
    codes : tuple of str
        ICD-10 codes at discharge.
    findings : tuple of str
        Organisms that microbiology found.
    covariates : dict
        age (years), sex, bmi (kg/m2) and ethnicity; None where unknown.
    """

    patient: str
    admission: str
    examinations: tuple[Examination, ...]
    codes: tuple[str, ...]
    findings: tuple[str, ...]
    covariates: dict[str, float | str | None]


class Rule(StrEnum):
    """Why a film counts as it does."""

    READ_AND_CODED = "read as pneumonia, and a discharge code says so"
    READ_NOT_CODED = "read as pneumonia, but no discharge code says so: counts as none"
    NEITHER = "neither read as pneumonia nor coded"
    OTHER_FILM_SHOWS_IT = (
        "coded, not read as pneumonia: another film of the admission shows it, and this one is not between"
        " two that do"
    )
    NO_OTHER_FILM_SHOWS_IT = "coded, and no other film of the admission shows it: counts as pneumonia"
    BETWEEN_TWO_THAT_SHOW_IT = "coded, and the films before and after show it: counts as pneumonia"


@dataclass(frozen=True)
class Truth:
    """What a film counts as.

    Parameters
    ----------
    is_pneumonia : bool
    rule : Rule
    label : str
        normal, bacterial, viral or covid19; empty for a pneumonia whose cause is not known to be one of them.
    origin : Origin or None
        What the cause is known from; None without pneumonia.
    """

    is_pneumonia: bool
    rule: Rule
    label: str
    origin: Origin | None


def judge(admission: Admission, is_coded: bool, aetiology: Aetiology) -> list[Truth]:
    """What each film of an admission counts as.

    Parameters
    ----------
    admission : Admission
    is_coded : bool
        Whether a discharge code of the admission is one of pneumonia.
    aetiology : Aetiology

    Returns
    -------
    list of Truth
        In the order of the examinations.
    """
    shown = [examination.shows_pneumonia for examination in admission.examinations]
    cause, origin = aetiology.of(admission.findings, admission.codes)
    truths = []
    for place in range(len(shown)):
        is_pneumonia, rule = _rule(shown, place, is_coded)
        truths.append(
            Truth(True, rule, cause, origin) if is_pneumonia else Truth(False, rule, "normal", None)
        )
    return truths


def _rule(shown: Sequence[bool], place: int, is_coded: bool) -> tuple[bool, Rule]:
    """Whether the film at a place counts as pneumonia, and by which rule."""
    if shown[place]:
        return (True, Rule.READ_AND_CODED) if is_coded else (False, Rule.READ_NOT_CODED)
    if not is_coded:
        return False, Rule.NEITHER
    if not any(shown):
        return True, Rule.NO_OTHER_FILM_SHOWS_IT
    is_between = 0 < place < len(shown) - 1 and shown[place - 1] and shown[place + 1]
    return (True, Rule.BETWEEN_TWO_THAT_SHOW_IT) if is_between else (False, Rule.OTHER_FILM_SHOWS_IT)
