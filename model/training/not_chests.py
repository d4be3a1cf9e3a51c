"""Pictures that are no chest: drawn, cut from films so that no chest is left, and a few photographs."""

from collections.abc import Callable
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from model.training.lung_films import LEFT, RIGHT

PHOTOGRAPHS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("matplotlib", "mpl-data/sample_data/Minduka_Present_Blue_Pack.png"),
)
WORDS = ("PORTABLE", "AP ERECT", "Patient", "PA", "L", "R", "ABDOMEN", "Page 1", "exposure index", "kV mAs")
MOST_SEEN = 0.15  # share of a lung that may be left in a picture that counts as without it


def not_chests(count: int, films: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw pictures without a chest.

    Parameters
    ----------
    count : int
    films : (n, size, size, 2) uint8
        Films with masks, to cut from: grey levels and bits, as in `model.training.lung_films.Taught`.
    seed : int

    Returns
    -------
    pixels : (count, size, size, 2) uint8
        Grey levels; no bits.
    without_lungs : (count,) bool
        Whether no lung is in it; else nothing is known of its lungs.
    """
    rng, size = np.random.default_rng(seed), films.shape[1]
    pixels = np.zeros((count, size, size, 2), np.uint8)
    without_lungs = np.zeros(count, bool)
    for i in range(count):
        draw = KINDS[i % len(KINDS)]
        grey = draw(rng, size) if draw in DRAWN else draw(rng, films)
        pixels[i, ..., 0] = _spread(grey)
        without_lungs[i] = draw in DRAWN
    return pixels, without_lungs


def _spread(grey: np.ndarray) -> np.ndarray:
    black, white = np.percentile(grey, (1, 99))
    return np.rint(255 * np.clip((grey - black) / ((white - black) or 1.0), 0, 1)).astype(np.uint8)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise, white or as coarse as clouds."""
    return ndimage.gaussian_filter(rng.normal(size=(size, size)), rng.choice([0.0, 1.0, 4.0, 12.0, 30.0]))


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    return np.cos(angle) * x + np.sin(angle) * y + bend * np.hypot(x, y) + rng.normal(0, 0.02, (size, size))


def _test_pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """Bars, checks, rings or steps of grey, as in a check of a monitor."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    waves = rng.uniform(3, 40)
    pattern = (
        np.sign(np.sin(waves * x)),
        np.sign(np.sin(waves * x) * np.sin(waves * y)),
        np.sin(waves * np.hypot(x, y)),
        np.floor(waves / 4 * x) + 0.3 * (np.hypot(x, y) < rng.uniform(0.2, 0.9)),
        (np.maximum(np.abs(x), np.abs(y)) < rng.uniform(0.2, 0.9)).astype(float),
    )[rng.integers(5)]
    return pattern + rng.normal(0, rng.uniform(0.01, 0.3), (size, size))


def _text(rng: np.random.Generator, size: int) -> np.ndarray:
    paper, ink = rng.permutation([30, 220])
    picture = Image.new("L", (size, size), int(paper))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 30)):
        pen.text(tuple(rng.integers(0, size, 2)), str(rng.choice(WORDS)), fill=int(ink))
    return np.asarray(picture, float) + rng.normal(0, 4, (size, size))


def _limb(rng: np.random.Generator, size: int) -> np.ndarray:
    """One to four bright bones, with a joint, in a grey limb on black."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle = rng.uniform(-0.5, 0.5) + rng.choice([0, np.pi / 2])
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    across += rng.uniform(-0.2, 0.2) + 0.1 * np.sin(2 * along + rng.uniform(0, 6))
    width = rng.uniform(0.25, 0.8) * (1 + 0.3 * np.sin(along * rng.uniform(0.5, 2)))
    grey = np.sqrt(np.clip(1 - (across / width) ** 2, 0, None))
    bones = rng.integers(1, 5)
    for place in (np.arange(bones) - (bones - 1) / 2) * rng.uniform(0.25, 0.5):
        thick = rng.uniform(0.07, 0.2) * (1 + 0.4 * np.exp(-((along - rng.uniform(-0.5, 0.5)) ** 2) / 0.02))
        inside = np.clip(1 - ((across - place * width) / (thick * width / 0.6)) ** 2, 0, None)
        grey += rng.uniform(0.7, 1.5) * (inside**0.3 - 0.5 * (inside > 0.6) * inside)
    return ndimage.gaussian_filter(grey, 1) + rng.normal(0, 0.03, (size, size))


def _trunk(rng: np.random.Generator, size: int) -> np.ndarray:
    """A body without air: an ellipse with a bright spine, a ring of bone, and bubbles of gas."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    wide, high = rng.uniform(0.6, 1.2), rng.uniform(0.7, 1.6)
    body = np.clip(1.2 - np.hypot(x / wide, y / high) ** 4, 0, 1)
    grey = body * (1 + 0.5 * np.exp(-((x / rng.uniform(0.08, 0.2)) ** 2)) * (1 + 0.2 * np.sin(y * 25)))
    for _ in range(rng.integers(0, 14)):
        at, wide = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.03, 0.14)
        grey -= body * 0.5 * np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / wide**2))
    ring = np.hypot(x / rng.uniform(0.5, 1), (y - rng.uniform(-0.2, 0.6)) / rng.uniform(0.5, 1))
    grey += rng.uniform(0, 0.8) * body * np.exp(-(((ring - 0.9) / 0.08) ** 2))
    return ndimage.gaussian_filter(grey, 1) + rng.normal(0, 0.04, (size, size))


def photographs() -> list[np.ndarray]:
    """The photographs that packages of the training ship, each (rows, columns) uint8 grey levels."""
    return [np.asarray(_grey(*place)) for place in PHOTOGRAPHS]


def _grey(package: str, name: str) -> Image.Image:
    with resources.files(package).joinpath(name).open("rb") as file, Image.open(file) as picture:
        return picture.convert("RGB").convert("L")


def _photograph(rng: np.random.Generator, size: int) -> np.ndarray:
    """A cutting of a photograph."""
    picture = _grey(*PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))])
    side = int(min(picture.size) * rng.uniform(0.4, 1))
    left, top = (int(rng.integers(0, whole - side + 1)) for whole in picture.size)
    return np.asarray(picture.crop((left, top, left + side, top + side)).resize((size, size)), float)


def _shuffled(rng: np.random.Generator, films: np.ndarray) -> np.ndarray:
    """The tiles of a film in another order."""
    size, tiles = films.shape[1], int(rng.choice([3, 4, 6]))
    film = films[rng.integers(len(films)), ..., 0].astype(float)
    side = size // tiles
    parts = film.reshape(tiles, side, tiles, side).swapaxes(1, 2).reshape(-1, side, side)
    shuffled = parts[rng.permutation(len(parts))].reshape(tiles, tiles, side, side)
    return shuffled.swapaxes(1, 2).reshape(size, size)


def _two(rng: np.random.Generator, films: np.ndarray) -> np.ndarray:
    """Two films side by side, or one above the other."""
    pair = films[rng.integers(len(films), size=2), ..., 0].astype(float)
    if rng.random() < 0.5:
        return np.concatenate(pair, axis=0)[::2]
    return np.concatenate(pair, axis=1)[:, ::2]


def _one_lung(rng: np.random.Generator, films: np.ndarray) -> np.ndarray:
    """A part of a film with one lung at most."""
    size = films.shape[1]
    while True:
        film, places = np.moveaxis(films[rng.integers(len(films))], -1, 0)
        side = int(size * rng.uniform(0.3, 0.6))
        top, left = rng.integers(0, size - side + 1, 2)
        part = np.s_[top : top + side, left : left + side]
        seen = [(places[part] & bit > 0).sum() / (places & bit > 0).sum() for bit in (RIGHT, LEFT)]
        if min(seen) < MOST_SEEN:
            return np.asarray(Image.fromarray(film[part]).resize((size, size)), float)


DRAWN: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    _noise, _gradient, _test_pattern, _text, _limb, _trunk, _photograph, _limb, _trunk,
)  # fmt: skip
CUT: tuple[Callable[[np.random.Generator, np.ndarray], np.ndarray], ...] = (
    _shuffled, _two, _one_lung, _one_lung,
)  # fmt: skip
KINDS = (*DRAWN, *CUT)  # in turn
