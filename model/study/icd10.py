"""Sets of ICD-10 codes, written as a clinician writes them: J12-J18, U07.1."""

import re
from collections.abc import Iterable

_CODE = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?")
_CATEGORY_CHARACTERS = 3


class NotACode(ValueError):
    """A text that is no ICD-10 code, or no range of categories."""


def normalised(code: str) -> str:
    """A code in capitals, without its point and what follows a dagger or asterisk.

    Raises
    ------
    NotACode
    """
    plain = code.strip().upper().rstrip("*+†!")
    if not _CODE.fullmatch(plain):
        raise NotACode(f"found {code!r}, expected an ICD-10 code such as J18.9")
    return plain.replace(".", "")


class CodeSet:
    """Codes and ranges of categories; a code stands for those below it too.

    Parameters
    ----------
    written : iterable of str
        ``J18``, ``U07.1``, or a range of three-character categories, ``J12-J18``, with both its ends.

    Raises
    ------
    NotACode
    """

    def __init__(self, written: Iterable[str]) -> None:
        self._stems: list[str] = []
        self._ranges: list[tuple[str, str]] = []
        for one in written:
            first, dash, last = (part.strip() for part in one.partition("-"))
            if not dash:
                self._stems.append(normalised(first))
                continue
            ends = normalised(first), normalised(last)
            if any(len(end) != _CATEGORY_CHARACTERS for end in ends) or ends[0] > ends[1]:
                raise NotACode(f"found {one!r}, expected a range of categories such as J12-J18")
            self._ranges.append(ends)

    def __contains__(self, code: str) -> bool:
        plain = normalised(code)
        category = plain[:_CATEGORY_CHARACTERS]
        return plain.startswith(tuple(self._stems)) or any(
            first <= category <= last for first, last in self._ranges
        )
