"""Intervals: patients drawn again with replacement, all draws at once.

A draw is one row of weights: how often each film counts in it. All films of a patient count alike, so films
of one patient make no figure look surer than it is.
"""

from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 1000
SEED = 20261125
LIMITS = (2.5, 97.5)  # per cent: the 95 % interval
DIGITS = 4


def draw_weights(groups: Sequence[str], draws: int = DRAWS) -> np.ndarray:
    """How often each film counts in each draw.

    Parameters
    ----------
    groups : sequence of str
        Patient of each film.
    draws : int

    Returns
    -------
    (draws, films) float64
        Whole numbers; the same for the same groups.
    """
    if not len(groups):
        return np.empty((draws, 0))
    patients, place = np.unique(np.asarray(groups), return_inverse=True)
    share = np.full(len(patients), 1 / len(patients))
    return np.random.default_rng(SEED).multinomial(len(patients), share, draws)[:, place].astype(float)


def confusion(weights: np.ndarray, truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of each draw, (draws, classes, classes), a row for each true class."""
    cells = np.eye(classes**2)[truth * classes + said]  # (films, classes ** 2)
    return (weights @ cells).reshape(-1, classes, classes)


def auc(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each draw: the share of pairs in the right order, ties as halves.

    Parameters
    ----------
    weights : (draws, films) float
    positive : (films,) bool
    score : (films,) float

    Returns
    -------
    (draws,) float64
        NaN where a draw has one kind of film only.
    """
    order = np.argsort(score[~positive])
    lower = score[~positive][order]
    below = np.pad(np.cumsum(weights[:, ~positive][:, order], axis=1), ((0, 0), (1, 0)))
    places = (np.searchsorted(lower, score[positive], side) for side in ("left", "right"))
    beaten = sum(below[:, place] for place in places) / 2
    counted = weights[:, positive]
    return divide((counted * beaten).sum(axis=1), counted.sum(axis=1) * below[:, -1])


def mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted mean of each draw, (draws,), NaN where nothing counts."""
    return divide(weights @ values, weights.sum(axis=1))


def mean_of_surest(
    weights: np.ndarray, values: np.ndarray, confidence: np.ndarray, coverage: float
) -> np.ndarray:
    """Mean over the share `coverage` of each draw with the highest confidence, (draws,)."""
    order = np.argsort(-confidence, kind="stable")
    ordered = weights[:, order]
    before = np.cumsum(ordered, axis=1) - ordered
    kept = np.clip(coverage * ordered.sum(axis=1, keepdims=True) - before, 0, ordered)
    return mean(kept, values[order])


def quantile(weights: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    """The smallest value that `share` of each draw does not exceed, (draws,).

    A value of NaN is not counted; NaN where nothing is.
    """
    weights, values = weights[:, np.isfinite(values)], values[np.isfinite(values)]
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    found = values[order][(reached >= share * reached[:, -1:]).argmax(axis=1)]
    return np.where(reached[:, -1] > 0, found, np.nan)


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient, NaN where nothing is divided."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)


def intervals(draws: Mapping) -> dict:
    """The 95 % interval of each figure, in the nesting of `draws`.

    Parameters
    ----------
    draws : mapping
        Name to (draws,) float or to such a mapping.

    Returns
    -------
    dict
        Name to [lower, upper]; None where no draw gives the figure.
    """
    return {
        name: intervals(values) if isinstance(values, Mapping) else _interval(values)
        for name, values in draws.items()
    }


def _interval(values: np.ndarray) -> list[float] | None:
    counted = values[np.isfinite(values)]
    return [round(float(limit), DIGITS) for limit in np.percentile(counted, LIMITS)] if len(counted) else None
