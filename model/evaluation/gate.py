"""Judge what the node refuses by the picture: chests as they are, changed chests, and what is no chest."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from model import gate
from model.evaluation import bootstrap
from model.evaluation.table import listed, shown
from model.lungs import LungFinder
from model.scope import OutOfScope
from model.training.films import LabelledFilm, one_channel, read_picture
from model.training.lung_films import mask_files, taught
from model.training.not_chests import KINDS, not_chests, photographs

BATCH = 128  # films in memory at once
DRAWN = 30 * len(KINDS)
SEED = 8  # beyond those of the training's own
ACCEPTED_BAR, NAMED_BAR = 0.99, 0.97
ACCEPTED = "accepted"
REFUSED = "refused"
MIRRORED = "a mirrored film cannot be told from one of a patient whose organs lie the other way round"
NEGATIVES = (
    "the photographs are the only real pictures without a chest, and the network learned from cuttings of "
    "them; no picture of another part of the body is among them"
)

# Name to (change of the picture, what becomes of it at best).
CHANGES: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "as they are": (lambda picture: picture, ACCEPTED),
    "turned by 90 degrees": (lambda picture: np.rot90(picture, 1), "ROTATED"),
    "turned by 180 degrees": (lambda picture: np.rot90(picture, 2), "ROTATED"),
    "turned by 270 degrees": (lambda picture: np.rot90(picture, 3), "ROTATED"),
    "inverted": (lambda picture: 255 - picture, "POLARITY_INVERTED"),
    "mirrored": (lambda picture: picture[:, ::-1], ACCEPTED),
    "left half": (lambda picture: picture[:, : picture.shape[1] // 2], REFUSED),
    "right half": (lambda picture: picture[:, picture.shape[1] // 2 :], REFUSED),
}
NAMED = [name for name, (_, wanted) in CHANGES.items() if wanted not in (ACCEPTED, REFUSED)]


def gate_figures(finder: LungFinder, films: Sequence[LabelledFilm], manifest_csv: Path, root: Path) -> dict:
    """What becomes of chests, of changed chests, and of pictures without one, by the node's own code.

    Parameters
    ----------
    finder : LungFinder
    films : sequence of LabelledFilm
        Chests that the network has not learned from.
    manifest_csv : Path
        Beside it lies ``lung_masks.csv``.
    root : Path
        Folder the files are relative to.

    Returns
    -------
    dict
        n; by change wanted, right (share of films that it became of), became (films by what did) and
        by_source, share right; named_right, the mean over the turned and inverted; bars and whether they are
        met; ci95 of right and of named_right; not_chests: of drawn pictures, by kind too, and of photographs,
        n and share refused; notes.
    """
    became = {name: _became(finder, films, root, change) for name, (change, _) in CHANGES.items()}
    right = {
        name: np.array([is_right(code, CHANGES[name][1]) for code in codes], float)
        for name, codes in became.items()
    }
    named = np.mean([right[name] for name in NAMED], axis=0)
    weights = bootstrap.draw_weights([film.group for film in films])
    sources = np.array([film.source for film in films], str)
    accepted, named_right = float(right["as they are"].mean()), float(named.mean())
    return {
        "n": len(films),
        "changes": {
            name: {
                "wanted": CHANGES[name][1],
                "right": float(of.mean()),
                "became": dict(Counter(became[name]).most_common()),
                "by_source": {source: float(of[sources == source].mean()) for source in np.unique(sources)},
            }
            for name, of in right.items()
        },
        "named_right": named_right,
        "bars": {
            "accepted": {"least": ACCEPTED_BAR, "met": accepted >= ACCEPTED_BAR},
            "named_right": {"least": NAMED_BAR, "met": named_right >= NAMED_BAR},
        },
        "ci95": bootstrap.intervals(
            {name: bootstrap.mean(weights, of) for name, of in (right | {"named_right": named}).items()}
        ),
        "not_chests": without_a_chest(finder, films, manifest_csv, root),
        "notes": [MIRRORED, NEGATIVES],
    }


def without_a_chest(
    finder: LungFinder, films: Sequence[LabelledFilm], manifest_csv: Path, root: Path
) -> dict:
    """Share refused of what is no chest: pictures drawn or cut from the films with masks, and photographs."""
    masks = mask_files(manifest_csv.with_name("lung_masks.csv"))
    masked = [film for film in films if film.file in masks]
    cut_from = taught(masked, root, masks, {}, finder.input_size).pixels
    drawn, _ = not_chests(DRAWN, cut_from, finder.version.recipe["seed"] + SEED)
    codes = np.array(codes_of(finder, list(drawn[..., 0])), str)
    of_photographs = codes_of(finder, photographs())
    kinds = np.array([KINDS[i % len(KINDS)].__name__.strip("_") for i in range(DRAWN)], str)
    return {
        "drawn": _refused(codes)
        | {"by_kind": {kind: _refused(codes[kinds == kind]) for kind in np.unique(kinds)}},
        "photographs": _refused(of_photographs),
    }


def codes_of(finder: LungFinder, pictures: Sequence[np.ndarray]) -> list[str]:
    """What becomes of pictures, (rows, columns) uint8 each: the code of the refusal, or accepted."""
    inputs = one_channel(pictures, finder.input_size)
    return [_code(refusal) for refusal in gate.refusals(finder, inputs, finder.find(inputs))]


def _became(
    finder: LungFinder,
    films: Sequence[LabelledFilm],
    root: Path,
    change: Callable[[np.ndarray], np.ndarray],
) -> list[str]:
    codes = []
    for start in range(0, len(films), BATCH):
        batch = films[start : start + BATCH]
        codes += codes_of(finder, [change(read_picture(root / film.file)) for film in batch])
    return codes


def _code(refusal: OutOfScope | None) -> str:
    return ACCEPTED if refusal is None else refusal.code


def is_right(code: str, wanted: str) -> bool:
    """Whether what became of a picture is what was wanted; refused is wanted for whatever reason."""
    return code != ACCEPTED if wanted == REFUSED else code == wanted


def _refused(codes: Sequence[str]) -> dict:
    return {"n": len(codes), "refused": float(np.mean([code != ACCEPTED for code in codes]))}


def gate_table(found: Mapping) -> list[str]:
    """The figures of `gate_figures` as lines to read."""
    lines = [f"{'at the gate, ' + str(found['n']) + ' films':28}{'at best':19}{'share':24}became"]
    for name, row in found["changes"].items():
        share = shown(row["right"], found["ci95"][name])
        lines.append(f"  {name:26}{row['wanted']:19}{share:24}{listed(row['became'])}")
    named = shown(found["named_right"], found["ci95"]["named_right"])
    lines.append(f"  {'turned or inverted':26}{'named':19}{named}")
    lines += ["", f"{'share right':24}" + "  ".join(found["changes"])]
    for source in found["changes"]["as they are"]["by_source"]:
        cells = (f"{row['by_source'][source]:{len(name)}.3f}" for name, row in found["changes"].items())
        lines.append(f"  {source:22}" + "  ".join(cells))
    lines += ["", f"{'no chest':24}{'n':>4}  share refused"]
    not_chests = found["not_chests"]
    rows = {"photographs": not_chests["photographs"], "drawn": not_chests["drawn"]}
    rows |= {f"  {kind.replace('_', ' ')}": row for kind, row in not_chests["drawn"]["by_kind"].items()}
    lines += [f"  {name:22}{row['n']:4}  {row['refused']:.3f}" for name, row in rows.items()]
    lines.append("")
    for name, bar in found["bars"].items():
        lines.append(f"{name.replace('_', ' ')}: {bar['least']} asked, {'met' if bar['met'] else 'not met'}")
    return [*lines, *found["notes"]]
