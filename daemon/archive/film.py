"""What a worker process does with one film of an archive: fetch it, judge its header, decode it."""

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from daemon import identities
from daemon.archive import places
from model import header
from model.decode import UnreadableFilm
from model.header import UNREADABLE_VALUE
from model.reader import InputSizes, PreparedFilm, prepare
from model.scope import OutOfScope, ScopeRules
from storage.states import FilmState

# Columns of the table of scores that a film's header fills.
UIDS = {"sop_instance_uid": "SOPInstanceUID", "study_instance_uid": "StudyInstanceUID"}
TEXTS = {"modality": "Modality", "manufacturer": "Manufacturer", "view_position": "ViewPosition"}


@dataclass(frozen=True)
class Refused:
    """Why a film has no scores.

    Parameters
    ----------
    state : FilmState
        SKIPPED or FAILED.
    code : str
        One of `model.scope.REFUSALS`, or UNREADABLE, MISSING or FAULT.
    reason : str
        Code, what was found and what was expected; nothing of the patient.
    """

    state: FilmState
    code: str
    reason: str


def skipped(error: OutOfScope) -> Refused:
    """A film that is not to be read."""
    return Refused(FilmState.SKIPPED, error.code, str(error))


def failed(code: str, said: str) -> Refused:
    """A film that cannot be read."""
    return Refused(FilmState.FAILED, code, f"{code}: {said}")


@dataclass(frozen=True)
class Decoded:
    """A film as a worker leaves it.

    Parameters
    ----------
    outcome : PreparedFilm or Refused
    row : dict of str to object
        What there is to say of the film itself: its name, its size, values of its header.
    """

    outcome: PreparedFilm | Refused
    row: dict[str, str | int]


def decode(where: str, name: str, rules: ScopeRules, sizes: InputSizes, most_bytes: int) -> Decoded:
    """Fetch a film and make it ready for the networks.

    Parameters
    ----------
    where, name : str
        The place and what the film is called in it.
    rules : ScopeRules
    sizes : InputSizes
        `Reader.input_sizes`.
    most_bytes : int
        A larger file is not read.

    Raises
    ------
    daemon.archive.places.PlaceAway
        If the place, and not the film alone, cannot be read.
    """
    try:
        with places.place(where).open(name) as file:
            return _decode(file, name, rules, sizes, most_bytes)
    except FileNotFoundError:
        refused = failed("MISSING", "found no such film, expected what was listed")
    except places.PlaceAway:
        raise
    except OSError as error:
        if error.errno not in places.OF_THE_FILM:
            raise places.PlaceAway(error.errno, error.strerror, name) from error
        refused = failed("UNREADABLE", f"found {error.strerror}, expected a file to read")
    except ValueError as error:  # no name of a file
        refused = failed("UNREADABLE", f"found {error}, expected the name of a file")
    return Decoded(refused, {"film": shown(name)})


def shown(name: str) -> str:
    """A name as text; bytes of it that are none are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _decode(file: BinaryIO, name: str, rules: ScopeRules, sizes: InputSizes, most_bytes: int) -> Decoded:
    size_bytes = file.seek(0, os.SEEK_END)
    if size_bytes > most_bytes:
        said = f"found a file of {size_bytes >> 20} MiB, expected {most_bytes >> 20} at most"
        return Decoded(failed("UNREADABLE", said), {"film": shown(name), "size_bytes": size_bytes})
    ds = _header(file)
    # A header may name the patient in any element, and so may an archive's folders.
    patient = identities.of(ds)
    outcome: PreparedFilm | Refused
    try:
        outcome = prepare(file, rules, sizes)
    except OutOfScope as error:
        outcome = skipped(OutOfScope(error.code, identities.without(error.found, patient), error.expected))
    except UnreadableFilm as error:
        outcome = failed("UNREADABLE", identities.without(str(error), patient))
    uids = {column: _value(ds, keyword) for column, keyword in UIDS.items()}
    texts = {column: _value(ds, keyword) for column, keyword in TEXTS.items()} | {"film": shown(name)}
    return Decoded(
        outcome,
        {column: uid for column, uid in uids.items() if re.fullmatch(r"[0-9.]{1,64}", uid)}
        | {column: identities.without(value, patient) for column, value in texts.items() if value}
        | {"size_bytes": size_bytes},
    )


def _header(file: BinaryIO) -> Dataset:
    """What can be read of a header, at worst nothing."""
    file.seek(0)
    try:
        return dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, EOFError, *UNREADABLE_VALUE):
        return Dataset()


def _value(ds: Dataset, keyword: str) -> str:
    with header.own_judgement():
        return header.text(ds, keyword)
