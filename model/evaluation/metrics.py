"""Figures of a version on labelled films: scikit-learn's, and what is ours alone."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from sklearn import metrics as sk

from model.calibration import brier, expected_calibration_error, reliability
from model.evaluation.answers import CLASSES, Judged
from model.evaluation.bootstrap import DIGITS, divide, quantile
from model.findings import Indeterminate

# Films of T. Gao and G. Wang's test, by class: the mix that their accuracy is of.
PAPER_MIX = {"normal": 62, "bacterial": 6, "viral": 34, "covid19": 61}
COVERAGE = 0.7
# What may be asked of two groups of films: the classes that are positive, those that are negative, and the
# classes whose scores speak for either.
Question = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
QUESTIONS: Mapping[str, Question] = {
    "normal_against_pneumonia": (CLASSES[1:], ("normal",), CLASSES[1:], ("normal",)),
    "bacterial_against_viral": (("viral",), ("bacterial",), ("viral", "covid19"), ("bacterial",)),
    "covid19_against_normal": (("covid19",), ("normal",), ("covid19",), ("normal",)),
}
# What a decision flags, and of which films it is right to: the operating points.
FLAGS = {
    "any_pneumonia": (
        {"bacterial", "viral", "COVID-19", "other virus"},
        CLASSES[1:],
    ),
    "covid19": ({"COVID-19"}, ("covid19",)),
}
PREVALENCES = (0.005, 0.01, 0.05, 0.1, 0.2)


def forced(judged: Judged) -> np.ndarray:
    """The class of each film where an answer is forced, (n,) int."""
    return judged.scores.argmax(axis=1)


def places(labels: tuple[str, ...], classes: tuple[str, ...] = CLASSES) -> list[int]:
    """Where labels stand among the classes."""
    return [classes.index(label) for label in labels]


def questions(judged: Judged) -> Mapping[str, Question]:
    """`QUESTIONS`; of other classes each against the absence, and the absence against all of them."""
    if judged.classes == CLASSES:
        return QUESTIONS
    absence, *found = _absence_first(judged)
    asked = {f"{absence}_against_findings": found} | {f"{one}_against_{absence}": [one] for one in found}
    against = (absence,)
    return {name: (tuple(of), against, tuple(of), against) for name, of in asked.items()}


def flags(judged: Judged) -> Mapping[str, tuple[set[str], tuple[str, ...]]]:
    """`FLAGS`; of other classes any of them, and each."""
    if judged.classes == CLASSES:
        return FLAGS
    _, *found = _absence_first(judged)
    label_of = dict(judged.cascade.classes)
    return {"any_finding": (set(judged.cascade.findings), tuple(found))} | {
        one: ({label_of[one]}, (one,)) for one in found
    }


def _absence_first(judged: Judged) -> list[str]:
    """The classes, first the one in which nothing is found."""
    return sorted(judged.classes, key=lambda one: dict(judged.cascade.classes)[one] != judged.cascade.absence)


def of_decision(judged: Judged) -> Mapping[str, str]:
    """The class that a decision names, by decision."""
    return {label: name for name, label in judged.cascade.classes}


def question(judged: Judged, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`asked_of` the films that were judged."""
    return asked_of(judged.truth, judged.scores, name, questions(judged), judged.classes)


def asked_of(
    truth: np.ndarray,
    scores: np.ndarray,
    name: str,
    among: Mapping[str, Question] = QUESTIONS,
    classes: tuple[str, ...] = CLASSES,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A question, put to the films it is about.

    Parameters
    ----------
    truth : (n,) int
    scores : (n, classes) float
    name : str
    among : mapping
        From `questions`.
    classes : tuple of str
        What `truth` and `scores` are of.

    Returns
    -------
    asked : (n,) bool
    positive : (asked,) bool
    score : (asked,) float64
        Share of the positive's scores in those of both, 0 to 1.
    """
    positive, negative, for_it, against_it = (places(labels, classes) for labels in among[name])
    asked = np.isin(truth, positive + negative)
    in_favour = scores[asked][:, for_it].sum(axis=1)
    against = scores[asked][:, against_it].sum(axis=1)
    return asked, np.isin(truth[asked], positive), in_favour / (in_favour + against)


def flagged(judged: Judged, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Which films an operating point of `flags` flags and which it should, two (n,) bool."""
    decisions, labels = flags(judged)[name]
    said = np.array([decision in decisions for decision in judged.decisions], bool)
    return said, np.isin(judged.truth, places(labels, judged.classes))


def points(judged: Judged) -> dict:
    """The figures themselves.

    Parameters
    ----------
    judged : Judged
        With at least one film.

    Returns
    -------
    dict
        Of the forced answer: accuracy, balanced_accuracy and macro_f1 (over the classes that occur),
        accuracy_in_paper_mix, accuracy_at_70_percent_coverage (the surest answers), per_class (precision,
        recall, f1, support, auc), auc by question, calibration (ece, brier). Of the decision: coverage and
        accuracy_of_answered, where viral without a name and indeterminate are no answer, the share of films
        outside_lungs, and the sensitivity and specificity of operating_points. Of the activation:
        inside_lungs, the median share inside the lungs where a class other than normal is pointed at. None
        where the films cannot tell.
    """
    said, scores, truth = forced(judged), judged.scores, judged.truth
    everyone, present = list(range(len(judged.classes))), np.unique(truth)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, said, labels=everyone, zero_division=np.nan
    )
    right = said == truth
    surest = np.argsort(-scores.max(axis=1), kind="stable")
    kept = np.clip(COVERAGE * len(truth) - np.arange(len(truth)), 0, 1)
    named, hit = decided(judged)
    return rounded(
        {
            "accuracy": sk.accuracy_score(truth, said),
            # scikit-learn's balanced_accuracy_score warns of every class that is said and does not occur.
            "balanced_accuracy": sk.recall_score(
                truth, said, labels=present, average="macro", zero_division=0
            ),
            "macro_f1": sk.f1_score(truth, said, labels=present, average="macro", zero_division=0),
            "accuracy_in_paper_mix": in_paper_mix(recall, judged.classes),
            "accuracy_at_70_percent_coverage": np.average(right[surest], weights=kept),
            "per_class": {
                label: {
                    "precision": precision[i],
                    "recall": recall[i],
                    "f1": f1[i],
                    "support": int(support[i]),
                    "auc": _auc(truth == i, scores[:, i]),
                }
                for i, label in enumerate(judged.classes)
            },
            "auc": {name: _auc(*question(judged, name)[1:]) for name in questions(judged)},
            "calibration": {
                "ece": expected_calibration_error(scores, truth),
                "brier": brier(scores, truth),
            },
            "coverage": named.mean(),
            "accuracy_of_answered": hit[named].mean() if named.any() else np.nan,
            "outside_lungs": outside_lungs(judged).mean(),
            "inside_lungs": quantile(np.ones((1, len(truth))), judged.inside, 0.5)[0],
            "operating_points": {name: _operating_point(*flagged(judged, name)) for name in flags(judged)},
        }
    )


def counts(judged: Judged) -> dict:
    """What is counted and has no interval: confusion, decisions, and what was not answered and why."""
    names = of_decision(judged)
    said = [names.get(decision) for decision in judged.decisions]
    columns = [*judged.classes, None]
    by_decision = np.zeros((len(judged.classes), len(columns)), int)
    for true, answer in zip(judged.truth, said, strict=True):
        by_decision[true, columns.index(answer)] += 1
    reasons = Counter(str(decision) for decision in judged.decisions if decision.indeterminate)
    return {
        "n_indeterminate": sum(reasons.values()),
        "indeterminate": dict(sorted(reasons.items())),
        "confusion": sk.confusion_matrix(
            judged.truth, forced(judged), labels=list(range(len(judged.classes)))
        ).tolist(),
        "confusion_of_decisions": by_decision.tolist(),
        "reliability": reliability(judged.scores, judged.truth),
    }


def decided(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Which decisions name a class, and which name the right one, two (n,) bool."""
    names = of_decision(judged)
    said = [names.get(decision) for decision in judged.decisions]
    named = np.array([answer is not None for answer in said], bool)
    hit = np.array([judged.classes[t] == answer for t, answer in zip(judged.truth, said, strict=True)], bool)
    return named, hit


def outside_lungs(judged: Judged) -> np.ndarray:
    """Which decisions are that the activation lies outside the lungs, (n,) float, 0 or 1."""
    return np.array([decision == Indeterminate.OUTSIDE_LUNGS for decision in judged.decisions], float)


def in_paper_mix(recalls: np.ndarray, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """Accuracy in the paper's mix of classes from the recall of each; (..., 4) to (...); NaN of others."""
    if classes != CLASSES:
        return np.full(recalls.shape[:-1], np.nan)
    mix = np.array([PAPER_MIX[label] for label in CLASSES])
    return recalls @ mix / mix.sum()


def predictive_values(sensitivity: np.ndarray, specificity: np.ndarray) -> dict:
    """`predictive_value` at each of `PREVALENCES`."""
    return {f"{100 * p:g} %": predictive_value(sensitivity, specificity, p) for p in PREVALENCES}


def predictive_value(sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float) -> np.ndarray:
    """Share of the flagged who have it, by the share of all who have it; NaN if none is flagged."""
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return divide(right, right + wrong)


def _operating_point(said: np.ndarray, should: np.ndarray) -> dict:
    """Sensitivity, specificity, and the positive predictive value they give at each prevalence."""
    sensitivity = said[should].mean() if should.any() else np.nan
    specificity = (~said[~should]).mean() if not should.all() else np.nan
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": predictive_values(sensitivity, specificity),
    }


def _auc(positive: np.ndarray, score: np.ndarray) -> float:
    """NaN where there is one kind of film only."""
    return sk.roc_auc_score(positive, score) if 0 < positive.sum() < len(positive) else np.nan


def rounded(found: object) -> object:
    """Figures as JSON has them: `number` of each, in dicts, lists and arrays; text and None as they are."""
    if isinstance(found, Mapping):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list) or getattr(found, "ndim", 0):
        return [rounded(value) for value in found]
    return found if found is None or isinstance(found, str) else number(found)


def number(value: float) -> float | int | None:
    """A figure as JSON has it: four digits, a count as it is, None for what is no number."""
    if isinstance(value, int):
        return value
    return round(float(value), DIGITS) if np.isfinite(value) else None
