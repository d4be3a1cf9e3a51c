"""The pictures of a card."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from model.evaluation.answers import CLASSES, Judged
from model.training.films import read_picture

DPI = 100
COLOURS = 64  # of a palette: enough for a drawing, and for a small film
FEWEST = 5  # films in a bin, for its share right to be drawn
# Films that may be shown: their licences allow it.
SHOWN_SOURCES = frozenset({"kaggle", "cxnet", "hannover", "nih"})
FAILURES = 8
THUMBNAIL = 190  # pixels, longest side


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of few colours."""
    figure.savefig(path, dpi=DPI)
    with Image.open(path) as drawn:
        few = drawn.convert("RGB").quantize(COLOURS)
    few.save(path, optimize=True)


def draw_calibration(sides: Mapping[str, dict], path: Path) -> None:
    """Share right against leading score, and how many films have such a score.

    Parameters
    ----------
    sides : mapping
        Name of a set of films to what `evaluate` gives of it.
    path : Path
        PNG to write.
    """
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False)[0]
    for panel, (name, found) in zip(panels, sides.items(), strict=True):
        bins = found["reliability"]
        counts, score, right = (np.array([row[key] for row in bins]) for key in ("n", "score", "right"))
        enough = counts >= FEWEST
        panel.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="score = share right")
        panel.bar(score, counts / counts.sum(), 0.03, color="0.8", label="share of the films")
        panel.plot(score[enough], right[enough], "o-", color="tab:blue", label="share right")
        ece = found["calibration"]["ece"]
        panel.set(title=f"{name}: calibration error {ece:.3f}", xlabel="highest of the four scores")
        panel.set(xlim=(0.2, 1.02), ylim=(0, 1.02))
    panels[0].set_ylabel("share")
    panels[0].legend(loc="upper left", fontsize="small")
    save(figure, path)


def draw_sources(sides: Mapping[str, dict], path: Path) -> None:
    """Accuracy of each source with its interval.

    Parameters
    ----------
    sides : mapping
        As for `draw_calibration`.
    path : Path
        PNG to write.
    """
    rows = [
        (f"{source} ({found['n']})", colour, found)
        for (_, side), colour in zip(sides.items(), ("tab:blue", "tab:orange"), strict=False)
        for source, found in side["by_source"].items()
        if "accuracy" in found
    ]
    figure = Figure(figsize=(8, 0.8 + 0.34 * len(rows)), layout="constrained")
    panel = figure.subplots()
    for place, (_, colour, found) in enumerate(rows):
        low, high = found["ci95"]["accuracy"]
        panel.plot([low, high], [place, place], color=colour)
        panel.plot(found["accuracy"], place, "o", color=colour)
    panel.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="accuracy of the forced answer, 95 % interval (blue: sources trained on)")
    panel.grid(axis="x", color="0.9")
    save(figure, path)


def surest_failures(judged: Judged) -> list[int]:
    """Places of the wrong answers with the highest scores, among films that may be shown, surest first."""
    wrong = judged.scores.argmax(axis=1) != judged.truth
    shown = [film.source in SHOWN_SOURCES for film in judged.films]
    places = np.flatnonzero(wrong & np.array(shown, bool))
    return list(places[np.argsort(-judged.scores.max(axis=1)[places], kind="stable")][:FAILURES])


def draw_failures(judged: Judged, places: Sequence[int], root: Path, path: Path) -> None:
    """The films at these places, what each is and what was said.

    Parameters
    ----------
    judged : Judged
    places : sequence of int
        From `surest_failures`.
    root : Path
        Folder the files are relative to.
    path : Path
        PNG to write.
    """
    columns = 4
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(8, 2.45 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (panel, place) in enumerate(zip(panels, [*places, *[None] * len(panels)], strict=False), 1):
        panel.set_axis_off()
        panel.set_anchor("N")
        if place is None:
            continue
        film, scores = judged.films[place], judged.scores[place]
        picture = Image.fromarray(read_picture(root / film.file))
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
        said = CLASSES[int(scores.argmax())]
        title = f"{number}: is {film.label},\nsaid {said}, score {100 * scores.max():.0f}"
        panel.set_title(title, fontsize="small")
    save(figure, path)
