"""Figures of a version on labelled films: scikit-learn's, and what is ours alone."""

from collections import Counter

import numpy as np
from sklearn import metrics as sk

from model.calibration import brier, expected_calibration_error, reliability
from model.evaluation.answers import CLASSES, Judged
from model.evaluation.bootstrap import DIGITS, divide, quantile
from model.findings import Decision

# Films of T. Gao and G. Wang's test, by class: the mix that their accuracy is of.
PAPER_MIX = {"normal": 62, "bacterial": 6, "viral": 34, "covid19": 61}
COVERAGE = 0.7
OF_DECISION = {
    Decision.NORMAL: "normal",
    Decision.BACTERIAL: "bacterial",
    Decision.COVID19: "covid19",
    Decision.OTHER_VIRUS: "viral",
}  # the rest names none of the four classes
# What may be asked of two groups of films: the classes that are positive, those that are negative, and the
# classes whose scores speak for either.
QUESTIONS = {
    "normal_against_pneumonia": (CLASSES[1:], ("normal",), CLASSES[1:], ("normal",)),
    "bacterial_against_viral": (("viral",), ("bacterial",), ("viral", "covid19"), ("bacterial",)),
    "covid19_against_normal": (("covid19",), ("normal",), ("covid19",), ("normal",)),
}
# What a decision flags, and of which films it is right to: the operating points.
FLAGS = {
    "any_pneumonia": (
        {Decision.BACTERIAL, Decision.VIRAL, Decision.COVID19, Decision.OTHER_VIRUS},
        CLASSES[1:],
    ),
    "covid19": ({Decision.COVID19}, ("covid19",)),
}
PREVALENCES = (0.005, 0.01, 0.05, 0.1, 0.2)


def forced(judged: Judged) -> np.ndarray:
    """The class of each film where an answer is forced, (n,) int."""
    return judged.scores.argmax(axis=1)


def places(labels: tuple[str, ...]) -> list[int]:
    """Where labels stand among `CLASSES`."""
    return [CLASSES.index(label) for label in labels]


def question(judged: Judged, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`asked_of` the films that were judged."""
    return asked_of(judged.truth, judged.scores, name)


def asked_of(truth: np.ndarray, scores: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A question of `QUESTIONS`, put to the films it is about.

    Parameters
    ----------
    truth : (n,) int
    scores : (n, 4) float
    name : str

    Returns
    -------
    asked : (n,) bool
    positive : (asked,) bool
    score : (asked,) float64
        Share of the positive's scores in those of both, 0 to 1.
    """
    positive, negative, for_it, against_it = (places(labels) for labels in QUESTIONS[name])
    asked = np.isin(truth, positive + negative)
    in_favour = scores[asked][:, for_it].sum(axis=1)
    against = scores[asked][:, against_it].sum(axis=1)
    return asked, np.isin(truth[asked], positive), in_favour / (in_favour + against)


def flagged(judged: Judged, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Which films an operating point of `FLAGS` flags and which it should, two (n,) bool."""
    decisions, labels = FLAGS[name]
    said = np.array([decision in decisions for decision in judged.decisions], bool)
    return said, np.isin(judged.truth, places(labels))


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
    everyone, present = list(range(len(CLASSES))), np.unique(truth)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, said, labels=everyone, zero_division=np.nan
    )
    right = said == truth
    surest = np.argsort(-scores.max(axis=1), kind="stable")
    kept = np.clip(COVERAGE * len(truth) - np.arange(len(truth)), 0, 1)
    named, hit = decided(judged)
    return _rounded(
        {
            "accuracy": sk.accuracy_score(truth, said),
            # scikit-learn's balanced_accuracy_score warns of every class that is said and does not occur.
            "balanced_accuracy": sk.recall_score(
                truth, said, labels=present, average="macro", zero_division=0
            ),
            "macro_f1": sk.f1_score(truth, said, labels=present, average="macro", zero_division=0),
            "accuracy_in_paper_mix": in_paper_mix(recall),
            "accuracy_at_70_percent_coverage": np.average(right[surest], weights=kept),
            "per_class": {
                label: {
                    "precision": precision[i],
                    "recall": recall[i],
                    "f1": f1[i],
                    "support": int(support[i]),
                    "auc": _auc(truth == i, scores[:, i]),
                }
                for i, label in enumerate(CLASSES)
            },
            "auc": {name: _auc(*question(judged, name)[1:]) for name in QUESTIONS},
            "calibration": {
                "ece": expected_calibration_error(scores, truth),
                "brier": brier(scores, truth),
            },
            "coverage": named.mean(),
            "accuracy_of_answered": hit[named].mean() if named.any() else np.nan,
            "outside_lungs": outside_lungs(judged).mean(),
            "inside_lungs": quantile(np.ones((1, len(truth))), judged.inside, 0.5)[0],
            "operating_points": {name: _operating_point(*flagged(judged, name)) for name in FLAGS},
        }
    )


def counts(judged: Judged) -> dict:
    """What is counted and has no interval: confusion, decisions, and what was not answered and why."""
    said = [OF_DECISION.get(decision) for decision in judged.decisions]
    columns = [*CLASSES, None]
    by_decision = np.zeros((len(CLASSES), len(columns)), int)
    for true, answer in zip(judged.truth, said, strict=True):
        by_decision[true, columns.index(answer)] += 1
    reasons = Counter(str(decision) for decision in judged.decisions if decision.indeterminate)
    return {
        "n_indeterminate": sum(reasons.values()),
        "indeterminate": dict(sorted(reasons.items())),
        "confusion": sk.confusion_matrix(
            judged.truth, forced(judged), labels=list(range(len(CLASSES)))
        ).tolist(),
        "confusion_of_decisions": by_decision.tolist(),
        "reliability": reliability(judged.scores, judged.truth),
    }


def decided(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Which decisions name one of the four classes, and which name the right one, two (n,) bool."""
    said = [OF_DECISION.get(decision) for decision in judged.decisions]
    named = np.array([answer is not None for answer in said], bool)
    hit = np.array([CLASSES[t] == answer for t, answer in zip(judged.truth, said, strict=True)], bool)
    return named, hit


def outside_lungs(judged: Judged) -> np.ndarray:
    """Which decisions are that the activation lies outside the lungs, (n,) float, 0 or 1."""
    return np.array([decision == Decision.OUTSIDE_LUNGS for decision in judged.decisions], float)


def in_paper_mix(recalls: np.ndarray) -> np.ndarray:
    """Accuracy in the paper's mix of classes from the recall of each; (..., 4) to (...)."""
    mix = np.array([PAPER_MIX[label] for label in CLASSES])
    return recalls @ mix / mix.sum()


def predictive_values(sensitivity: np.ndarray, specificity: np.ndarray) -> dict:
    """Share of the flagged who have it, by the share of all who have it; NaN if none is flagged."""
    right = {prevalence: sensitivity * prevalence for prevalence in PREVALENCES}
    wrong = {prevalence: (1 - specificity) * (1 - prevalence) for prevalence in PREVALENCES}
    return {f"{100 * p:g} %": divide(right[p], right[p] + wrong[p]) for p in PREVALENCES}


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


def _rounded(figures: dict) -> dict:
    """`number` of every figure."""
    return {name: _rounded(v) if isinstance(v, dict) else number(v) for name, v in figures.items()}


def number(value: float) -> float | int | None:
    """A figure as JSON has it: four digits, a count as it is, None for what is no number."""
    if isinstance(value, int):
        return value
    return round(float(value), DIGITS) if np.isfinite(value) else None
