"""Ethnic groups as New Zealand's health sector records them, told from codes and words."""

import re
import unicodedata
from functools import cache

# HISO 10001:2017 Ethnicity Data Protocols: level 1 by the first digit, which the codes of levels 2 to 4 keep.
# In the order of prioritised output, in which one of several groups is taken: Statistics New Zealand's.
MAORI, PACIFIC, ASIAN = "Māori", "Pacific Peoples", "Asian"
MELAA, OTHER, EUROPEAN = "Middle Eastern, Latin American or African", "Other Ethnicity", "European"
PRIORITY = (MAORI, PACIFIC, ASIAN, MELAA, OTHER, EUROPEAN)
_BY_DIGIT = {"1": EUROPEAN, "2": MAORI, "3": PACIFIC, "4": ASIAN, "5": MELAA, "6": OTHER}
_CODE = re.compile(r"[1-69]\d{0,4}")  # 9 is residual: not stated, refused to answer and their like
# Words of levels 1 and 2, without macrons. Cook Islands Maori are Pacific Peoples.
_WORDS = {
    "": r"|unknown|not (stated|specified|known)|don.?t know"
    r"|refused( to answer)?|(response )?unidentifiable|u",
    PACIFIC: r"(other )?(pacific( peoples?| island(er)?s?)?( nfd)?|pasifika)"
    r"|cook islands? maori|cook islander|samoan|tongan|niuean|tokelauan|fijian",
    MAORI: r"(nz |new zealand )?maori",
    ASIAN: r"(south ?east |other )?asian( nfd)?|chinese|(nz )?indian",
    MELAA: r"melaa|middle eastern|latin american|african"
    r"|middle eastern ?[,/] ?latin american ?([,/]|,? ?(or|and)) ?african",
    OTHER: r"other( ethnicity| ethnicities| ethnic groups?)?",
    EUROPEAN: r"(nz |new zealand |other )?european( nfd)?( ?(/|or) ?pakeha)?|pakeha",
}
_SEVERAL = re.compile(r"[;|,/]")


@cache
def ethnic_group(text: str | None) -> str | None:
    """The group of level 1 that stands for a patient.

    Parameters
    ----------
    text : str or None
        A code of level 1 to 4 (``2``, ``21``, ``21111``) or the group in words, with or without macrons; of
        several, parted by ``;``, ``|``, ``,`` or ``/``, the first in `PRIORITY` is taken.

    Returns
    -------
    str or None
        One of `PRIORITY`; the text itself where it is no group of New Zealand's; None where nothing or a
        residual category is stated.

    References
    ----------
    HISO 10001:2017 Ethnicity Data Protocols; Ethnicity New Zealand Standard Classification 2005 v2.
    """
    words = " ".join((text or "").split())
    whole = _one(words)
    if whole is not None:
        return whole or None
    stated = {_one(part.strip()) for part in _SEVERAL.split(words)}
    if stated == {""}:
        return None
    return next((group for group in PRIORITY if group in stated), words)


def _one(words: str) -> str | None:
    """The group that is stated, empty for a residual category, None for words of no group."""
    if _CODE.fullmatch(words):
        return _BY_DIGIT.get(words[0], "")
    letters = unicodedata.normalize("NFD", words.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return next((group for group, pattern in _WORDS.items() if re.fullmatch(pattern, plain)), None)
