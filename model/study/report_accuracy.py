"""The accuracy parameters of a study as sections of its report."""

from collections.abc import Mapping

from model.study import report_figures as figures
from model.study.report_parts import (
    Cell,
    Figure,
    Section,
    Table,
    area,
    count,
    listed,
    percent,
    plain_rows,
    title,
)

# What is asked, as it stands in a sentence and before a caption.
ASKED = {
    "classes": "the forced answer, one of all classes",
    "step1": "step 1 of the cascade",
    "step2": "step 2 of the cascade, of the films that it is asked of",
}
SHORT = {"classes": "All classes", "step1": "Step 1", "step2": "Step 2"}
SHARES = {
    "accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV",
    "npv": "NPV",
}  # fmt: skip
COUNTS = {"support": "n", "tp": "TP", "fp": "FP", "tn": "TN", "fn": "FN"}
MEANS = SHARES | {"precision": "Precision", "recall": "Recall", "f1": "F1"}
ABBREVIATIONS = (
    "n, films of the class; TP, FP, TN, FN, true and false positives and negatives of the class against "
    "all others; PPV and NPV, positive and negative predictive value in this mix of classes; F1, harmonic"
    " mean of precision and recall. Recall is sensitivity and precision is PPV."
)


def sections(found: Mapping) -> list[Section]:
    """Accuracy, discrimination, calibration, and what both mean for whom.

    Parameters
    ----------
    found : mapping
        From `model.study.accuracy.accuracy`.
    """
    asked = {name: one for name, one in found["questions"].items() if one["films"]}
    return [
        _accuracy(asked, found["intervals"]),
        _discrimination(asked),
        _calibration(asked),
        _usefulness(asked),
        _intervals(asked, found["intervals"]),
    ]


def headline(found: Mapping) -> Table:
    """The figures that are asked for first."""
    one = found["questions"]["classes"]
    rows = [("Accuracy", _share(one["accuracy"]))]
    rows += [
        (f"{title(label)}: {words}", cell)
        for label, of in one["per_label"].items()
        for words, cell in (
            ("sensitivity", _share(of["sensitivity"])),
            ("specificity", _share(of["specificity"])),
            ("area under the ROC curve", area(of["roc_auc"]["value"], of["roc_auc"]["bootstrap"])),
        )
    ]
    rows.append(("Expected calibration error", _measure(one["calibration"]["ece"])))
    rows = [(name, cell.text, cell.below.strip("()")) for name, cell in rows]
    return Table(
        "headline",
        "Main results of the forced answer",
        ("", "Estimate", "95% interval"),
        plain_rows(rows),
        "Accuracy, sensitivity and specificity in per cent, with family-wise Wilson intervals; areas and "
        "errors with intervals by patients drawn again. All figures follow in [[per-class]] to "
        "[[prevalence]].",
    )  # fmt: skip


def _accuracy(asked: Mapping, intervals: Mapping) -> Section:
    head = ("Class", *COUNTS.values(), *SHARES.values(), "F1")
    groups = tuple(
        (
            f"{SHORT[name]}: {count(one['films'])} films of {count(one['patients'])} patients, "
            f"{percent(one['accuracy']['value']).text}% answered rightly "
            f"{percent(one['accuracy']['value'], one['accuracy']['wilson']).below}",
            tuple(_of_class(name, label, of) for label, of in one["per_label"].items()),
        )
        for name, one in asked.items()
    )
    means = tuple(
        (
            SHORT[name],
            tuple(
                (words, *(percent(one[kind][key]["value"], one[kind][key]["bootstrap"]) for key in MEANS))
                for kind, words in (("macro", "Macro average"), ("weighted", "Weighted average"))
            ),
        )
        for name, one in asked.items()
    )
    drawn = figures.confusion(asked, SHORT)
    return Section(
        "accuracy",
        "Accuracy",
        (
            "Each class is set against all others together, for "
            f"{listed([ASKED[name] for name in asked])}. The {count(intervals['comparisons'])} proportions"
            " of this report have Wilson intervals that hold all at once with a confidence of "
            f"{100 * intervals['level']:g}%: by Bonferroni's correction each is one of "
            f"{100 * intervals['level_of_each']:.3f}%.",
        ),
        (
            Table(
                "per-class",
                "Accuracy parameters of each class and each step of the cascade",
                head,
                groups,
                f"Per cent (family-wise 95% Wilson interval); F1 with an interval by patients drawn again. "
                f"{ABBREVIATIONS} Exact and bootstrap intervals stand in [[intervals]].",
            ),
            Table(
                "means",
                "Macro and weighted averages over the classes",
                ("", *MEANS.values()),
                means,
                f"Per cent (95% interval, patients drawn again {count(intervals['draws'])} times). Macro, "
                "the plain mean of the classes; weighted, by films of each class.",
            ),
            Figure(
                "confusion",
                "Confusion matrices",
                f"Matrices of true class by answer. {_spoken(asked)}",
                drawn,
                "Films, and per cent of the true class; the darker, the higher the share of the true class.",
            ),
        ),
    )


def _spoken(asked: Mapping) -> str:
    """The matrices in words: of each class what was right."""
    return " ".join(
        f"{SHORT[name]}: "
        + "; ".join(
            f"{title(label, name)}, {row[place]} of {sum(row)} right"
            for place, (label, row) in enumerate(zip(one["labels"], one["confusion"], strict=True))
        )
        + "."
        for name, one in asked.items()
    )


def _of_class(name: str, label: str, of: Mapping) -> tuple:
    return (
        title(label, name),
        *(count(of[key]) for key in COUNTS),
        *(_share(of[key]) for key in SHARES),
        percent(of["f1"]["value"], of["f1"]["bootstrap"]),
    )


def _discrimination(asked: Mapping) -> Section:
    rows = tuple(
        (
            SHORT[name],
            tuple(
                (
                    title(label, name),
                    count(of["support"]),
                    _measure(of["roc_auc"]),
                    _measure(of["average_precision"]),
                )
                for label, of in one["per_label"].items()
            ),
        )
        for name, one in asked.items()
    )
    return Section(
        "discrimination",
        "Discrimination",
        ("How well the scores rank the films of a class before all others, whatever the threshold.",),
        (
            Table(
                "areas",
                "Areas under the ROC and the precision-recall curve",
                ("Class", "n", "ROC", "Precision-recall"),
                rows,
                "Area (95% interval, patients drawn again). The area under the precision-recall curve is the "
                "average precision; an uninformed score has the share of the class.",
            ),
            Figure(
                "roc",
                "Receiver operating characteristic of each class",
                "ROC curves. " + _areas(asked, "roc_auc"),
                figures.roc(asked, SHORT),
                "One class against all others; the broken line is that of a score without information.",
            ),
            Figure(
                "precision-recall",
                "Precision and recall of each class",
                "Precision-recall curves. " + _areas(asked, "average_precision"),
                figures.precision_recall(asked, SHORT),
                "One class against all others; the short lines at the left are the shares of the classes.",
            ),
        ),
    )


def _areas(asked: Mapping, key: str) -> str:
    return " ".join(
        f"{SHORT[name]}: "
        + ", ".join(
            f"{title(label, name)} {area(of[key]['value']).text}" for label, of in one["per_label"].items()
        )
        + "."
        for name, one in asked.items()
    )


def _calibration(asked: Mapping) -> Section:
    errors = [
        (SHORT[name], *(_measure(one["calibration"][key]) for key in ("ece", "brier")))
        for name, one in asked.items()
    ]
    words = " ".join(
        f"{SHORT[name]}: expected calibration error {area(one['calibration']['ece']['value']).text}."
        for name, one in asked.items()
    )
    return Section(
        "calibration",
        "Calibration",
        ("Whether the answers that come with a score of 80% are right in 80 of 100 films.",),
        (
            Table(
                "errors",
                "Calibration error and Brier score",
                ("", "Expected calibration error", "Brier score"),
                plain_rows(errors),
                "Value (95% interval, patients drawn again). The Brier score is the sum over the classes,"
                " 0 to 2; lower is better for both.",
            ),
            Figure(
                "reliability",
                "Reliability of the highest score",
                f"Share of right answers against the score, near the diagonal where calibrated. {words}",
                figures.reliability(asked, SHORT),
                "Points, five or more films with scores within a fifteenth of each other, their area the "
                "number; the broken line is perfect calibration; grey bars are the shares of the films.",
            ),
        ),
    )


def _usefulness(asked: Mapping) -> Section:
    one = asked["classes"]
    shares = [f"{100 * at['prevalence']:g}%" for at in next(iter(one["per_label"].values()))["at_prevalence"]]
    groups = tuple(
        (
            title(label),
            tuple(
                (words, *(percent(at[key]["value"], at[key]["wilson"]) for at in of["at_prevalence"]))
                for key, words in (("ppv", "PPV"), ("npv", "NPV"))
            ),
        )
        for label, of in one["per_label"].items()
    )
    return Section(
        "usefulness",
        "Predictive values and net benefit",
        (
            "A mix of films that was put together for a test says nothing of how often an answer is right"
            " in a hospital. Predictive values are therefore given for prevalences from 0.5 to 20%, from "
            "sensitivity and specificity.",
        ),
        (
            Table(
                "prevalence",
                "Predictive values of the forced answer by prevalence of the class",
                ("Prevalence", *shares),
                groups,
                "Per cent (interval that joins the family-wise 95% Wilson limits of sensitivity and "
                "specificity).",
            ),
            Figure(
                "decision",
                "Decision curves of the forced answer",
                "Net benefit against threshold probability, of the model, of treating all and of treating "
                f"none, one panel for each of {len(one['decision_curves'])} sets of classes.",
                figures.decision(one["decision_curves"]),
                "Net benefit of treating the films whose score for the classes named reaches the "
                "threshold, with its 95% interval (patients drawn again), in the mix of classes of these "
                "films.",
            ),
        ),
    )


def _intervals(asked: Mapping, intervals: Mapping) -> Section:
    groups = []
    for name, one in asked.items():
        groups.append((f"{SHORT[name]}", (("All films: accuracy", *_three(one["accuracy"])),)))
        groups += [
            (
                f"{SHORT[name]}: {title(label, name)}",
                tuple((words, *_three(of[key])) for key, words in SHARES.items()),
            )
            for label, of in one["per_label"].items()
        ]
    return Section(
        "all-intervals",
        "Three intervals of every proportion",
        (
            "Wilson's interval is the one that the tables above give. Clopper and Pearson's is exact and "
            "never too narrow. Both take films to be independent; the bootstrap draws whole patients, so "
            "that films of one patient count together, and is not corrected for the number of "
            "comparisons.",
        ),
        (
            Table(
                "intervals",
                "Proportions with Wilson, Clopper-Pearson and bootstrap intervals",
                ("", "Films", "Per cent", "Wilson", "Clopper-Pearson", "Bootstrap"),
                tuple(groups),
                f"Wilson and Clopper-Pearson: family-wise 95%, {count(intervals['comparisons'])} "
                f"comparisons. Bootstrap: 95% of each figure alone, {count(intervals['draws'])} draws of "
                "patients.",
            ),
        ),
    )


def _three(share: Mapping) -> tuple[str, ...]:
    shown = [percent(share["value"], share[kind]) for kind in ("wilson", "clopper_pearson", "bootstrap")]
    return (
        f"{count(share['part'])}/{count(share['whole'])}",
        shown[0].text,
        *(cell.below.strip("()") or "–" for cell in shown),
    )


def _share(share: Mapping) -> Cell:
    return percent(share["value"], share["wilson"])


def _measure(measure: Mapping) -> Cell:
    return area(measure["value"], measure["bootstrap"])
