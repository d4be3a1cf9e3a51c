"""Read header values that may be missing, malformed or in unknown letters, without ever raising."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

# What pydicom raises while it turns the bytes of an element into a value: unknown charset (LookupError),
# wrong length, no number, VR that does not fit.
UNREADABLE_VALUE = (
    AttributeError, BytesLengthException, LookupError, NotImplementedError, OverflowError, TypeError,
    ValueError, struct.error,
)  # fmt: skip


@contextmanager
def own_judgement() -> Iterator[None]:
    """Keep pydicom from judging values while we do: its warnings quote them, patient's names included."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def value(ds: Dataset, keyword: str) -> object:
    """The value of an element, or None where it is absent, empty or cannot be read."""
    try:
        found = ds.get(keyword)
    except UNREADABLE_VALUE:
        return None
    if isinstance(found, str | bytes) and not found.strip():
        return None
    return found


def stated(ds: Dataset, keyword: str) -> bool:
    """True where the element is there and not empty, whether or not its value can be read."""
    try:
        return keyword in ds and not ds[keyword].is_empty
    except UNREADABLE_VALUE:
        return True


def text(ds: Dataset, keyword: str) -> str:
    """The first value of an element in capitals, one blank between words; "" where there is none."""
    found = next(iter(as_list(value(ds, keyword))), "")
    if isinstance(found, bytes):
        found = found.decode("ascii", "replace")
    if isinstance(found, Dataset):  # its own text would be all that is in it, patient's name included
        found = "a sequence"
    return " ".join(str(found or "").upper().split())


def printable(found: str) -> str:
    """What somebody else wrote, as a line of a log, a report or a database can hold it."""
    return "".join(character if character.isprintable() else "?" for character in found).strip()


def as_list(found: object) -> list:
    """A value of any multiplicity as a list; no value is none."""
    if found is None:
        return []
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        return [found]
    return list(found)


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """The values of an element as numbers, [] where one of them is none."""
    try:
        return [float(number) for number in as_list(value(ds, keyword))]
    except UNREADABLE_VALUE:
        return []


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, [] where it is absent, empty or not a sequence."""
    return [item for item in as_list(value(ds, keyword)) if isinstance(item, Dataset)]
