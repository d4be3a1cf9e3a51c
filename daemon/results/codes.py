"""Which code says what: every concept of the results in one table (DICOM PS3.16, PS3.3 8)."""

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from model.scope import REFUSALS

# For what no standard scheme says; identified in every data set that uses it (PS3.3 C.12.1.1.13).
PRIVATE_SCHEME = "99FIRSTREAD"

FINDINGS = {
    "normal": CodedConcept("168733007", "SCT", "Standard chest X-ray normal"),
    "bacterial": CodedConcept("53084003", "SCT", "Bacterial pneumonia"),
    "viral": CodedConcept("75570004", "SCT", "Viral pneumonia"),
    "COVID-19": CodedConcept("840539006", "SCT", "COVID-19"),
    # No code says "viral pneumonia other than COVID-19": the wider one, narrowed by OTHER_VIRUS.
    "other virus": CodedConcept("75570004", "SCT", "Viral pneumonia"),
}
MODEL_CLASS = CodedConcept("CLASS", PRIVATE_SCHEME, "Class of the model")
OTHER_VIRUS = CodedConcept("OTHERVIRUS", PRIVATE_SCHEME, "Virus other than SARS-CoV-2")

CERTAINTY = CodedConcept("111012", "DCM", "Certainty of Finding")
PERCENT = CodedConcept("%", "UCUM", "Percent")

INSIDE_LUNGS = CodedConcept("INSIDELUNGS", PRIVATE_SCHEME, "Activation inside the lungs")
LUNG = CodedConcept("39607008", "SCT", "Lung")
LATERALITY = {  # CID 244
    "right": CodedConcept("24028007", "SCT", "Right"),
    "left": CodedConcept("7771000", "SCT", "Left"),
    "both": CodedConcept("51440002", "SCT", "Right and left"),
}

# A bare "Present" below a finding reads as a diagnosis: it answers this question instead.
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
ARTIFICIAL_INTELLIGENCE = CodedConcept("123110", "DCM", "Artificial Intelligence")

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


def private_scheme() -> CodingSchemeIdentificationItem:
    """The item of *Coding Scheme Identification Sequence* that says whose private codes these are."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME,
        name="Firstread private codes",
        responsible_organization="Firstread",
    )
