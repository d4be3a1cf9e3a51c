"""Read header values that may be missing, malformed or in unknown letters, without ever raising."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

# What pydicom raises while it turns the bytes of an element into a value: unknown charset (LookupError),
# wrong length, no number, VR that does not fit.
UNREADABLE_VALUE = (
    ValueError, TypeError, LookupError, AttributeError, NotImplementedError, OverflowError, struct.error,
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
        return None if found is None or str(found).strip() == "" else found
    except UNREADABLE_VALUE:
        return None


def stated(ds: Dataset, keyword: str) -> bool:
    """True where the element is there and not empty, whether or not its value can be read."""
    try:
        return keyword in ds and not ds[keyword].is_empty
    except UNREADABLE_VALUE:
        return True


def text(ds: Dataset, keyword: str) -> str:
    """The first value of an element in capitals, one blank between words; "" where there is none."""
    found = value(ds, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", "replace")
    first = str(found).split("\\")[0] if isinstance(found, str) else next(iter(numbers_or_words(found)), "")
    return " ".join(str(first).upper().split())


def numbers_or_words(found: object) -> list:
    """A value of any multiplicity as a list."""
    if found is None:
        return []
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        return [found]
    return list(found)


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """The values of an element as numbers, [] where one of them is none."""
    try:
        return [float(number) for number in numbers_or_words(value(ds, keyword))]
    except UNREADABLE_VALUE:
        return []


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, [] where it is absent, empty or not a sequence."""
    return [item for item in numbers_or_words(value(ds, keyword)) if isinstance(item, Dataset)]
