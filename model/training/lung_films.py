"""Films with lung masks and boxes: the truth that the lung network learns from and is judged by."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from model.preprocess import network_input
from model.training.films import LabelledFilm, read_picture

RIGHT, LEFT, OPACITY = 1, 2, 4  # bits of a film's places
SMALLEST_LUNG = 0.15  # share of the other's area: a piece, not a lung
OPACITIES = ("nih_pneumonia", "nih_infiltrate")


@dataclass(frozen=True)
class Box:
    """A box of ``boxes.csv``, as shares of the film's sides, 0 to 1."""

    kind: str
    left: float
    top: float
    right: float
    bottom: float


def mask_files(path: Path) -> dict[str, str]:
    """File of the lung mask of each film that ``lung_masks.csv`` lists."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {row["file"]: row["mask_file"] for row in csv.DictReader(lines)}


def boxes_of(path: Path) -> dict[str, list[Box]]:
    """The boxes of each film that ``boxes.csv`` lists."""
    found: dict[str, list[Box]] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            x, y, width, height = (float(row[side]) for side in "xywh")
            columns, rows = int(row["image_width"]), int(row["image_height"])
            box = Box(row["box_type"], x / columns, y / rows, (x + width) / columns, (y + height) / rows)
            found.setdefault(row["file"], []).append(box)
    return found


def read_mask(path: Path) -> np.ndarray:
    """Where a lung is, an object over it or not, (rows, columns) bool."""
    with Image.open(path) as picture:  # 0 outside, 1 an object over the lung, 2 lung
        return np.asarray(picture) > 0


def lungs_apart(mask: np.ndarray) -> np.ndarray | None:
    """Tell the lungs of a mask apart by their place.

    Parameters
    ----------
    mask : (rows, columns) bool
        The film shown as is the custom, the patient's right at the left.

    Returns
    -------
    (rows, columns) uint8, or None
        `RIGHT`, `LEFT` or 0; None where the mask is not of two lungs that stand apart.
    """
    pieces, count = ndimage.label(mask)
    if count < 2:
        return None
    areas = np.bincount(pieces.ravel())[1:]
    one, other = np.argsort(areas)[::-1][:2] + 1
    if areas[other - 1] < SMALLEST_LUNG * areas[one - 1]:
        return None
    centres = np.array(ndimage.center_of_mass(mask, pieces, np.arange(1, count + 1)))[:, 1]  # columns
    right, left = sorted((centres[one - 1], centres[other - 1]))
    names = np.where(np.abs(centres - right) <= np.abs(centres - left), RIGHT, LEFT)
    return np.concatenate([[0], names]).astype(np.uint8)[pieces]


def square(places: np.ndarray, size: int) -> np.ndarray:
    """Bits of a film stretched to the network's square, (size, size) uint8."""
    return np.asarray(Image.fromarray(places).resize((size, size), Image.Resampling.NEAREST))


def square_film(film: np.ndarray, size: int) -> np.ndarray:
    """A film (rows, columns) uint8 as the network is served it, (size, size) uint8."""
    return np.rint(255 * network_input(film, size)[..., 0]).astype(np.uint8)


def opacity_places(boxes: Sequence[Box], size: int) -> np.ndarray:
    """The bit `OPACITY` inside the boxes of opacities, (size, size) uint8."""
    places = np.zeros((size, size), np.uint8)
    for box in boxes:
        if box.kind in OPACITIES:
            left, top, right, bottom = (
                round(size * side) for side in (box.left, box.top, box.right, box.bottom)
            )
            places[max(top, 0) : bottom, max(left, 0) : right] = OPACITY
    return places


@dataclass(frozen=True)
class Taught:
    """Films and what is known of each, as arrays.

    Parameters
    ----------
    pixels : (n, size, size, 2) uint8
        Grey levels, and the bits of the places.
    known : (n, 4) float32
        1 where it is known: where the lungs are; where the opacities are; how the film lies; and, not what
        is known but what is: a chest.
    kinds : (n,) str
        masked, opacity, adult or not_chest.
    """

    pixels: np.ndarray
    known: np.ndarray
    kinds: np.ndarray


def taught(
    films: Sequence[LabelledFilm],
    root: Path,
    masks: Mapping[str, str],
    boxes: Mapping[str, Sequence[Box]],
    size: int,
) -> Taught:
    """Read films with what is known of them.

    Where a film has a mask, its lungs are known; where it has the box of an opacity or is normal, its
    opacities are. A mask that is not of two lungs apart leaves its film out.
    """
    pixels, known, kinds = [], [], []
    for film in films:
        places = opacity_places(boxes.get(film.file, ()), size)
        opacity = bool(places.any())
        masked = film.file in masks
        if masked:
            apart = lungs_apart(read_mask(root / masks[film.file]))
            if apart is None:
                continue
            places |= square(apart, size)
        pixels.append(np.stack([square_film(read_picture(root / film.file), size), places], axis=-1))
        known.append((masked, opacity or film.label == "normal", True, True))
        kinds.append("masked" if masked else "opacity" if opacity else "adult")
    return Taught(np.stack(pixels), np.array(known, np.float32), np.array(kinds))
