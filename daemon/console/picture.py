"""What the browser draws of a film, as one answer: its values, and where the model looked."""

import json
import struct
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from daemon.results import maps, overlay
from daemon.results.contours import closed_lines
from model.activation import CONTOUR_LEVEL, is_empty, spread
from model.decode import UnreadableFilm
from model.header import own_judgement, text, value
from model.lungs import either_lung
from model.pixels import display_picture
from model.scope import ScopeRules, check_matrix
from model.values import FilmValues, film_values
from storage.film_maps import FilmMap

LONGEST_SIDE, FULL_SIDE = 1024, 4096
ACTIVATION_SIDE = 256
MOST_POINTS = 200
_SHOWN = {"mean": "statistics_mean", "entropy": "histogram_entropy", "contrast": "glcm_contrast"}
_IDENTITY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_SEX = {"M": "male", "F": "female", "O": "other"}


def of_film(
    path: Path, rules: ScopeRules, film_map: FilmMap | None, has_place: bool, longest_side: int
) -> bytes:
    """The answer for a film in the spool; runs in a worker.

    Parameters
    ----------
    path : Path
    rules : ScopeRules
        For the size of its matrix alone.
    film_map : FilmMap or None
    has_place : bool
        Whether the class whose activation it holds can lie somewhere; else none is drawn.
    longest_side : int
        Most pixels of a side.

    Raises
    ------
    OSError
        If the file is gone.
    model.scope.OutOfScope, UnreadableFilm
        If there is no picture to be had.
    """
    ds = _read(path)
    with own_judgement():
        check_matrix(ds, rules)
        values = film_values(ds, longest_side)
        about = {"marker": marker(ds), "caption": caption(ds)}
    activation, lungs = (None, None) if film_map is None else maps.unpack(film_map)
    return pack(values, about, activation if has_place else None, lungs)


def pack(
    values: FilmValues,
    about: dict[str, object],
    activation: np.ndarray | None,
    lungs: np.ndarray | None,
) -> bytes:
    """32 bits with the length of a JSON text, the text, table and activation as bytes, values in 16 bits.

    All little-endian; the JSON is filled up with blanks so that the values begin at an even place.

    Parameters
    ----------
    values : FilmValues
    about : dict
        More for the JSON.
    activation : (grid_rows, grid_columns) float32 or None
        0 to 1; None or empty where none is to be drawn.
    lungs : (lung_rows, lung_columns, 2) bool or None
    """
    rows, columns = values.values.shape
    share = np.zeros((0, 0), np.float32)
    if activation is not None and not is_empty(activation):
        scale = ACTIVATION_SIDE / max(rows, columns)
        share = spread(activation, max(round(rows * scale), 1), max(round(columns * scale), 1))
    told = about | {
        "rows": rows,
        "columns": columns,
        "levels": len(values.table),
        "activation": share.shape,
        "contour": _lines(share, CONTOUR_LEVEL) if share.size else [],
        "lungs": [] if lungs is None else _lines(overlay.smooth(either_lung(lungs)), overlay.MIDDLE),
    }
    for field in ("origin", "step", "centre", "width", "inverse", "warnings"):
        told[field] = getattr(values, field)
    encoded = json.dumps(told).encode()
    filling = b" " * ((len(encoded) + len(values.table) + share.size) % 2)
    return b"".join([
        struct.pack("<L", len(encoded) + len(filling)), encoded, filling, values.table.tobytes(),
        np.rint(255 * share).astype(np.uint8).tobytes(), values.values.astype("<u2").tobytes(),
    ])  # fmt: skip


def texture(path: Path, rules: ScopeRules, film_map: FilmMap) -> dict[str, dict[str, float]]:
    """Figures of each lung of a film in the spool, by side; runs in a worker.

    Raises
    ------
    OSError, model.scope.OutOfScope, UnreadableFilm
        As `of_film`.
    """
    ds = _read(path)
    with own_judgement():
        check_matrix(ds, rules)
        display, _ = display_picture(ds)
    _, lungs = maps.unpack(film_map)
    # SciPy's graphs take 0.1 s to load, in each worker of a console that nobody asks for texture.
    from model.texture.regions import textures  # noqa: PLC0415

    return {
        side: {name: found[key] for name, key in _SHOWN.items() if key in found}
        for side, found in textures(display, lungs).items()
    }


def identity(path: Path) -> dict[str, str]:
    """Name, ID, birth date and sex as the film's header has them; runs in a worker.

    What does not decode is shown by replacement characters.

    Raises
    ------
    OSError
        If the file is gone.
    UnreadableFilm
        If it is no Part 10 file.
    """
    ds = _read(path, stop_before_pixels=True)
    with own_judgement():
        name, patient_id, born, sex = (_text(ds, keyword) for keyword in _IDENTITY)
    if len(born) == 8 and born.isdigit():
        born = f"{born[:4]}-{born[4:6]}-{born[6:]}"
    return {"name": name, "id": patient_id, "born": born, "sex": _SEX.get(sex, sex)}


def _read(path: Path, stop_before_pixels: bool = False) -> Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise UnreadableFilm("found no readable data set, expected a DICOM Part 10 file") from error


def _text(ds: Dataset, keyword: str) -> str:
    """A value for a person: printable, groups of a name in brackets, carets as blanks."""
    declared = value(ds, "SpecificCharacterSet")
    raw = ds.get_item(keyword)
    if not declared and raw is not None and isinstance(raw.value, bytes):
        found = raw.value.decode("ascii", "replace")  # PS3.5 6.1.2.1: nothing else is declared
    else:
        found = str(value(ds, keyword) or "")
    first, *others = (" ".join(group.replace("^", " ").split()) for group in found.split("="))
    shown = " ".join([first, *(f"({group})" for group in others if group)]).strip()
    return "".join(letter if letter.isprintable() else "�" for letter in shown.strip("\0"))


def marker(ds: Dataset) -> str:
    """Which side of the patient is at the left of the picture (PS3.3 C.7.6.1.1.1); empty if not stated."""
    return {"L": "R", "R": "L"}.get(text(ds, "PatientOrientation")[:1], "")


def caption(ds: Dataset) -> str:
    """Matrix, bits and polarity of a film."""
    photometric = text(ds, "PhotometricInterpretation")
    positive = " shown positive" if photometric == "MONOCHROME1" else ""
    return f"{ds.Columns} × {ds.Rows}, {ds.BitsStored} bit, {photometric}{positive}"


def _lines(field: np.ndarray, level: float) -> list[list[float]]:
    """Lines as column and row in turn, each from 0 to 1 over the film."""
    return [line.ravel().round(4).tolist() for line in closed_lines(field, level, 1, 1, MOST_POINTS)]
