"""What a film says of its patient, and texts without it: a peer or a header may quote it anywhere."""

import re
from collections.abc import Iterable

from pydicom.dataset import Dataset

from model import header

KEYWORDS = ("PatientName", "PatientID", "PatientBirthDate", "OtherPatientNames", "OtherPatientIDs")
# A lone letter is an initial, and a word of many texts.
_LEAST_LETTERS = 2


def of(ds: Dataset) -> set[str]:
    """The words by which a data set names its patient: parts of names, IDs, the date of birth."""
    with header.own_judgement():
        return words(str(header.value(ds, keyword) or "") for keyword in KEYWORDS)


def words(values: Iterable[str]) -> set[str]:
    """Values of a header and their parts: components of names, several identifiers (PS3.5 6.2)."""
    parts = {part for value in values for part in [value.strip(), *re.split(r"[\W_]+", value)]}
    return {part for part in parts if len(part) >= _LEAST_LETTERS}


def without(text: str, patient: Iterable[str]) -> str:
    """A text without words that name a patient, in whatever case."""
    for word in sorted(patient, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "[...]", text, flags=re.IGNORECASE)
    return text
