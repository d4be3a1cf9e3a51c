"""Is it our kind of film? What the header says; `model.gate` asks the picture."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from model.header import items, numbers, own_judgement, printable, stated, text

# Patient positions of PS3.3 C.7.3.1.1.2: how the patient lies, which says nothing about the view.
PATIENT_POSITIONS = frozenset([
    "HFP", "HFS", "HFDR", "HFDL", "HFV", "HFI", "FFDR", "FFDL", "FFP", "FFS", "FFV", "FFI", "LFP",
    "LFS", "RFP", "RFS", "AFDR", "AFDL", "AFP", "AFS", "PFDR", "PFDL", "PFP", "PFS",
])  # fmt: skip
# Anatomic Region Sequence (PS3.16 CID 4009): chest, thorax and lung in SNOMED CT and SNOMED RT.
CHEST_CODES = frozenset({"816094009", "51185008", "43799004", "39607008", "T-D3000", "T-28000"})
# View Code Sequence (PS3.16 CID 4010).
VIEW_CODES: Mapping[str, str] = {
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-10214": "PA",
    "399067008": "LATERAL", "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL",
}  # fmt: skip
CHEST_WORDS = frozenset({"CHEST", "THORAX", "THORACIC", "LUNG", "LUNGS", "CXR"})
OTHER_REGION_WORDS = frozenset([
    "ABDOMEN", "ABDOMINAL", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CERVICAL", "CLAVICLE", "CSPINE",
    "DENTAL", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HIP",
    "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE", "LUMBAR", "MANDIBLE", "NECK", "OPG", "ORTHOPANTOMOGRAM",
    "PANORAMIC", "PATELLA", "PELVIS", "SACRUM", "SHOULDER", "SINUS", "SKULL", "SPINE", "TEETH", "TIBIA",
    "TOE", "TOOTH", "TSPINE", "WRIST",
])  # fmt: skip
ANIMAL_WORDS = frozenset(
    {"VETERINARY", "VETERINARIAN", "CANINE", "FELINE", "EQUINE", "BOVINE", "DOG", "ANIMAL"}
)
DESCRIPTIONS = (
    "StudyDescription", "SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription",
)  # fmt: skip
OWN_NAME = "FIRSTREAD"
# Why a film is not read, by code: what a person is told. The last five are said of the picture.
REFUSALS: Mapping[str, str] = {
    "SOP_CLASS": "not a kind of object that is read",
    "OWN_OUTPUT": "a result of this node",
    "FOR_PROCESSING": "for processing",
    "MODALITY": "not a modality that is read",
    "COLOUR": "not a grey film",
    "MULTI_FRAME": "more than one frame",
    "MATRIX": "no picture matrix",
    "TOO_SMALL": "too small",
    "TOO_LARGE": "too large",
    "NOT_CHEST": "not a chest film",
    "NOT_FRONTAL": "not a frontal film",
    "NOT_HUMAN": "not a human",
    "AGE": "outside the age range",
    "BLANK": "blank",
    "NOT_PLAUSIBLE": "the picture shows no chest",
    "ROTATED": "rotated",
    "POLARITY_INVERTED": "polarity inverted",
    "LUNGS_MISSING": "lungs cut off",
}


class OutOfScope(ValueError):
    """A film that is not to be read. Says which rule, what was found and what was expected.

    Parameters
    ----------
    code : str
        Name of the rule, one of `REFUSALS`.
    found, expected : str
        Never a patient's name, ID or birth date.
    """

    def __init__(self, code: str, found: str, expected: str) -> None:
        super().__init__(code, found, expected)  # all three, so that the exception can cross processes
        self.code, self.found, self.expected = code, found, expected
        self.reason = REFUSALS[code]

    def __str__(self) -> str:
        return f"{self.code}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class ScopeRules:
    """The site's rules for what is read.

    Parameters
    ----------
    sop_classes : tuple of str
        SOP Class UIDs; none for any.
    modalities, body_parts, views : tuple of str
        Values of *Modality*, *Body Part Examined* and *View Position*; none for any.
    accept_missing_body_part, accept_missing_view : bool
        Whether a film that does not say goes on to the picture check.
    min_age_years, max_age_years : float
        A film without an age is read.
    analyse_for_processing : bool
        Whether raw films (*Presentation Intent Type* FOR PROCESSING) are read.
    min_rows, min_columns, max_pixels : int
        Matrix; the last is rows times columns.
    """

    sop_classes: tuple[str, ...] = (
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
    )
    modalities: tuple[str, ...] = ("CR", "DX")
    body_parts: tuple[str, ...] = ("CHEST", "THORAX", "LUNG")
    accept_missing_body_part: bool = True
    views: tuple[str, ...] = ("PA", "AP")
    accept_missing_view: bool = True
    min_age_years: float = 0.0
    max_age_years: float = 120.0
    analyse_for_processing: bool = False
    min_rows: int = 300
    min_columns: int = 300
    max_pixels: int = 50_000_000


def check_header(ds: Dataset, rules: ScopeRules) -> None:
    """Refuse a film whose header says that it is not ours; reads no pixels.

    Parameters
    ----------
    ds : Dataset
        At least all elements before *Pixel Data*; values may be malformed.
    rules : ScopeRules

    Raises
    ------
    OutOfScope
        With the first rule that was broken.
    """
    with own_judgement():
        _check_kind(ds, rules)
        check_matrix(ds, rules)
        _check_body_part(ds, rules)
        _check_view(ds, rules)
        _check_subject(ds, rules)


def _shown(found: str) -> str:
    """A header value for a log line: short, printable, or the word absent."""
    return printable(found[:40]) or "absent"


def _one_of(code: str, found: str, allowed: tuple[str, ...]) -> None:
    if allowed and found not in allowed:
        raise OutOfScope(code, _shown(found), " or ".join(allowed))


def _words(ds: Dataset, keywords: tuple[str, ...] = DESCRIPTIONS) -> set[str]:
    """The words in the film's descriptions, in capitals."""
    return set(re.findall(r"[^\W\d_]+", " ".join(text(ds, keyword) for keyword in keywords)))


def _check_kind(ds: Dataset, rules: ScopeRules) -> None:
    """Our own results, SOP class, raw films, modality, colour, frames."""
    for keyword in ("Manufacturer", "ManufacturerModelName", "SeriesDescription"):
        if text(ds, keyword).startswith(OWN_NAME):
            raise OutOfScope("OWN_OUTPUT", f"{keyword} of a result of this node", "a film")
    if rules.sop_classes and text(ds, "SOPClassUID") not in rules.sop_classes:
        names = " or ".join(UID(uid).name for uid in rules.sop_classes)
        raise OutOfScope("SOP_CLASS", _shown(UID(text(ds, "SOPClassUID")).name), names)
    raw = text(ds, "SOPClassUID") == DigitalXRayImageStorageForProcessing
    raw = raw or text(ds, "PresentationIntentType") == "FOR PROCESSING"
    if raw and not rules.analyse_for_processing:
        raise OutOfScope("FOR_PROCESSING", "a film for processing", "a film for presentation")
    _one_of("MODALITY", text(ds, "Modality"), rules.modalities)
    if numbers(ds, "SamplesPerPixel") not in ([], [1.0]):
        raise OutOfScope("COLOUR", f"{_shown(text(ds, 'SamplesPerPixel'))} samples per pixel", "1")
    _one_of("COLOUR", text(ds, "PhotometricInterpretation"), ("MONOCHROME1", "MONOCHROME2"))
    if stated(ds, "NumberOfFrames") and numbers(ds, "NumberOfFrames") != [1.0]:
        raise OutOfScope("MULTI_FRAME", f"Number of Frames {_shown(text(ds, 'NumberOfFrames'))}", "1")


def _check_subject(ds: Dataset, rules: ScopeRules) -> None:
    """A human of an age the site wants read."""
    species = text(ds, "PatientSpeciesDescription")
    if species and species not in ("HUMAN", "HOMO SAPIENS"):
        raise OutOfScope("NOT_HUMAN", f"species {_shown(species)}", "a human")
    animal = _words(ds, (*DESCRIPTIONS, "InstitutionalDepartmentName")) & ANIMAL_WORDS
    if animal or text(ds, "PatientBreedDescription"):
        raise OutOfScope("NOT_HUMAN", min(animal, default="a breed"), "a human")
    age = age_years(ds)
    if age is not None and not rules.min_age_years <= age <= rules.max_age_years:
        limits = f"{rules.min_age_years:g} to {rules.max_age_years:g} years"
        raise OutOfScope("AGE", f"{age:.0f} years", limits)


def age_years(ds: Dataset) -> float | None:
    """The patient's age at the study in years, from *Patient's Age* or the birth date; None if unknown.

    References
    ----------
    DICOM PS3.5 6.2, value representations AS and DA.
    """
    if match := re.fullmatch(r"(\d{3})([DWMY])", text(ds, "PatientAge")):
        return int(match[1]) / {"D": 365.25, "W": 365.25 / 7, "M": 12, "Y": 1}[match[2]]
    try:
        born, studied = (
            datetime.datetime.strptime(text(ds, keyword), "%Y%m%d").replace(tzinfo=datetime.UTC)
            for keyword in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return None
    age = (studied - born).days / 365.25
    return age if 0 <= age <= 130 else None  # else one of the dates is a placeholder


def check_matrix(ds: Dataset, rules: ScopeRules) -> None:
    """Refuse a matrix that is absent, tiny or hostile, before anything is allocated for it.

    Raises
    ------
    OutOfScope
        MATRIX, TOO_SMALL or TOO_LARGE.
    """
    sides = []
    for keyword in ("Rows", "Columns"):
        found = numbers(ds, keyword)
        if len(found) != 1 or found[0] < 1:
            raise OutOfScope("MATRIX", f"{keyword} {_shown(text(ds, keyword))}", "a number above 0")
        sides.append(int(found[0]))
    rows, columns = sides
    if rows < rules.min_rows or columns < rules.min_columns:
        raise OutOfScope(
            "TOO_SMALL", f"{rows} x {columns}", f"{rules.min_rows} x {rules.min_columns} or more"
        )
    if rows * columns > rules.max_pixels:
        raise OutOfScope("TOO_LARGE", f"{rows} x {columns}", f"{rules.max_pixels} pixels at most")


def _check_body_part(ds: Dataset, rules: ScopeRules) -> None:
    """By *Body Part Examined*, else by the anatomic region's code, else by no other region's name.

    Codes are known of the chest; another region's meaning is compared with the rule's words.
    """
    if not rules.body_parts:
        return
    expected = " or ".join(rules.body_parts)
    is_chest = bool(CHEST_WORDS & set(rules.body_parts))
    wanted = set(rules.body_parts) | (CHEST_WORDS if is_chest else set())
    if stated(ds, "BodyPartExamined"):
        _one_of("NOT_CHEST", text(ds, "BodyPartExamined"), rules.body_parts)
        return
    for item in items(ds, "AnatomicRegionSequence"):
        if is_chest:
            is_wanted = text(item, "CodeValue") in CHEST_CODES
        else:
            is_wanted = bool(_words(item, ("CodeMeaning",)) & wanted)
        if not is_wanted:
            raise OutOfScope("NOT_CHEST", f"anatomic region {_shown(text(item, 'CodeValue'))}", expected)
        return
    words = _words(ds)
    if not words & wanted and (other := words & (OTHER_REGION_WORDS | CHEST_WORDS)):
        raise OutOfScope("NOT_CHEST", f"{min(other)} in a description", expected)
    if not words & wanted and not rules.accept_missing_body_part:
        raise OutOfScope("NOT_CHEST", "no body part", expected)


def _check_view(ds: Dataset, rules: ScopeRules) -> None:
    """By *View Position*, else by the view's code, else by what else states a view."""
    if not rules.views:
        return
    view = text(ds, "ViewPosition")
    for item in items(ds, "ViewCodeSequence") if not view else []:
        view = VIEW_CODES.get(text(item, "CodeValue"), text(item, "CodeValue"))
    if not view and text(ds, "PatientPosition") not in PATIENT_POSITIONS:
        view = text(ds, "PatientPosition")
    if view or stated(ds, "ViewPosition"):
        _one_of("NOT_FRONTAL", view, rules.views)
        return
    expected = " or ".join(rules.views)
    # Patient Orientation: along the rows of a frontal film it is left or right (PS3.3 C.7.6.1.1.1).
    if text(ds, "PatientOrientation")[:1] in ("A", "P"):
        raise OutOfScope("NOT_FRONTAL", "rows run from front to back", expected)
    # A study is often called "PA and lateral"; a series or protocol names its own view.
    words = _words(ds, ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription"))
    if words & {"LATERAL", "LAT", "LL", "RL"} and not words & set(rules.views):
        raise OutOfScope("NOT_FRONTAL", "LATERAL in a description", expected)
    if not rules.accept_missing_view:
        raise OutOfScope("NOT_FRONTAL", "no view", expected)
