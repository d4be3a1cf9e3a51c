"""Which code says what: the concepts of the results in one table (DICOM PS3.16, PS3.3 8).

What the classes of a model are coded as is in its ``model.toml``.
"""

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from model.cascade import OWN_SCHEME, Code
from model.scope import REFUSALS
from model.texture.features import Feature

# For what no standard scheme says; identified in every data set that uses it (PS3.3 C.12.1.1.13).
PRIVATE_SCHEME = OWN_SCHEME

MODEL_CLASS = CodedConcept("CLASS", PRIVATE_SCHEME, "Class of the model")

CERTAINTY = CodedConcept("111012", "DCM", "Certainty of Finding")
PERCENT = CodedConcept("%", "UCUM", "Percent")

INSIDE_LUNGS = CodedConcept("INSIDELUNGS", PRIVATE_SCHEME, "Activation inside the lungs")
LUNG = CodedConcept("39607008", "SCT", "Lung")
LATERALITY = {  # CID 244
    "right": CodedConcept("24028007", "SCT", "Right"),
    "left": CodedConcept("7771000", "SCT", "Left"),
    "both": CodedConcept("51440002", "SCT", "Right and left"),
}

ANATOMICAL_STRUCTURE = CodedConcept("123037004", "SCT", "Anatomical Structure")
# What the model looked at is a place, not an abnormality: no code of a segment says that something is there.
SPATIAL_CONCEPT = CodedConcept("309825002", "SCT", "Spatial and Relational Concept")
CLASS_ACTIVATION = CodedConcept("130402", "DCM", "Class activation")

# A bare "Present" below a finding reads as a diagnosis: it answers this question instead.
PICTURE_CHECK = CodedConcept("PICTURECHECK", PRIVATE_SCHEME, "Check of the picture before it is read")
ACCEPTED = CodedConcept("ACCEPTED", PRIVATE_SCHEME, "Accepted as an upright frontal chest film")
OCCASION = CodedConcept("OCCASION", PRIVATE_SCHEME, "Occasion of the reading")
RETROSPECTIVE = CodedConcept("RETROSPECTIVE", PRIVATE_SCHEME, "Film asked of the archive")
DECISION = CodedConcept("DECISION", PRIVATE_SCHEME, "Model decision at the threshold")
PRESENT = CodedConcept("52101004", "SCT", "Present")
ABSENT = CodedConcept("272519000", "SCT", "Absent")
UNDETERMINED = CodedConcept("373068000", "SCT", "Undetermined")

NORMALITY = CodedConcept("121402", "DCM", "Normality")
NORMAL = CodedConcept("17621005", "SCT", "Normal")
ABNORMAL = CodedConcept("263654008", "SCT", "Abnormal")
NORMALITY_UNDETERMINED = CodedConcept("371934000", "SCT", "Normality Undetermined")

REPORT_TITLE = CodedConcept("126000", "DCM", "Imaging Measurement Report")
ENGLISH = CodedConcept("en", "RFC5646", "English")
DEVICE = CodedConcept("121007", "DCM", "Device")
IMAGING_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging procedure")
COMMENT = CodedConcept("121106", "DCM", "Comment")
SUMMARY = CodedConcept("121111", "DCM", "Summary")
NEIGHBORHOOD_ANALYSIS = CodedConcept("123101", "DCM", "Neighborhood Analysis")  # CID 7162
ARTIFICIAL_INTELLIGENCE = CodedConcept("123110", "DCM", "Artificial Intelligence")

ALGORITHM_NAME = CodedConcept("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = CodedConcept("111003", "DCM", "Algorithm Version")

# What a message refers to by its UID.
STUDY_INSTANCE_UID = CodedConcept("110180", "DCM", "Study Instance UID")
FILM_UID = CodedConcept("FILMUID", PRIVATE_SCHEME, "Film SOP Instance UID")
SECONDARY_CAPTURE_UID = CodedConcept("SCUID", PRIVATE_SCHEME, "Secondary Capture SOP Instance UID")
STRUCTURED_REPORT_UID = CodedConcept("SRUID", PRIVATE_SCHEME, "Structured Report SOP Instance UID")

IMAGE_LIBRARY = CodedConcept("111028", "DCM", "Image Library")
IMAGE_VIEW = CodedConcept("111031", "DCM", "Image View")
VIEWS = {  # CID 4010, by *View Position* (0018,5101)
    "PA": CodedConcept("272479007", "SCT", "postero-anterior"),
    "AP": CodedConcept("399348003", "SCT", "antero-posterior"),
}
PATIENT_ORIENTATION_ROW = CodedConcept("111044", "DCM", "Patient Orientation Row")
PATIENT_ORIENTATION_COLUMN = CodedConcept("111043", "DCM", "Patient Orientation Column")

SOURCE_IMAGE = CodedConcept("121322", "DCM", "Source image for image processing operation")
PROCESSING_EQUIPMENT = CodedConcept("109102", "DCM", "Processing Equipment")

ANALYSES = CodedConcept("111065", "DCM", "Summary of Analyses")
NOT_ATTEMPTED = CodedConcept("111225", "DCM", "Not Attempted")  # CID 6042
WHY_NOT_ANALYSED = CodedConcept("WHYNOTANALYSED", PRIVATE_SCHEME, "Reason why the film was not analysed")
REFUSED = {  # by the code of a refusal, whose underscores would make one longer than 16 characters
    code: CodedConcept(code.replace("_", ""), PRIVATE_SCHEME, reason.capitalize())
    for code, reason in REFUSALS.items()
}


OF_INTEREST = CodedConcept("113000", "DCM", "Of Interest")
TITLE_MODIFIER = CodedConcept("113011", "DCM", "Document Title Modifier")
EARLIER_RESULT = CodedConcept("EARLIERRESULT", PRIVATE_SCHEME, "Result of an earlier model")
REJECTIONS = {  # CID 7010, with a modifier of CID 7011 where TID 2010 wants one
    "quality": (
        CodedConcept("113001", "DCM", "Rejected for Quality Reasons"),
        CodedConcept("111220", "DCM", "Other failure"),
    ),
    "patient-safety": (CodedConcept("113037", "DCM", "Rejected for Patient Safety Reasons"), None),
    "worklist": (CodedConcept("113038", "DCM", "Incorrect Modality Worklist Entry"), None),
    "retention": (CodedConcept("113039", "DCM", "Data Retention Policy Expired"), None),
}


NO_UNITS = CodedConcept("1", "UCUM", "no units")
IBSI_SCHEME = "IBSI"


def texture(feature: Feature) -> CodedConcept:
    """Concept of a feature of texture; of one that IBSI does not have a private one."""
    if feature.code:
        return CodedConcept(feature.code, IBSI_SCHEME, feature.meaning)
    return CodedConcept(feature.key.replace("_", "").upper(), PRIVATE_SCHEME, feature.meaning)


def ibsi_scheme() -> CodingSchemeIdentificationItem:
    """The item that says which scheme IBSI is (PS3.16 table 8-1)."""
    return CodingSchemeIdentificationItem(
        designator=IBSI_SCHEME,
        name="Image Biomarker Standardisation Initiative",
        registry="HL7",
        uid="1.2.840.10008.2.16.13",
        responsible_organization="IBSI",
    )


def concept(code: Code) -> CodedConcept:
    """The code of a class, as the results carry it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def private_scheme() -> CodingSchemeIdentificationItem:
    """The item of *Coding Scheme Identification Sequence* that says whose private codes these are."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME,
        name="Firstread private codes",
        responsible_organization="Firstread",
    )
