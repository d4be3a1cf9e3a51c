"""Drawn chests with and without a bright patch in a lung, and hands with and without a dark one in a bone.

Films of two classes that cost nothing.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from conftest import chest_pixels
from PIL import Image

COLUMNS = ("file", "label", "group_id", "source", "fold", "age_group", "geometry", "licence")
# Source, fold and films of each side of the split.
SIDES = (("drawn", 0, 128), ("drawn", 7, 24), ("drawn", 8, 24), ("elsewhere", 1, 8))


def drawn(seed: int, *, has_patch: bool) -> np.ndarray:
    """A drawn chest, (600, 560) uint16, 12 bits, with a patch in the right lung or none."""
    rng = np.random.default_rng(seed)
    pixels = np.roll(chest_pixels(), rng.integers(-15, 16, 2), axis=(0, 1)).astype(float)
    pixels *= rng.uniform(0.9, 1.0)
    y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    if has_patch:
        side, row = -1, rng.uniform(-0.1, 0.1)
        pixels += 2200 * np.exp(-(((x - 0.45 * side) / 0.14) ** 2) - ((y - row) / 0.16) ** 2)
    return np.clip(pixels, 0, 4095).astype(np.uint16)


def drawn_hand(seed: int, *, has_patch: bool) -> np.ndarray:
    """Five bright bones side by side, (600, 560) uint16, 12 bits, the middle one with a patch or none."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:600j, -1:1:560j]
    x = x + rng.uniform(-0.05, 0.05)
    bone = np.maximum.reduce([np.exp(-(((x - at) / 0.08) ** 4)) for at in (-0.7, -0.35, 0, 0.35, 0.7)])
    pixels = 500 + 2800 * bone * rng.uniform(0.9, 1.0) * (np.abs(y) < 0.85)
    if has_patch:
        pixels -= 2600 * np.exp(-((x / 0.14) ** 2) - ((y - rng.uniform(-0.1, 0.1)) / 0.16) ** 2)
    return np.clip(pixels + rng.normal(0, 20, x.shape), 0, 4095).astype(np.uint16)


def write_set(root: Path, draw: Callable[..., np.ndarray] = drawn) -> Path:
    """The films as PNG and their manifest, half of each side with a patch; the manifest's path."""
    rows, seed = [], 0
    for source, fold, films in SIDES:
        for number in range(films):
            seed += 1
            name, label = f"{seed}.png", ("clear", "patch")[number % 2]
            picture = (draw(seed, has_patch=label == "patch") >> 4).astype(np.uint8)
            Image.fromarray(picture).resize((280, 300)).save(root / name)
            rows.append((name, label, f"g{seed}", source, fold, "adult", "native", "CC0"))
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return root / "manifest.csv"
