"""What caused a pneumonia: microbiology first, a specific discharge code where there is none."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from model.study.icd10 import CodeSet

# Reports list what was looked for beside what was found.
_NOT_FOUND = re.compile(r"\b(negative|not detected|not isolated|no growth|absent|not found)\b", re.IGNORECASE)


class Origin(StrEnum):
    """What the cause of a pneumonia is known from."""

    MICROBIOLOGY = "microbiology"
    CODES = "discharge codes"
    SEVERAL = "unknown: more than one class"
    UNLISTED = "unknown: microbiology found only organisms that no class lists"
    NOTHING = "unknown: neither microbiology nor a code that names a cause"


class Aetiology:
    """Classes of cause, each by the organisms and the discharge codes that stand for it.

    Parameters
    ----------
    organisms : mapping of str to sequence of str
        By class, words of their names; case does not count, whole words (influenza is not influenzae).
    codes : mapping of str to CodeSet
        By class.
    """

    def __init__(self, organisms: Mapping[str, Sequence[str]], codes: Mapping[str, CodeSet]) -> None:
        self._organisms = {
            label: re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
            for label, names in organisms.items()
            if names
        }
        self._codes = codes

    def of(self, findings: Sequence[str], codes: Sequence[str]) -> tuple[str, Origin]:
        """The class of an admission's pneumonia, empty if unknown, and what it is known from."""
        found = [finding for finding in findings if finding.strip() and not _NOT_FOUND.search(finding)]
        if found:
            named = {
                label
                for finding in found
                for label, pattern in self._organisms.items()
                if pattern.search(finding)
            }
            if len(named) == 1:
                return named.pop(), Origin.MICROBIOLOGY
            return "", Origin.SEVERAL if named else Origin.UNLISTED
        coded = {label for label, listed in self._codes.items() if any(code in listed for code in codes)}
        if len(coded) == 1:
            return coded.pop(), Origin.CODES
        return "", Origin.SEVERAL if coded else Origin.NOTHING
