"""The films that judge a version: rows of a manifest, and the way of each through the node's own door."""

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from model.decode import UnreadableFilm
from model.reader import InputSizes, PreparedFilm, prepare, ready
from model.scope import ScopeRules
from model.training.films import LabelledFilm, read_picture, sample, select, without_groups_of


class NoFilms(ValueError):
    """No film of a manifest is in the folds and sources that were asked for."""


PICTURES = frozenset({".jpg", ".jpeg", ".png"})
_WORDS = ("sex", "ethnicity", "view", "manufacturer", "position")
_OF_AGE = 18  # years
RULES = ScopeRules(min_rows=1, min_columns=1)  # the node's, but for the size: films of a set are reduced
# Of films that show no lungs the set says what they are.
ANY = replace(RULES, sop_classes=(), modalities=(), body_parts=(), views=())


@dataclass(frozen=True)
class JudgedFilm(LabelledFilm):
    """One row of a manifest, with what its figures are parted by.

    Parameters
    ----------
    age_group : str
        paediatric, adult or unknown.
    geometry : str
        What was done to the film's shape before it came into the set.
    licence : str
    age : float or None
        Years; None where the manifest has no number.
    sex, ethnicity, view, manufacturer, position : str
        In the manifest's words; empty where it has none.
    bmi : float or None
        kg/m2.
    """

    age_group: str = "unknown"
    geometry: str = "unknown"
    licence: str = ""
    age: float | None = None
    sex: str = ""
    bmi: float | None = None
    ethnicity: str = ""
    view: str = ""
    manufacturer: str = ""
    position: str = ""


def read_films(
    manifest_csv: Path, folds: Collection[int] | None = None, sources: Collection[str] | None = None
) -> list[JudgedFilm]:
    """The labelled films of a manifest.

    Parameters
    ----------
    manifest_csv : Path
        With at least the columns file, label and group_id; and fold and source where these are asked for.
        Without age_group the column age says it.
    folds : collection of int, optional
        Only these; all where not given.
    sources : collection of str, optional
        Only these; all where not given.

    Returns
    -------
    list of JudgedFilm

    Raises
    ------
    NoFilms
    """
    with manifest_csv.open(newline="", encoding="utf-8") as lines:
        films = [
            JudgedFilm(
                row["file"], row["label"], row["group_id"], row.get("source", "unknown"),
                int(row.get("fold", -1)), row.get("age_group") or _age_group(_number(row.get("age"))),
                row.get("geometry", "unknown"), row.get("licence", ""), _number(row.get("age")),
                bmi=_number(row.get("bmi")), **{name: (row.get(name) or "").strip() for name in _WORDS},
            )
            for row in csv.DictReader(lines)
            if (sources is None or row["source"] in sources) and (folds is None or int(row["fold"]) in folds)
        ]  # fmt: skip
    if not films:
        raise NoFilms(f"{manifest_csv}: found no film in folds {folds} of sources {sources}")
    return films


def _number(text: str | None) -> float | None:
    """A number that may be an age or a BMI; None for words such as ``early 40s``."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _age_group(age: float | None) -> str:
    return "unknown" if age is None else "paediatric" if age < _OF_AGE else "adult"


def split(films: Sequence[JudgedFilm], recipe: Mapping) -> dict[str, list[JudgedFilm]]:
    """The films of each side of a version, as its training parted them.

    Parameters
    ----------
    films : sequence of JudgedFilm
        All of the set.
    recipe : mapping
        ``model.toml``.

    Returns
    -------
    dict
        train, validate, test and held_out; no patient of the last is in the others.
    """
    sources, folds = recipe["sources"], recipe["folds"]
    held_out = select(films, sources["held_out"])
    own = without_groups_of(select(films, sources["train"]), held_out)
    sides = {side: select(own, sources["train"], folds[side]) for side in ("train", "validate", "test")}
    if "sample" in recipe:
        sides["train"] = sample(sides["train"], recipe["sample"]["films"], recipe["sample"]["seed"])
    return sides | {"held_out": held_out}


def prepare_file(path: Path, sizes: InputSizes) -> PreparedFilm:
    """A film of a set, through the door that the node's films pass.

    Parameters
    ----------
    path : Path
        DICOM Part 10, JPEG or PNG.
    sizes : InputSizes
        `Reader.input_sizes`.

    Raises
    ------
    OutOfScope, UnreadableFilm
        As `model.reader.prepare`.
    """
    if path.suffix.lower() not in PICTURES:
        return prepare(path, RULES if sizes.lungs else ANY, sizes)
    try:
        picture = read_picture(path)
    except OSError as error:
        if error.errno is not None:
            raise
        raise UnreadableFilm(f"found a picture that ends early ({error}), expected a whole one") from error
    return prepare(as_film(picture), RULES, sizes)


def prepare_picture(picture: np.ndarray, sizes: InputSizes) -> PreparedFilm:
    """A picture that was changed on purpose, made ready whatever it shows.

    Parameters
    ----------
    picture : (rows, columns) uint8
        Display grey levels, black at 0.
    sizes : InputSizes
        `Reader.input_sizes`.
    """
    return ready(picture, sizes, *picture.shape)


def as_film(picture: np.ndarray) -> Dataset:
    """A picture as the DX film that a modality would have sent.

    Parameters
    ----------
    picture : (rows, columns) uint8 or uint16
        Grey levels, black at 0; uint16 holds 12 bits.

    Returns
    -------
    Dataset
        With a window over all grey levels, so that 8 bits come out as they went in.
    """
    bits = 8 if picture.dtype == np.uint8 else 12
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "AP"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = picture.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = picture.dtype.itemsize * 8, bits, bits - 1
    ds.PixelRepresentation = 0
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    ds.PixelData = np.ascontiguousarray(picture).tobytes().ljust(picture.nbytes + picture.nbytes % 2, b"\0")
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    return ds
