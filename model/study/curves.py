"""ROC, precision-recall and decision curves of one label against the others."""

import numpy as np
from sklearn import metrics as sk

from model.evaluation import bootstrap
from model.evaluation.bootstrap import divide

THRESHOLDS = np.arange(1, 100) / 100  # of decision curves: whole hundredths between 0 and 1


def has_both(positive: np.ndarray) -> bool:
    """Whether there are films of either kind; without, there is no curve."""
    return bool(positive.any() and not positive.all())


def roc(positive: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray] | None:
    """The ROC curve's corners.

    Parameters
    ----------
    positive : (n,) bool
    score : (n,) float

    Returns
    -------
    dict or None
        false_positive_rate, true_positive_rate and threshold, (corners,) each; the first threshold is
        infinite. None where all films are of one kind.
    """
    if not has_both(positive):
        return None
    false, true, threshold = sk.roc_curve(positive, score)
    return {"false_positive_rate": false, "true_positive_rate": true, "threshold": threshold}


def precision_recall(positive: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray] | None:
    """The precision-recall curve's corners.

    Parameters
    ----------
    positive : (n,) bool
    score : (n,) float

    Returns
    -------
    dict or None
        recall, precision and threshold, (corners,) each; the last threshold is infinite. None where all
        films are of one kind.
    """
    if not has_both(positive):
        return None
    precision, recall, threshold = sk.precision_recall_curve(positive, score, drop_intermediate=True)
    return {"recall": recall, "precision": precision, "threshold": np.append(threshold, np.inf)}


def average_precision(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area below the steps of the precision-recall curve of each draw.

    Parameters
    ----------
    weights : (draws, n) float
        From `bootstrap.draw_weights`; all 1 for the films as they are.
    positive : (n,) bool
    score : (n,) float

    Returns
    -------
    (draws,) float64
        NaN where a draw has one kind of film only.
    """
    order = np.argsort(-score, kind="stable")
    last = np.diff(score[order], append=-np.inf) != 0  # films of one score are found together
    found = np.cumsum(weights[:, order], axis=1)[:, last]
    right = np.cumsum((weights * positive)[:, order], axis=1)[:, last]
    precision = np.nan_to_num(divide(right, found))  # none found yet: nothing is added to the area
    area = (np.diff(right, axis=1, prepend=0) * precision).sum(axis=1)
    there, all_films = (weights * positive).sum(axis=1), weights.sum(axis=1)
    return np.where(there < all_films, divide(area, there), np.nan)


def net_benefit(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Net benefit of treating the films whose score reaches a threshold.

    That is the share rightly treated less the share wrongly treated, which counts as much as the threshold's
    odds say: who treats from a probability of 0.1 takes nine needless treatments for one that is needed.

    Parameters
    ----------
    weights : (draws, n) float
    positive : (n,) bool
    score : (n,) float
        Probability, 0 to 1.

    Returns
    -------
    (draws, 99) float64
        At each of `THRESHOLDS`; at most the prevalence. NaN where nothing counts.

    References
    ----------
    A. J. Vickers and E. B. Elkin, "Decision curve analysis", Med Decis Making 2006.
    """
    treated = score[:, np.newaxis] >= THRESHOLDS
    worth = np.where(positive[:, np.newaxis], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
    return divide(weights @ (treated * worth), weights.sum(axis=1, keepdims=True))


def decision_curve(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> dict:
    """A decision curve, with what it is to treat all.

    Parameters
    ----------
    weights : (draws, n) float
    positive : (n,) bool
    score : (n,) float
        Probability, 0 to 1.

    Returns
    -------
    dict
        prevalence, float; threshold, net_benefit and treat_all, (99,) float64 each; bootstrap, a list of 99
        times [lower, upper] or None.
    """
    once = np.ones((1, len(positive)))
    drawn = net_benefit(weights, positive, score)
    return {
        "prevalence": bootstrap.mean(once, positive.astype(float))[0],
        "threshold": THRESHOLDS,
        "net_benefit": net_benefit(once, positive, score)[0],
        "bootstrap": list(bootstrap.intervals(dict(enumerate(drawn.T))).values()),
        "treat_all": net_benefit(once, positive, np.ones(len(positive)))[0],
    }
