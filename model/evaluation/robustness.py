"""How far do the scores move where the film means the same?"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from model.evaluation import bootstrap
from model.evaluation.answers import forced_scores
from model.evaluation.films import RULES, JudgedFilm, as_film
from model.reader import Reader, prepare
from model.scope import OutOfScope
from model.training.films import read_picture

MOST_FILMS = 150
SEED = 8
PERCENTILE = 0.99
BATCH = 50
# Largest 99th percentile of the change that is good enough: the same film, and a film as good as the same.
TWIN_BAR, CHANGE_BAR = 0.02, 0.2


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(picture: np.ndarray) -> np.ndarray:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream))

    return change


def _noise(deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(picture: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(SEED).normal(0, deviation, picture.shape)
        return np.rint(picture + noise).clip(0, 255).astype(np.uint8)

    return change


def _rotated(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda picture: np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC))


def _scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Enlarged and cropped, or reduced with black around it; the matrix stays."""

    def change(picture: np.ndarray) -> np.ndarray:
        rows, columns = picture.shape
        middle = np.array([columns, rows]) / 2
        left, top = middle - middle / factor
        place = (1 / factor, 0, left, 0, 1 / factor, top)
        affine = Image.Transform.AFFINE
        return np.asarray(
            Image.fromarray(picture).transform((columns, rows), affine, place, Image.Resampling.BICUBIC)
        )

    return change


def _windowed(centre: float, width: float) -> Callable[[Dataset], None]:
    """Move a window over all grey levels by a share of its width, and widen it."""

    def change(ds: Dataset) -> None:
        ds.WindowCenter, ds.WindowWidth = 128 + 256 * centre, 256 * width

    return change


def _monochrome1(ds: Dataset) -> None:
    ds.PhotometricInterpretation = "MONOCHROME1"


def _squashed(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.LANCZOS))


def _same(_: object) -> None:
    """Leaves the header alone."""


# Name to (change of the picture, change of the header, bar).
CHANGES: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Dataset], None], float]] = {
    "MONOCHROME1 twin": (lambda picture: 255 - picture, _monochrome1, TWIN_BAR),
    "12 bits instead of 8": (lambda picture: picture.astype(np.uint16) * 16 + 8, _same, TWIN_BAR),
    **{f"JPEG quality {q}": (_jpeg(q), _same, CHANGE_BAR) for q in (95, 80, 65, 50)},
    "noise, 2 grey levels of 255": (_noise(2), _same, CHANGE_BAR),
    "noise, 5 grey levels of 255": (_noise(5), _same, CHANGE_BAR),
    "turned by -5 degrees": (_rotated(-5), _same, CHANGE_BAR),
    "turned by +5 degrees": (_rotated(5), _same, CHANGE_BAR),
    "reduced by 10 %": (_scaled(0.9), _same, CHANGE_BAR),
    "enlarged by 10 %": (_scaled(1.1), _same, CHANGE_BAR),
    "window 25 % wider": (np.copy, _windowed(0, 1.25), CHANGE_BAR),
    "window 20 % narrower": (np.copy, _windowed(0, 0.8), CHANGE_BAR),
    "window 10 % lower": (np.copy, _windowed(-0.1, 1), CHANGE_BAR),
    "window 10 % higher": (np.copy, _windowed(0.1, 1), CHANGE_BAR),
    "stretched to 224 x 224": (_squashed, _same, CHANGE_BAR),
}


def robustness(reader: Reader, films: Sequence[JudgedFilm], root: Path) -> dict:
    """Change each film in ways that leave its finding alone, and compare the answers.

    Parameters
    ----------
    reader : Reader
    films : sequence of JudgedFilm
        JPEG or PNG; at most 150 of them are used, always the same.
    root : Path
        Folder their files are relative to.

    Returns
    -------
    dict
        By change: n (films read before and after), refused (by header or picture, after the change alone),
        median and p99 of the largest change of a forced score, 0 to 1, ci95 of the latter, bar, and
        decision_changed, the share of films that got another decision.
    """
    some = np.random.default_rng(SEED).permutation(len(films))[:MOST_FILMS]
    chosen = [films[i] for i in sorted(some)]
    before = _answered(reader, chosen, root, np.copy, _same)
    found = {}
    for name, (of_picture, of_header, bar) in CHANGES.items():
        after = _answered(reader, chosen, root, of_picture, of_header)
        both = [film for film in chosen if film.file in before and film.file in after]
        pairs = [(before[film.file], after[film.file]) for film in both]
        moved = np.array([np.abs(one[0] - other[0]).max() for one, other in pairs])
        weights = bootstrap.draw_weights([film.group for film in both])
        p99 = bootstrap.quantile(np.ones((1, len(moved))), moved, PERCENTILE)[0]
        found[name] = {
            "n": len(both),
            "refused": len(before) - len(both),
            "median": round(float(np.median(moved)), bootstrap.DIGITS),
            "p99": round(float(p99), bootstrap.DIGITS),
            "ci95": bootstrap.intervals({"p99": bootstrap.quantile(weights, moved, PERCENTILE)}),
            "bar": bar,
            "decision_changed": round(
                float(np.mean([one[1] != other[1] for one, other in pairs])), bootstrap.DIGITS
            ),
        }
    return found


def _answered(
    reader: Reader,
    films: Sequence[JudgedFilm],
    root: Path,
    of_picture: Callable[[np.ndarray], np.ndarray],
    of_header: Callable[[Dataset], None],
) -> dict[str, tuple[np.ndarray, str]]:
    """Forced scores and decision by file, of the changed films that are not refused."""
    found: dict[str, tuple[np.ndarray, str]] = {}
    for start in range(0, len(films), BATCH):
        opened, prepared = [], []
        for film in films[start : start + BATCH]:
            ds = as_film(of_picture(read_picture(root / film.file)))
            of_header(ds)
            try:
                prepared.append(prepare(ds, RULES, reader.input_sizes))
            except OutOfScope:
                continue
            opened.append(film.file)
        refusals, passed, lungs = reader.admit(prepared)
        read = [file for file, refusal in zip(opened, refusals, strict=True) if refusal is None]
        answers = reader.answer(passed, lungs)
        scores = forced_scores(*reader.scores(answers), reader.model.cascade)
        decisions = [reading.decision for reading in reader.decide(passed, lungs, answers)]
        found |= {file: (scores[i], decisions[i]) for i, file in enumerate(read)}
    return found
