"""Examples in a report: films answered rightly and wrongly, and where the model looked."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from model.evaluation.answers import Judged
from model.evaluation.films import JudgedFilm, prepare_file
from model.evaluation.metrics import forced
from model.findings import Reading
from model.reader import Reader
from model.study.report_drawing import panels, style
from model.study.report_parts import Figure, Section, title

# How a licence begins that lets everyone show a film and draw on it, and asks no more than to be named.
FREE = ("CC0", "CC BY 1.0", "CC BY 2.0", "CC BY 2.5", "CC BY 3.0", "CC BY 4.0", "public domain",
        "NIH: no restriction on use")  # fmt: skip
LONGEST_SIDE = 360  # pixels of a film as printed
DPI = 220
JPEG_QUALITY = 82
Overlay = Callable[[np.ndarray, Reading], np.ndarray]


def may_be_shown(film: JudgedFilm) -> bool:
    """Whether a film's licence lets everyone show it with a heatmap on it.

    Licences for other than commercial use, those that forbid a changed picture or ask for the same licence of
    what it is in, and films whose manifest states none, do not.
    """
    return film.licence.casefold().startswith(tuple(licence.casefold() for licence in FREE))


def section(judged: Judged, reader: Reader, root: Path, which: str, overlay: Overlay) -> Section:
    """Of each class the surest right and the surest wrong answer, film and heatmap.

    Parameters
    ----------
    judged : Judged
    reader : Reader
        The version that judged them.
    root : Path
        Folder the films' files are relative to.
    which : str
        ``licensed``, the films of which `may_be_shown` holds; ``all``; or ``none``.
    overlay : callable
        Film and reading to the film with its heatmap, (rows, columns, 3) uint8.
    """
    allowed = np.array(
        [which == "all" or (which == "licensed" and may_be_shown(f)) for f in judged.films], bool
    )
    said = forced(judged)
    chosen = [
        (label, words, place)
        for number, label in enumerate(judged.classes)
        for words, fits in (("right", said == number), ("wrong", said != number))
        if (place := _surest(judged, allowed & fits & (judged.truth == number))) is not None
    ]
    lead = (_left_out(judged, which, int((~allowed).sum())),)
    if not chosen:
        return Section("examples", "Examples", lead)
    figure = Figure(
        "heatmaps",
        "Films answered rightly and wrongly, and where the model looked",
        " ".join(_described(judged, number, *one) for number, one in enumerate(chosen, 1)),
        _drawn(judged, reader, root, chosen, overlay),
        "Of each class the right and the wrong answer with the highest score. Left, the film; right, the "
        "class activation in amber from 35% of its maximum, the white line at 50%"
        f"{', the outline of the lungs in blue' if reader.model.lungs else ''}; an answer of "
        f"{judged.cascade.absence} points at no place. An activation shows where the network's "
        "answer came from; it is no outline of a "
        "finding. " + _credits(judged, [place for *_, place in chosen]),
    )
    return Section("examples", "Examples", lead, (figure,))


def _surest(judged: Judged, fits: np.ndarray) -> int | None:
    places = np.flatnonzero(fits)
    return int(places[judged.scores.max(axis=1)[places].argmax()]) if len(places) else None


def _left_out(judged: Judged, which: str, number: int) -> str:
    if which == "none":
        return "This report shows no films."
    if which == "all":
        return (
            "Films are shown whatever their licence: this report is for the eyes of those who may see them."
        )
    return (
        f"{number} of {len(judged.films)} films are never shown here, for the manifest states no licence "
        "that lets everyone show and change them (public domain or CC BY)."
    )


def _described(judged: Judged, number: int, label: str, words: str, place: int) -> str:
    said = title(judged.classes[int(judged.scores[place].argmax())])
    score = 100 * judged.scores[place].max()
    return f"{number}: {title(label)}, answered {words} with {said}, score {score:.0f}."


def _credits(judged: Judged, places: Sequence[int]) -> str:
    stated = sorted({(judged.films[place].source, judged.films[place].licence) for place in places})
    return "Sources: " + "; ".join(f"{source}, {licence or 'no licence'}" for source, licence in stated) + "."


def _drawn(
    judged: Judged, reader: Reader, root: Path, chosen: Sequence[tuple[str, str, int]], overlay: Overlay
) -> bytes:
    """The films in two columns, as JPEG."""
    prepared = [prepare_file(root / judged.films[place].file, reader.input_sizes) for *_, place in chosen]
    with style():
        figure, axes = panels(len(chosen), 1.9, columns=2)
        for number, (axis, (label, words, place), film, reading) in enumerate(
            zip(axes, chosen, prepared, reader.read(prepared), strict=True), 1
        ):
            display = _reduced(film.display)
            plain = np.repeat(display[:, :, np.newaxis], 3, axis=2)
            gap = np.full((display.shape[0], 6, 3), 255, np.uint8)
            axis.imshow(np.concatenate([plain, gap, overlay(display, reading)], axis=1))
            axis.set_axis_off()
            axis.set_anchor("N")
            said = title(judged.classes[int(judged.scores[place].argmax())])
            axis.set_title(
                f"{number}  {title(label)}: answered {said} ({100 * judged.scores[place].max():.0f}), {words}"
            )
        written = BytesIO()
        figure.savefig(
            written, format="jpeg", dpi=DPI, facecolor="white", pil_kwargs={"quality": JPEG_QUALITY}
        )
        return written.getvalue()


def _reduced(display: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(display)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
