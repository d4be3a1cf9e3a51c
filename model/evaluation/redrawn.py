"""The figures of `metrics.points` in every draw of the bootstrap at once."""

import numpy as np

from model.calibration import BINS, bin_of, squares
from model.evaluation import bootstrap, metrics
from model.evaluation.answers import Judged
from model.evaluation.bootstrap import divide, mean


def redrawn(judged: Judged, weights: np.ndarray) -> dict:
    """The figures that have an interval, for every draw.

    Parameters
    ----------
    judged : Judged
    weights : (draws, n) float64
        From `bootstrap.draw_weights`; where all are 1, the figures are those of `metrics.points`.

    Returns
    -------
    dict
        In the nesting of `metrics.points`, (draws,) float64 each.
    """
    scores, truth, said = judged.scores, judged.truth, metrics.forced(judged)
    confusion = bootstrap.confusion(weights, truth, said, len(judged.classes))
    hits = np.diagonal(confusion, axis1=1, axis2=2)  # (draws, 4)
    supports, claims = confusion.sum(axis=2), confusion.sum(axis=1)
    recalls, f1s = divide(hits, supports), divide(2 * hits, supports + claims)
    occurs = supports > 0
    right, leading = (said == truth).astype(float), scores.max(axis=1)
    named, hit = metrics.decided(judged)
    answered = weights * named
    return {
        "accuracy": mean(weights, right),
        "balanced_accuracy": mean_where(recalls, occurs),
        "macro_f1": mean_where(f1s, occurs),
        "accuracy_in_paper_mix": metrics.in_paper_mix(recalls, judged.classes),
        "accuracy_at_70_percent_coverage": bootstrap.mean_of_surest(
            weights, right, leading, metrics.COVERAGE
        ),
        "per_class": {
            label: {
                "precision": divide(hits[:, i], claims[:, i]),
                "recall": recalls[:, i],
                "f1": f1s[:, i],
                "auc": bootstrap.auc(weights, truth == i, scores[:, i]),
            }
            for i, label in enumerate(judged.classes)
        },
        "auc": {name: _auc(judged, weights, name) for name in metrics.questions(judged)},
        "calibration": {
            "ece": calibration_error(weights, leading, right),
            "brier": mean(weights, squares(scores, truth)),
        },
        "coverage": mean(weights, named.astype(float)),
        "accuracy_of_answered": mean(answered, hit.astype(float)),
        "outside_lungs": mean(weights, metrics.outside_lungs(judged)),
        "inside_lungs": bootstrap.quantile(weights, judged.inside, 0.5),
        "operating_points": {name: _operating_point(judged, weights, name) for name in metrics.flags(judged)},
    }


def mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean of each row over the values that count, (draws,)."""
    return divide(np.where(counted, values, 0).sum(axis=1), counted.sum(axis=1))


def _auc(judged: Judged, weights: np.ndarray, name: str) -> np.ndarray:
    asked, positive, score = metrics.question(judged, name)
    return bootstrap.auc(weights[:, asked], positive, score)


def calibration_error(weights: np.ndarray, leading: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`model.calibration.expected_calibration_error` of each draw, (draws,)."""
    gaps = weights @ (np.eye(BINS)[bin_of(leading)] * (right - leading)[:, np.newaxis])  # (draws, bins)
    return divide(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def _operating_point(judged: Judged, weights: np.ndarray, name: str) -> dict:
    said, should = metrics.flagged(judged, name)
    sensitivity = mean(weights * should, said.astype(float))
    specificity = mean(weights * ~should, (~said).astype(float))
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": metrics.predictive_values(sensitivity, specificity),
    }
