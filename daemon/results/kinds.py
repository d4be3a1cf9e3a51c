"""Kinds of results, as a delivery names them, and the objects that the config asks for by name."""

SECONDARY_CAPTURE, OVERLAY, REFUSED_CAPTURE = "SC", "SCO", "SCN"
STRUCTURED_REPORT = "SR"
NOT_ANALYSED = "NA"
PRESENTATION_STATE = "PR"
SEGMENTATION = "SEG"
PDF = "PDF"
KEY_OBJECT, REJECTION_NOTE = "KO", "RN"
# No SOP instances: they have no SOP class.
OBSERVATION_MESSAGE = "ORU"
NOTIFICATION = "JSON"

# Class of the report by the name that asks for one; a film that is not read has the same.
REPORTS = {
    "report": "comprehensive-3d",
    "report-comprehensive": "comprehensive",
    "report-enhanced": "enhanced",
}
OBJECTS = {
    "capture": SECONDARY_CAPTURE,
    "overlay": OVERLAY,
    **dict.fromkeys(REPORTS, STRUCTURED_REPORT),
    "presentation-state": PRESENTATION_STATE,
    "segmentation": SEGMENTATION,
    "pdf": PDF,
    "key-object": KEY_OBJECT,
    "not-analysed-capture": REFUSED_CAPTURE,
}
DEFAULT_OBJECTS = ("capture", "report")
