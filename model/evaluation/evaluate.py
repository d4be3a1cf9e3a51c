"""Judge a version on labelled films, through the same door as the node."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from model.evaluation import bootstrap, metrics
from model.evaluation.answers import Judged, judge
from model.evaluation.films import read_films
from model.evaluation.redrawn import redrawn
from model.reader import Reader

BATCH_SIZE = 16
PARTS = {"by_source": "source", "by_age_group": "age_group", "by_geometry": "geometry"}


def evaluate(
    version_name: str | Path,
    manifest_csv: Path,
    root: Path,
    folds: Collection[int] | None = None,
    sources: Collection[str] | None = None,
) -> dict:
    """Read labelled films with a version and compare its answers.

    Parameters
    ----------
    version_name : str or Path
        As for `Reader`.
    manifest_csv, root, folds, sources
        As for `judge_set`.

    Returns
    -------
    dict
        What `judge_set` says of the version and the films, milliseconds_per_film, classes, `figures` of all
        films, refused with the reason of each, and `figures` of each source, age group and geometry.

    Raises
    ------
    NoFilms
        If no film is in these folds and sources.
    """
    about, judged = judge_set(Reader(version_name, BATCH_SIZE), manifest_csv, root, folds, sources)
    return about | report(judged)


def judge_set(
    reader: Reader,
    manifest_csv: Path,
    root: Path,
    folds: Collection[int] | None = None,
    sources: Collection[str] | None = None,
) -> tuple[dict, Judged]:
    """Read labelled films with a version.

    Parameters
    ----------
    reader : Reader
    manifest_csv : Path
        The films, see `model.evaluation.films.read_films`.
    root : Path
        Folder their files are relative to.
    folds : collection of int, optional
        All where not given.
    sources : collection of str, optional
        All where not given.

    Returns
    -------
    about : dict
        model, version, weights_sha256, folds and sources.
    judged : Judged

    Raises
    ------
    NoFilms
        If no film is in these folds and sources.
    """
    films = read_films(manifest_csv, folds, sources)
    about = {
        "model": reader.model.name,
        "version": reader.model.version,
        "weights_sha256": reader.model.weights_sha256,
        "folds": "all" if folds is None else sorted(folds),
        "sources": sorted({film.source for film in films}),
    }
    return about, judge(reader, films, root)


def report(judged: Judged) -> dict:
    """The figures of films that were judged: all, and parted by what each film is.

    Returns
    -------
    dict
        As `evaluate`, without what names the version and the films.
    """
    every = [*judged.films, *(film for film, _ in judged.refused)]
    parted = {
        name: {
            value: figures(judged.of(**{field: value}))
            for value in sorted({getattr(film, field) for film in every})
        }
        for name, field in PARTS.items()
    }
    return {
        "milliseconds_per_film": judged.milliseconds_per_film,
        "classes": list(judged.classes),
        **figures(judged),
        "refused": {film.file: reason for film, reason in judged.refused},
        **parted,
    }


def figures(judged: Judged) -> dict:
    """What is counted, the figures, and the 95 % interval of each.

    Returns
    -------
    dict
        n, n_refused, refused_for (films by the code of the reason) and n_indeterminate; where a film was
        read also `metrics.counts`, `metrics.points`, and ci95 in the same nesting.
    """
    refused = len(judged.refused)
    codes = Counter(reason.partition(":")[0] for _, reason in judged.refused)
    counted = {
        "n": len(judged.films) + refused,
        "n_refused": refused,
        "refused_for": dict(sorted(codes.items())),
        "n_indeterminate": 0,
    }
    if not len(judged.films):
        return counted
    counted |= metrics.counts(judged)
    weights = bootstrap.draw_weights([film.group for film in judged.films])
    return counted | metrics.points(judged) | {"ci95": bootstrap.intervals(redrawn(judged, weights))}
