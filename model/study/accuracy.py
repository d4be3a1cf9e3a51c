"""The accuracy parameters of a study: of each class, and of each step of the cascade."""

from collections.abc import Mapping

import numpy as np

from model.calibration import brier, expected_calibration_error, reliability, squares
from model.evaluation import bootstrap, metrics
from model.evaluation.answers import Judged
from model.evaluation.redrawn import calibration_error
from model.study import curves, intervals, rates
from model.study.questions import Question, questions

PREVALENCES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
AREAS = {"roc_auc": bootstrap.auc, "average_precision": curves.average_precision}


def accuracy(judged: Judged, recipe: Mapping) -> dict:
    """Every accuracy parameter of a version on the films that it judged.

    Parameters
    ----------
    judged : Judged
        With at least one film that was read.
    recipe : mapping
        The version's ``model.toml``: ``[step1.labels]`` and ``[step2.labels]`` say what is right in a step.

    Returns
    -------
    dict
        JSON can hold it. A figure that the films cannot give is None, and so are its intervals.

        intervals : dict
            level : float
                0.95: the chance that all of the Wilson intervals hold at once, and likewise all of
                Clopper and Pearson's.
            comparisons : int
                How many shares have such an interval; Bonferroni's correction divides by it.
            level_of_each : float
                1 - (1 - level) / comparisons.
            draws : int
                Of the bootstrap, whose intervals are of each figure alone, at `level`, uncorrected.
        questions : dict
            ``classes``, the forced answer of `Judged.scores`; ``step1``; and, of a version with two steps,
            ``step2``, of the films whose leading label of step 1 it refines, for it speaks for no other;
            where these are none it has films 0 and its figures are None. Each is a question as below.

        A question is

        labels : list of str
            In the order of rows and columns of `confusion`.
        films, patients : int
        confusion : list of list of int
            A row for each true label, a column for each answer.
        accuracy : share
            Films answered rightly.
        per_label : dict
            By label, against all other labels together:

            tp, fp, tn, fn, support : int
                support is tp + fn.
            accuracy, sensitivity, specificity, ppv, npv, precision, recall : share
                precision is ppv and recall is sensitivity, by the names of machine learning.
            f1, roc_auc, average_precision : measure
            roc : dict
                false_positive_rate, true_positive_rate and threshold, three lists of one length; the first
                threshold is None, for nothing reaches it.
            precision_recall : dict
                recall, precision and threshold likewise; the last threshold is None, where nothing is found.
                average_precision is the area below its steps.
            at_prevalence : list of dict
                prevalence, and ppv and npv: {value, wilson, clopper_pearson, bootstrap}. The first two join
                the limits of sensitivity and specificity, so they hold with these and are no further
                comparison.
        macro, weighted : dict
            accuracy, sensitivity, specificity, ppv, npv, precision, recall, f1, each a measure: the mean over
            the labels, plain and by support. A label without the figure is not counted.
        calibration : dict
            reliability, as `model.calibration.reliability`; ece and brier, each a measure.
        decision_curves : list of dict
            The first treats every label but the first, each other treats one: labels (those treated),
            prevalence (of these labels), and, in lists of one length, threshold (the probability from which
            a film is treated), net_benefit, its bootstrap intervals, and treat_all; to treat none has 0.

        A share is {value, part, whole, wilson, clopper_pearson, bootstrap}, with value = part / whole and
        intervals of [lower, upper]; a measure is {value, bootstrap}.

    Raises
    ------
    ValueError
        If a step has no label for a class that occurs, or two labels.

    References
    ----------
    E. B. Wilson, "Probable inference", J Am Stat Assoc 1927; C. J. Clopper and E. S. Pearson, "The use of
    confidence or fiducial limits", Biometrika 1934; A. J. Vickers and E. B. Elkin, "Decision curve analysis",
    Med Decis Making 2006.
    """
    asked = questions(judged, recipe)
    family = intervals.Family(sum(rates.shares_of(len(question.labels)) for question in asked.values()))
    return {
        "intervals": {
            "level": intervals.LEVEL,
            "comparisons": family.comparisons,
            "level_of_each": 1 - family.alpha,
            "draws": bootstrap.DRAWS,
        },
        "questions": {name: _answered(question, family) for name, question in asked.items()},
    }


def _answered(question: Question, family: intervals.Family) -> dict:
    """A question's figures, as `accuracy` says."""
    k, truth, said = len(question.labels), question.truth, question.said
    weights = bootstrap.draw_weights(question.groups)
    once = bootstrap.confusion(np.ones((1, len(truth))), truth, said, k)[0].astype(int)
    drawn = bootstrap.confusion(weights, truth, said, k)
    right = np.trace(once), once.sum()
    right_drawn = bootstrap.divide(np.trace(drawn, axis1=1, axis2=2), drawn.sum(axis=(1, 2)))
    found = {
        "labels": list(question.labels),
        "films": len(truth),
        "patients": len(set(question.groups)),
        "confusion": once.tolist(),
        "accuracy": _share(*right, right_drawn, family),
        "per_label": _per_label(question, once, drawn, weights, family),
        **_means(once, drawn),
        "calibration": _calibration(question, weights),
        "decision_curves": _decision_curves(question, weights),
    }
    return metrics.rounded(found)


def _share(part: int, whole: int, drawn: np.ndarray, family: intervals.Family) -> dict:
    """A share with its three intervals."""
    part, whole = int(part), int(whole)
    counts = {"part": part, "whole": whole}
    return _measure(part / whole if whole else np.nan, drawn) | counts | family.of(part, whole)


def _measure(value: float, drawn: np.ndarray) -> dict:
    return {"value": value, **bootstrap.intervals({"bootstrap": drawn})}


def _per_label(
    question: Question, once: np.ndarray, drawn: np.ndarray, weights: np.ndarray, family: intervals.Family
) -> dict:
    """What each label has against all others."""
    cells, fractions = rates.cells(once), rates.fractions(once)
    found, found_drawn = rates.of_labels(once), rates.of_labels(drawn)
    everyone = np.ones((1, len(question.truth)))
    labels = {}
    for i, label in enumerate(question.labels):
        shares = {
            name: _share(part[i], whole[i], found_drawn[name][:, i], family)
            for name, (part, whole) in fractions.items()
        }
        positive, score = question.truth == i, question.scores[:, i]
        labels[label] = {
            **{name: int(counted[i]) for name, counted in cells.items()},
            "support": int(positive.sum()),
            **shares,
            **{name: shares[same] for name, same in rates.ALSO.items()},
            "f1": _measure(found["f1"][i], found_drawn["f1"][:, i]),
            **{
                name: _measure(area(everyone, positive, score)[0], area(weights, positive, score))
                for name, area in AREAS.items()
            },
            "roc": curves.roc(positive, score),
            "precision_recall": curves.precision_recall(positive, score),
            "at_prevalence": [
                _at_prevalence(shares, {name: rate[:, i] for name, rate in found_drawn.items()}, prevalence)
                for prevalence in PREVALENCES
            ],
        }
    return labels


def _at_prevalence(shares: Mapping, drawn: Mapping, prevalence: float) -> dict:
    """Predictive values at a prevalence, with the bootstrap's interval beside the others."""
    found = intervals.at_prevalence(shares["sensitivity"], shares["specificity"], prevalence)
    redrawn = intervals.predictive_values(drawn["sensitivity"], drawn["specificity"], prevalence)
    limits = bootstrap.intervals(dict(zip(found, redrawn, strict=True)))
    return {
        "prevalence": prevalence,
        **{name: found[name] | {"bootstrap": limits[name]} for name in found},
    }


def _means(once: np.ndarray, drawn: np.ndarray) -> dict:
    """Means over the labels."""
    found, found_drawn = rates.of_labels(once), rates.of_labels(drawn)
    return {
        "macro": {
            name: _measure(rates.macro(rate), rates.macro(found_drawn[name])) for name, rate in found.items()
        },
        "weighted": {
            name: _measure(
                rates.weighted(rate, once.sum(axis=-1)),
                rates.weighted(found_drawn[name], drawn.sum(axis=-1)),
            )
            for name, rate in found.items()
        },
    }


def _calibration(question: Question, weights: np.ndarray) -> dict:
    scores, truth = question.scores, question.truth
    if not len(truth):
        return {
            "reliability": [],
            **{name: {"value": np.nan, "bootstrap": None} for name in ("ece", "brier")},
        }
    leading, right = scores.max(axis=1), (question.said == truth).astype(float)
    return {
        "reliability": reliability(scores, truth),
        "ece": _measure(
            expected_calibration_error(scores, truth), calibration_error(weights, leading, right)
        ),
        "brier": _measure(brier(scores, truth), bootstrap.mean(weights, squares(scores, truth))),
    }


def _decision_curves(question: Question, weights: np.ndarray) -> list[dict]:
    """Of every label but the first together, then of each of them."""
    others = range(1, len(question.labels))
    choices = dict.fromkeys([tuple(others), *((i,) for i in others)])  # with two labels both are one
    return [
        {
            "labels": [question.labels[i] for i in treated],
            **curves.decision_curve(
                weights, np.isin(question.truth, treated), question.scores[:, treated].sum(axis=1)
            ),
        }
        for treated in choices
    ]
