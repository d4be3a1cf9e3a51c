"""Two versions compared on the same films."""

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from model.evaluation import bootstrap, metrics
from model.evaluation.answers import Judged
from model.study.delong import paired_areas
from model.study.intervals import LEVEL, Family

ADJUSTMENT = "holm"
CELLS = ("both_right", "first_only", "second_only", "both_wrong")


class NoCommonFilms(ValueError):
    """There is no film that both versions read."""


def compare(first: Judged, second: Judged) -> dict:
    """How two versions differ on the films that both read.

    Tests and their intervals take the films to be independent. Where patients have several, the bootstrap,
    which draws patients, is the one to go by.

    Parameters
    ----------
    first, second : Judged
        Of the same films; films that only one of them read are left out and counted.

    Returns
    -------
    dict
        JSON can hold it. A figure that the films cannot give is None, and so are its intervals.

        films, patients : int
            Read by both.
        left_out : dict
            first and second: films that only this one read.
        tests : dict
            comparisons (how many p values were adjusted together), adjustment (``holm``), level (0.95) and
            level_of_each (Bonferroni's, of each interval `ci`: all hold at once at `level`), draws (of the
            bootstrap, whose intervals are of each figure alone).
        accuracy : dict
            Of the forced answer: first, second, difference (first less second), bootstrap (of the
            difference); and McNemar's exact test: both_right, first_only, second_only, both_wrong (films),
            p, p_adjusted.
        roc_auc : dict
            By class, against all other classes: first, second, difference, ci (DeLong's, of the
            difference), bootstrap (of the difference), z, p and p_adjusted (DeLong's test).

    Raises
    ------
    NoCommonFilms
        If no film was read by both.
    ValueError
        If the films come in two orders, or a film has two labels.

    References
    ----------
    Q. McNemar, Psychometrika 1947; E. R. DeLong et al., Biometrics 1988; X. Sun and W. Xu, "Fast
    implementation of DeLong's algorithm", IEEE Signal Process Lett 2014; S. Holm, Scand J Stat 1979.
    """
    left_out = {"first": first, "second": second}
    first, second = _paired(first, second)
    weights = bootstrap.draw_weights([film.group for film in first.films])
    family = Family(1 + len(first.classes))
    answers = _answers(first, second, weights)
    areas = {label: _areas(first, second, i, weights, family) for i, label in enumerate(first.classes)}
    _adjust([answers, *areas.values()])
    return {
        "films": len(first.films),
        "patients": len({film.group for film in first.films}),
        "left_out": {name: len(one.films) - len(first.films) for name, one in left_out.items()},
        "tests": {
            "comparisons": family.comparisons,
            "adjustment": ADJUSTMENT,
            "level": LEVEL,
            "level_of_each": 1 - family.alpha,
            "draws": bootstrap.DRAWS,
        },
        "accuracy": _rounded(answers),
        "roc_auc": {label: _rounded(area) for label, area in areas.items()},
    }


def _paired(first: Judged, second: Judged) -> tuple[Judged, Judged]:
    """The films that both read, in one order."""
    both = {film.file for film in first.films} & {film.file for film in second.films}
    if not both:
        raise NoCommonFilms(
            "found no film that both versions read, expected some; choose other folds or sources"
        )
    first, second = (one.by(lambda film: film.file in both) for one in (first, second))
    if [(film.file, film.label) for film in first.films] != [
        (film.file, film.label) for film in second.films
    ]:
        raise ValueError(
            "found films in another order or with another label for the second version; "
            "judge both versions from one manifest"
        )
    return first, second


def _answers(first: Judged, second: Judged, weights: np.ndarray) -> dict:
    """Who answers rightly, with McNemar's test; exact, for it holds however few films differ."""
    right, other = (metrics.forced(one) == one.truth for one in (first, second))
    table = np.array([[(right & other).sum(), (right & ~other).sum()], [(~right & other).sum(), 0]])
    table[1, 1] = len(right) - table.sum()
    difference = bootstrap.mean(weights, right.astype(float) - other)
    return {
        "first": right.mean(),
        "second": other.mean(),
        "difference": right.mean() - other.mean(),
        **bootstrap.intervals({"bootstrap": difference}),
        **dict(zip(CELLS, table.ravel().tolist(), strict=True)),
        "p": mcnemar(table, exact=True).pvalue,
    }


def _areas(first: Judged, second: Judged, label: int, weights: np.ndarray, family: Family) -> dict:
    """Areas under the ROC curves of a class, with DeLong's test."""
    positive = first.truth == label
    scores = first.scores[:, label], second.scores[:, label]
    areas = [bootstrap.auc(np.ones((1, len(positive))), positive, score)[0] for score in scores]
    drawn = bootstrap.auc(weights, positive, scores[0]) - bootstrap.auc(weights, positive, scores[1])
    tested = paired_areas(positive, *scores)
    return {
        "first": areas[0],
        "second": areas[1],
        "difference": areas[0] - areas[1],
        **bootstrap.intervals({"bootstrap": drawn}),
        "ci": list(tested.interval(family.alpha)) if tested else None,
        "z": tested.z if tested else None,
        "p": tested.p if tested else None,
    }


def _adjust(tests: list[dict]) -> None:
    """Add p_adjusted to each test; one without p counts among the comparisons, for it was to be made."""
    p = np.array([test["p"] for test in tests], float)
    adjusted = multipletests(np.nan_to_num(p, nan=1.0), method=ADJUSTMENT)[1]
    for test, value, known in zip(tests, adjusted, np.isfinite(p), strict=True):
        test["p_adjusted"] = value if known else np.nan


def _rounded(test: dict) -> dict:
    """As JSON has it; p values keep four digits that count, however small they are."""
    small = {name: test[name] for name in ("p", "p_adjusted")}
    return metrics.rounded(test) | {
        name: float(f"{p:.4g}") if p is not None and np.isfinite(p) else None for name, p in small.items()
    }
