"""How well labels were said."""

from collections.abc import Sequence

import numpy as np

DIGITS = 4


def summary(labels: Sequence[str], truth: Sequence[str], said: Sequence[str | None]) -> dict:
    """Count and compare; a film without an answer counts as a miss of its class.

    Parameters
    ----------
    labels : sequence of str
        The classes, in the order of the confusion matrix.
    truth : sequence of str
        One of `labels` for each film.
    said : sequence of str or None
        The answer, None where there was none.

    Returns
    -------
    dict
        n, n_unanswered, accuracy, accuracy_of_answered, balanced_accuracy and macro_f1 (over the classes that
        occur; None where nothing was counted), per_class with precision, recall, f1 and support, and
        confusion: one row for each true class, one column for each class and the last for no answer.
    """
    columns = [*labels, None]
    confusion = np.zeros((len(labels), len(columns)), int)
    for true, answer in zip(truth, said, strict=True):
        confusion[labels.index(true), columns.index(answer)] += 1
    supports, claims = confusion.sum(axis=1), confusion[:, :-1].sum(axis=0)
    per_class = {}
    for i, label in enumerate(labels):
        hits, support, claimed = confusion[i, i], supports[i], claims[i]
        per_class[label] = {
            "precision": _share(hits, claimed),
            "recall": _share(hits, support),
            "f1": _share(2 * hits, support + claimed),
            "support": int(support),
        }
    hits, n, unanswered = np.trace(confusion), confusion.sum(), confusion[:, -1].sum()
    present = supports > 0
    diagonal = confusion.diagonal()[present]
    recalls = diagonal / supports[present]
    f1s = 2 * diagonal / (supports + claims)[present]
    return {
        "n": int(n),
        "n_unanswered": int(unanswered),
        "accuracy": _share(hits, n),
        "accuracy_of_answered": _share(hits, n - unanswered),
        "balanced_accuracy": _share(recalls.sum(), len(recalls)),
        "macro_f1": _share(f1s.sum(), len(f1s)),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), DIGITS) if whole else None
