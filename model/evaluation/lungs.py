"""Judge the lung network: overlap of the fields, precision of the boxes, what it refuses, time."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from model.evaluation import bootstrap
from model.evaluation.boxes import Corners, average_precision, match
from model.evaluation.gate import gate_figures, gate_table
from model.evaluation.table import shown
from model.lungs import Found, LungFinder
from model.training.films import LabelledFilm, one_channel, read_manifest, read_picture
from model.training.lung_films import LEFT, RIGHT, boxes_of, lungs_apart, mask_files, read_mask

OVERLAPS = (0.5, 0.75)
LUNGS = ("lung_right", "lung_left")
MASKED = ("kaggle", "ieee")  # one convention of masks: the lung behind the heart belongs to it
OTHER_CONVENTION = "openist"  # the heart is left out
SMALLEST_OPACITY = 0.002  # share of the film; smaller pieces of a mask are crumbs of its drawing


@dataclass(frozen=True)
class Seen:
    """A film with its truth and what the network found."""

    film: LabelledFilm
    mask: np.ndarray
    lungs: dict[str, list[Corners]] | None
    opacities: list[Corners] | None
    found: Found


def evaluate(manifest_csv: Path, root: Path) -> dict:
    """Judge the lung network on films it has not learned from.

    Fold 8 of the films with masks of one convention, which the network learned; all films of collections that
    are held out whole, ieee and openist, beside it.

    Parameters
    ----------
    manifest_csv : Path
        Beside it lie ``unlabelled.csv``, ``lung_masks.csv``, ``boxes.csv`` and ``opacity_masks.csv``.
    root : Path
        Folder the files are relative to.

    Returns
    -------
    dict
        model, version, weights_sha256, milliseconds_per_film; ``fields`` and ``boxes`` of each part;
        ``gate``, see `model.evaluation.gate.gate_figures`. A figure stands beside ci95, its 95 % interval
        over patients.
    """
    finder = LungFinder()
    recipe = finder.version.recipe
    films = read_manifest(manifest_csv) + read_manifest(manifest_csv.with_name("unlabelled.csv"))
    seen = see(finder, films, manifest_csv, root, recipe["folds"]["test"])
    test = [one for one in seen if one.film.fold in recipe["folds"]["test"] and one.film.source in MASKED]
    parts = {
        "kaggle and ieee": test,
        "kaggle": [one for one in test if one.film.source == "kaggle"],
        "ieee": [one for one in test if one.film.source == "ieee"],
        "ieee, all folds": [one for one in seen if one.film.source == "ieee"],
        "openist, all folds": [one for one in seen if one.film.source == OTHER_CONVENTION],
    }
    chests = [film for film in read_manifest(manifest_csv) if film.fold in recipe["folds"]["test"]]
    return {
        "model": recipe["name"],
        "version": recipe["version"],
        "weights_sha256": finder.version.weights_sha256,
        "milliseconds_per_film": milliseconds(
            finder, [read_picture(root / film.file) for film in chests[:64]]
        ),
        "fields": {name: field_figures(part) for name, part in parts.items()},
        "boxes": {name: box_figures(part) for name, part in parts.items()},
        "gate": gate_figures(finder, chests, manifest_csv, root),
    }


def see(
    finder: LungFinder, films: Sequence[LabelledFilm], manifest_csv: Path, root: Path, test: Sequence[int]
) -> list[Seen]:
    """The films with masks that the network may be judged by, with their truth and what it finds."""
    masks = mask_files(manifest_csv.with_name("lung_masks.csv"))
    boxes = boxes_of(manifest_csv.with_name("boxes.csv"))
    with manifest_csv.with_name("opacity_masks.csv").open(newline="", encoding="utf-8") as lines:
        opacities = {row["file"]: row["mask_file"] for row in csv.DictReader(lines)}
    judged = [
        film
        for film in films
        if film.file in masks
        and (film.source in ("ieee", OTHER_CONVENTION) or (film.source == "kaggle" and film.fold in test))
    ]
    found = finder.find(one_channel((read_picture(root / film.file) for film in judged), finder.input_size))
    seen = []
    for film, its in zip(judged, found, strict=True):
        mask = read_mask(root / masks[film.file])
        if film.source == "ieee":
            drawn = boxes.get(film.file, [])
            lungs = {
                name: [(box.left, box.top, box.right, box.bottom) for box in drawn if box.kind == name]
                for name in LUNGS
            }
            lungs = lungs if any(lungs.values()) else None
        else:
            apart = lungs_apart(mask)
            lungs = None if apart is None else _lung_boxes(apart)
        its_opacities = None
        if film.file in opacities:
            with Image.open(root / opacities[film.file]) as picture:
                its_opacities = _pieces(np.asarray(picture) > 0)
        seen.append(Seen(film, mask, lungs, its_opacities, its))
    return seen


def _lung_boxes(apart: np.ndarray) -> dict[str, list[Corners]]:
    return {name: [_round(apart == bit)] for name, bit in zip(LUNGS, (RIGHT, LEFT), strict=True)}


def _round(mask: np.ndarray) -> Corners:
    """The box round a mask, as shares of the sides."""
    (top, bottom), (left, right) = (
        (places[0], places[-1] + 1) for places in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    )
    rows, columns = mask.shape
    return left / columns, top / rows, right / columns, bottom / rows


def _pieces(mask: np.ndarray) -> list[Corners]:
    """A box round each piece of a mask."""
    pieces, count = ndimage.label(mask)
    return [
        _round(pieces == piece)
        for piece in range(1, count + 1)
        if (pieces == piece).mean() >= SMALLEST_OPACITY
    ]


def field_figures(seen: Sequence[Seen]) -> dict:
    """Mean Dice and intersection over union of both fields together with the mask, and intervals."""
    both, said, true = np.array([_areas(one) for one in seen]).T
    values = {"dice": 2 * both / (said + true), "iou": both / (said + true - both)}
    weights = _weights([one.film for one in seen])
    return {
        "n": len(seen),
        **{name: float(of_films.mean()) for name, of_films in values.items()},
        "share_dice_below_0.9": float((values["dice"] < 0.9).mean()),
        "lowest_dice": float(values["dice"].min()),
        "ci95": bootstrap.intervals({k: bootstrap.mean(weights, v) for k, v in values.items()}),
    }


def _areas(one: Seen) -> tuple[int, int, int]:
    said = one.found.mask(*one.mask.shape)
    return int((said & one.mask).sum()), int(said.sum()), int(one.mask.sum())


def box_figures(seen: Sequence[Seen]) -> dict:
    """Average precision of lung boxes, mean of right and left, and of opacity boxes where there are any."""
    figures, draws = {}, {}
    for kind, names in (("lung", LUNGS), ("opacity", ("opacity",))):
        truths = [one.lungs if kind == "lung" else one.opacities for one in seen]
        part = [one for one, truth in zip(seen, truths, strict=True) if truth is not None]
        truths = [truth if kind == "lung" else {"opacity": truth} for truth in truths if truth is not None]
        figures[f"n_{kind}"] = len(part)
        if not part:
            continue
        weights = np.concatenate([np.ones((1, len(part))), _weights([one.film for one in part])])
        for least in OVERLAPS:
            of_names = []
            for name in names:
                boxes = [
                    [
                        (box.score, (box.left, box.top, box.right, box.bottom))
                        for box in one.found.boxes
                        if box.name == name
                    ]
                    for one in part
                ]
                matched = match(boxes, [truth[name] for truth in truths], least)
                of_names.append(average_precision(matched, weights))
            figure = np.mean(of_names, axis=0)
            figures[f"{kind}_ap{least * 100:.0f}"] = float(figure[0])
            draws[f"{kind}_ap{least * 100:.0f}"] = figure[1:]
    return figures | {"ci95": bootstrap.intervals(draws)}


def milliseconds(finder: LungFinder, pictures: Sequence[np.ndarray]) -> float:
    """Milliseconds a film, from display picture to answer, by the median of five passes after a first."""
    took = []
    for _ in range(6):
        start = time.perf_counter()
        finder.find(one_channel(pictures, finder.input_size))
        took.append((time.perf_counter() - start) * 1000 / len(pictures))
    return round(float(np.median(took[1:])), 1)


def _weights(films: Sequence[LabelledFilm]) -> np.ndarray:
    return bootstrap.draw_weights([film.group for film in films])


def table(found: dict) -> str:
    """The figures as lines to read, intervals in brackets."""
    lines = [
        f"{found['model']} {found['version']}, {found['milliseconds_per_film']} ms a film",
        "",
        f"{'films':22}{'n':>5}  {'Dice':24}{'IoU':24}{'below 0.9':>9}",
    ]
    for part, of in found["fields"].items():
        low = of["share_dice_below_0.9"]
        lines.append(f"{part:22}{of['n']:5}  {_cell(of, 'dice'):24}{_cell(of, 'iou'):24}{low:9.3f}")
    for kind in ("lung", "opacity"):
        lines += ["", f"{kind + ' boxes':22}{'n':>5}  {'AP50':24}{'AP75':24}"]
        lines += [
            f"{part:22}{of[f'n_{kind}']:5}  {_cell(of, f'{kind}_ap50'):24}{_cell(of, f'{kind}_ap75'):24}"
            for part, of in found["boxes"].items()
            if of[f"n_{kind}"]
        ]
    return "\n".join([*lines, "", *gate_table(found["gate"])])


def _cell(of: dict, name: str) -> str:
    return shown(of[name], of["ci95"][name])
