"""What the process that tries a film does: all of a reading, from bytes in memory to an answer, no file."""

import dataclasses
import logging
import os
from io import BytesIO

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from daemon.config import Config
from daemon.console import picture
from model.decode import UnreadableFilm
from model.findings import Reading
from model.header import UNREADABLE_VALUE, own_judgement
from model.plain import plain_film
from model.reader import PreparedFilm, Reader, prepare, ready
from model.scope import OutOfScope, check_matrix
from model.values import FilmValues, film_values, plain_values

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_readers: dict[str, Reader] = {}


@dataclasses.dataclass(frozen=True)
class Tried:
    """What became of a film that was tried.

    Parameters
    ----------
    answer : Reading or OutOfScope
    picture : bytes
        As `daemon.console.picture.pack` makes it; empty where there is none.
    """

    answer: Reading | OutOfScope
    picture: bytes


def read(content: bytes, config: Config) -> Tried:
    """Read a film that is held in memory; the network is loaded at the first.

    Parameters
    ----------
    content : bytes
        A DICOM Part 10 file, PNG or JPEG.
    config : Config
        Its model and scope.

    Raises
    ------
    UnreadableFilm
        If it is none of these, or broken.
    """
    logging.disable()  # nobody is told of these films
    reader = _reader(config.model.version)
    try:
        values, about, prepared = _made_ready(content, config, reader)
    except OutOfScope as refusal:
        return Tried(refusal, b"")
    if isinstance(prepared, OutOfScope):
        return Tried(prepared, picture.pack(values, about, None, None))
    [answer] = reader.read([prepared])
    activation: np.ndarray | None = None
    lungs: np.ndarray | None = None
    if isinstance(answer, Reading):
        lungs = answer.lungs
        if answer.points_at_a_place:
            activation = answer.activation
    return Tried(answer, picture.pack(values, about, activation, lungs))


def _reader(version: str) -> Reader:
    if version not in _readers:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        _readers[version] = Reader(version, 1)
    return _readers[version]


def _made_ready(
    content: bytes, config: Config, reader: Reader
) -> tuple[FilmValues, dict[str, object], PreparedFilm | OutOfScope]:
    """What is shown of a film, and what the networks are given of it, or why nothing is."""
    if content.startswith(_SIGNATURES):
        film = plain_film(content, config.scope)
        about = {"marker": "", "caption": film.caption}
        return plain_values(film.display), about, ready(
            film.display, reader.input_sizes, film.rows, film.columns
        )  # fmt: skip
    try:
        ds = pydicom.dcmread(BytesIO(content))
    except (InvalidDicomError, EOFError, OSError, *UNREADABLE_VALUE) as error:
        raise UnreadableFilm("found no readable file, expected DICOM Part 10, PNG or JPEG") from error
    refusal = None
    with own_judgement():
        try:
            prepared = prepare(ds, config.scope, reader.input_sizes)
        except OutOfScope as error:
            refusal = error
        try:
            check_matrix(ds, config.scope)
            values = film_values(ds, picture.LONGEST_SIDE)
        except (OutOfScope, UnreadableFilm):
            if refusal is None:
                raise
            raise refusal from None  # it is told without a picture
        about = {"marker": picture.marker(ds), "caption": picture.caption(ds)}
    return values, about, refusal or prepared
