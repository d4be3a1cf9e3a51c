"""Which films train, validate and test a version, and their pictures."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread

from model.framing import framed
from model.header import own_judgement
from model.lungs import LungFinder
from model.pixels import display_picture
from model.preprocess import network_input

BATCH = 64  # films in memory at once while their lungs are looked for


@dataclass(frozen=True)
class LabelledFilm:
    """One row of the training set's manifest.

    Parameters
    ----------
    file : str
        Relative to the set's folder.
    label : str
        normal, bacterial, viral (other than COVID-19) or covid19.
    group : str
        Patient, or patients merged where one film was found under two: what a split must not divide.
    source : str
        Collection the film comes from.
    fold : int
    """

    file: str
    label: str
    group: str
    source: str
    fold: int


def read_manifest(path: Path) -> list[LabelledFilm]:
    """Every labelled film that `path`, a CSV file with a header line, lists."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            LabelledFilm(row["file"], row["label"], row["group_id"], row["source"], int(row["fold"]))
            for row in csv.DictReader(lines)
        ]


def files_found(path: Path, words: str) -> set[str]:
    """Files of a manifest whose source says these words of them, in the column ``other``."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {row["file"] for row in csv.DictReader(lines) if words in row["other"]}


def untyped_pneumonia(path: Path) -> list[LabelledFilm]:
    """The unlabelled films whose source says pneumonia and no cause, labelled ``pneumonia``."""
    said = files_found(path, "Pneumonia")
    return [replace(film, label="pneumonia") for film in read_manifest(path) if film.file in said]


def select(
    films: Iterable[LabelledFilm], sources: Collection[str], folds: Collection[int] | None = None
) -> list[LabelledFilm]:
    """The films of these sources, and of these folds unless None."""
    return [film for film in films if film.source in sources and (folds is None or film.fold in folds)]


def without_groups_of(films: Iterable[LabelledFilm], held_out: Iterable[LabelledFilm]) -> list[LabelledFilm]:
    """The films whose patients do not occur among those held out."""
    groups = {film.group for film in held_out}
    return [film for film in films if film.group not in groups]


def sample(films: Sequence[LabelledFilm], counts: Mapping[str, int], seed: int) -> list[LabelledFilm]:
    """So many films of each label, drawn by seed; the order stays.

    Raises
    ------
    ValueError
        If there are fewer.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for label, count in counts.items():
        places = [i for i, film in enumerate(films) if film.label == label]
        if len(places) < count:
            raise ValueError(f"{len(places)} films are {label}, expected {count} or more")
        drawn += list(rng.choice(places, count, replace=False))
    return [films[i] for i in sorted(drawn)]


def require_disjoint(**sides: Sequence[LabelledFilm]) -> None:
    """Refuse a split that has one patient on two sides.

    Raises
    ------
    ValueError
        With the number of shared groups and the names of the sides.
    """
    names = list(sides)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            shared = {film.group for film in sides[one]} & {film.group for film in sides[other]}
            if shared:
                raise ValueError(
                    f"{len(shared)} groups are in both {one} and {other}, expected none, e.g. {min(shared)}"
                )


def read_picture(path: Path) -> np.ndarray:
    """A JPEG, PNG or DICOM file as (rows, columns) uint8 display grey levels, black at 0."""
    if path.suffix.lower() == ".dcm":
        with own_judgement():
            return display_picture(dcmread(path))[0]
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def one_channel(pictures: Iterable[np.ndarray], size: int) -> np.ndarray:
    """Inputs of a network that takes one channel, (n, size, size, 1) float32, 0 to 1."""
    return np.stack([network_input(picture, size)[..., :1] for picture in pictures])


def displays(films: Sequence[LabelledFilm], root: Path, framing: Mapping | None) -> Iterator[np.ndarray]:
    """What a version is shown of each film, by the same code as in serving.

    Parameters
    ----------
    films : sequence of LabelledFilm
    root : Path
        Folder their files are relative to.
    framing : mapping or None
        The table ``[framing]`` of ``model.toml``; None shows the whole film.

    Yields
    ------
    (rows, columns) uint8
        Grey levels, black at 0; one for each film, in their order.
    """
    if framing is None:
        yield from (read_picture(root / film.file) for film in films)
        return
    finder = LungFinder()
    for start in range(0, len(films), BATCH):
        pictures = [read_picture(root / film.file) for film in films[start : start + BATCH]]
        lungs = finder.find(one_channel(pictures, finder.input_size))
        for picture, found in zip(pictures, lungs, strict=True):
            yield framed(picture, found.lungs, framing)


def network_inputs(
    films: Sequence[LabelledFilm], root: Path, size: int, framing: Mapping | None
) -> np.ndarray:
    """The films' network inputs, (n, size, size, 3) float32, 0 to 1; `framing` as for `displays`."""
    return np.stack([network_input(picture, size) for picture in displays(films, root, framing)])
