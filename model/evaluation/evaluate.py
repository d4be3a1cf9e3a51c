"""Judge a version on labelled films, through the same door as the node."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from model.evaluation.metrics import summary
from model.findings import STEP1_LABELS, STEP2_LABELS, Decision, Reading
from model.preprocess import network_input
from model.reader import PreparedFilm, Reader
from model.training.films import LabelledFilm, read_manifest, read_picture, select

CLASSES = ("normal", "bacterial", "viral", "covid19")  # of the training set; viral is other than COVID-19
OF_STEP1 = {"normal": "normal", "bacterial": "bacterial", "viral": "viral", "covid19": "viral"}
OF_STEP2 = {"normal": "not viral", "bacterial": "not viral", "viral": "other virus", "covid19": "COVID-19"}
OF_DECISION = {
    Decision.NORMAL: "normal",
    Decision.BACTERIAL: "bacterial",
    Decision.COVID19: "covid19",
    Decision.OTHER_VIRUS: "viral",
}  # the rest names none of the four classes
BATCH_SIZE = 32


def evaluate(
    version_name: str | Path,
    manifest_csv: Path,
    root: Path,
    folds: Collection[int] | None,
    sources: Collection[str],
) -> dict:
    """Read labelled films with a version and compare its answers.

    Parameters
    ----------
    version_name : str or Path
        As for `Reader`.
    manifest_csv : Path
        The set's ``manifest.csv``.
    root : Path
        Folder its files are relative to.
    folds : collection of int or None
        None for all.
    sources : collection of str

    Returns
    -------
    dict
        folds, sources and four summaries (see `metrics.summary`): step1 and step2 by the leading label
        without a threshold, step2 over the films it was asked for; cascade by the decision over the four
        classes, where viral without a name and indeterminate are no answer; by_source the cascade again for
        each source; and decisions, how often each was said of each class.

    Raises
    ------
    ValueError
        If no film is in these folds and sources.
    """
    films = select(read_manifest(manifest_csv), sources, folds)
    if not films:
        raise ValueError(f"found no film in folds {folds} of {sources}, expected some")
    reader = Reader(version_name, BATCH_SIZE)
    readings = reader.read([_prepared(read_picture(root / film.file), reader.input_size) for film in films])
    pairs = list(zip(films, readings, strict=True))
    asked = [(film, reading) for film, reading in pairs if reading.step2 is not None]
    return {
        "folds": "all" if folds is None else list(folds),
        "sources": list(sources),
        "step1": summary(
            STEP1_LABELS,
            [OF_STEP1[film.label] for film in films],
            [reading.step1.leading for reading in readings],
        ),
        "step2": summary(
            STEP2_LABELS,
            [OF_STEP2[film.label] for film, _ in asked],
            [reading.step2.leading for _, reading in asked],
        ),
        "cascade": _cascade(pairs),
        "by_source": {
            source: _cascade([pair for pair in pairs if pair[0].source == source])
            for source in sorted({film.source for film in films})
        },
        "decisions": {
            label: Counter(str(reading.decision) for film, reading in pairs if film.label == label)
            for label in CLASSES
        },
    }


def _prepared(display, input_size: int) -> PreparedFilm:
    return PreparedFilm(display, network_input(display, input_size), *display.shape)


def _cascade(pairs: list[tuple[LabelledFilm, Reading]]) -> dict:
    """Summary of the decisions over the four classes."""
    figures = summary(
        CLASSES,
        [film.label for film, _ in pairs],
        [OF_DECISION.get(reading.decision) for _, reading in pairs],
    )
    return figures | {"n_indeterminate": sum(reading.decision.indeterminate for _, reading in pairs)}
