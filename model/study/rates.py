"""Rates of each label, made from confusion matrices: of the films themselves, or of every draw at once."""

import numpy as np

from model.evaluation.bootstrap import divide

OF_LABEL = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
# What machine learning calls two of them.
ALSO = {"precision": "ppv", "recall": "sensitivity"}


def shares_of(labels: int) -> int:
    """How many shares, each with an interval of its own, a question with so many labels has."""
    return labels * len(OF_LABEL) + 1  # the accuracy of all


def cells(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """TP, FP, TN and FN of each label against all others.

    Parameters
    ----------
    confusion : (..., k, k)
        A row for each true label.

    Returns
    -------
    dict
        tp, fp, tn, fn, (..., k) each.
    """
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fn, fp = confusion.sum(axis=-1) - tp, confusion.sum(axis=-2) - tp
    return {"tp": tp, "fp": fp, "tn": confusion.sum(axis=(-2, -1))[..., np.newaxis] - tp - fp - fn, "fn": fn}


def fractions(confusion: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Part and whole of each of `OF_LABEL`.

    Parameters
    ----------
    confusion : (..., k, k)

    Returns
    -------
    dict
        Two (..., k) each.
    """
    tp, fp, tn, fn = cells(confusion).values()
    return {
        "accuracy": (tp + tn, tp + fp + tn + fn),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
    }


def of_labels(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """`OF_LABEL`, precision, recall and F1 of each label.

    Parameters
    ----------
    confusion : (..., k, k)

    Returns
    -------
    dict
        (..., k) float64 each, 0 to 1; NaN where nothing is divided.
    """
    found = {name: divide(*pair) for name, pair in fractions(confusion).items()}
    found |= {name: found[same] for name, same in ALSO.items()}
    tp, fp, _, fn = cells(confusion).values()
    return found | {"f1": divide(2 * tp, 2 * tp + fp + fn)}


def macro(rate: np.ndarray) -> np.ndarray:
    """Mean over the labels that have the rate, (...), NaN where none has."""
    return weighted(rate, np.ones(rate.shape))


def weighted(rate: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean by support over the labels that have the rate, (...), NaN where none has.

    Parameters
    ----------
    rate, support : (..., k)
    """
    counted = np.where(np.isfinite(rate), support, 0)
    return divide((np.nan_to_num(rate) * counted).sum(axis=-1), counted.sum(axis=-1))
