"""A labelled collection of drawn chests, for tests of what judges a version."""

import csv
from pathlib import Path

import numpy as np
from conftest import chest_pixels
from PIL import Image

FILMS = 48


def make_collection(folder: Path) -> Path:
    """48 small films of all classes, two sources and the folds 0, 1, 7 and 8; the path of the manifest."""
    rng = np.random.default_rng(8)
    lines = [("file", "label", "group_id", "source", "fold", "age_group", "licence")]
    for i in range(FILMS):
        picture = (chest_pixels(120, 110) // 16 * rng.uniform(0.5, 1) + rng.normal(0, 2, (120, 110))).clip(0)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i}.png")
        label = ("normal", "bacterial", "viral", "covid19")[i % 4]
        source = "raddb" if i % 12 in (10, 11) else "kaggle"
        lines.append((f"{i}.png", label, str(i), source, (0, 1, 7, 7, 8)[i % 5], "adult", "CC BY 4.0"))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return folder / "manifest.csv"
