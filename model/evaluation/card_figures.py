"""The chapters of a card that are figures: performance, calibration, shortcuts, robustness."""

from collections.abc import Mapping, Sequence

from model.evaluation import card_words
from model.evaluation.answers import CLASSES
from model.evaluation.metrics import PAPER_MIX
from model.evaluation.table import CALIBRATION, OVERALL, QUESTIONS, markdown_table, shown

POINTS = {"any_pneumonia": "any pneumonia", "covid19": "COVID-19"}


def figure(of_side: Mapping, path: Sequence[str]) -> tuple[float | None, list[float] | None]:
    """A figure and its interval; the interval lies in the ci95 of the innermost set of films."""
    while path[0].startswith("by_"):
        of_side, path = of_side[path[0]].get(path[1], {}), path[2:]
    value, interval = of_side, of_side.get("ci95")
    for name in path:
        value, interval = (value or {}).get(name), (interval or {}).get(name)
    return value, interval


def performance(sides: Mapping) -> str:
    """How well classes are told, on each side, by class, source, age and geometry."""
    rows = [
        (text, *(shown(of[name], of["ci95"][name]) for of in sides.values()))
        for name, text in OVERALL.items()
    ]
    for group, names in (("auc", QUESTIONS), ("calibration", CALIBRATION)):
        rows += [
            (text, *(shown(of[group][name], of["ci95"][group][name]) for of in sides.values()))
            for name, text in names.items()
        ]
    parts = [
        "## Performance",
        card_words.FIGURES,
        markdown_table(("", *sides), rows),
        _paper(),
        "![accuracy by source](card/sources.png)",
    ]
    for side, of in sides.items():
        parts += [f"### {side[0].upper()}{side[1:]}", _classes(of), _confusion(of)]
        for part in ("by_source", "by_age_group", "by_geometry"):
            parts.append(_parted(part, of[part]))
    return "\n\n".join(parts)


def _paper() -> str:
    """What the paper says of its own films, to read beside the tables of classes."""
    rows = [
        (label, PAPER_MIX[label], f"{precision:.2f}", f"{recall:.2f}")
        for label, (precision, recall) in card_words.PAPER.items()
    ]
    return f"""T. Gao and G. Wang's network on their own films, accuracy {card_words.PAPER_ACCURACY}:

{markdown_table(("class", "films", "precision", "recall"), rows)}"""


def _classes(of: Mapping) -> str:
    names = ("precision", "recall", "f1", "auc")
    rows = [
        (label, row["support"], *(shown(row[name], of["ci95"]["per_class"][label][name]) for name in names))
        for label, row in of["per_class"].items()
    ]
    return markdown_table(("class", "films", *names), rows)


def _confusion(of: Mapping) -> str:
    rows = [
        (label, *forced, *decided)
        for label, forced, decided in zip(
            of["classes"], of["confusion"], of["confusion_of_decisions"], strict=True
        )
    ]
    head = ("is", *(f"forced: {c}" for c in CLASSES), *(f"decision: {c}" for c in CLASSES), "no class")
    return markdown_table(head, rows)


def _parted(part: str, found: Mapping) -> str:
    rows = []
    for value, of in found.items():
        figures = [figure(of, path) for path in (("accuracy",), ("auc", "covid19_against_normal"))]
        figures += [figure(of, ("per_class", label, "recall")) for label in CLASSES]
        rows.append((value, of["n"], of["n_indeterminate"], *(shown(*figure) for figure in figures)))
    head = (part.replace("_", " "), "films", "indeterminate", "accuracy", "AUC COVID-19 against normal")
    return markdown_table((*head, *(f"{label} right" for label in CLASSES)), rows)


def operating_points(sides: Mapping) -> str:
    """Sensitivity, specificity and predictive values of what is said."""
    rows = []
    for side, of in sides.items():
        for name, text in POINTS.items():
            point, interval = of["operating_points"][name], of["ci95"]["operating_points"][name]
            cells = [shown(point[key], interval[key]) for key in ("sensitivity", "specificity")]
            cells += [shown(value, interval["ppv"][key]) for key, value in point["ppv"].items()]
            rows.append((f"{text}, {side}", *cells))
    prevalences = [
        f"PPV at {key}" for key in next(iter(sides.values()))["operating_points"]["covid19"]["ppv"]
    ]
    table = markdown_table(("said by the decision", "sensitivity", "specificity", *prevalences), rows)
    return f"""## What a decision is worth

Indeterminate films count as not said. PPV: of the films that are said to show it, the share that does,
where so many of all films show it.

{table}"""


def calibration(sides: Mapping) -> str:
    """Whether a score may be called a probability, and the picture."""
    ends = {side: of["ci95"]["calibration"]["ece"][1] for side, of in sides.items()}
    is_shown = all(end < card_words.CALIBRATED for end in ends.values())
    listed = ", ".join(f"{end:.3f} on the {side}" for side, end in ends.items())
    verdict = "is shown" if is_shown else "is **not** shown: no score is a probability, or called one"
    return f"""## Calibration

Calibration counts as shown where the interval of the calibration error ends below {card_words.CALIBRATED}
on every side. It ends at {listed}: calibration {verdict}.

![calibration](card/calibration.png)"""


def shortcuts(audit: Mapping) -> str:
    """What `audit.audit` found."""
    sources = [
        (
            label,
            row["n"],
            ", ".join(row["sources"]),
            f"{row['balanced_accuracy']:.3f}",
            f"{row['guessing']:.3f}",
        )
        for label, row in audit["source_from_features"].items()
    ]
    same = [
        (name, row["covid19"], row["normal"], shown(row["auc"], row["ci95"]))
        for name, row in audit["covid19_against_normal"].items()
    ]
    parts = [
        (f"{name}, {source}", row["n"], *(shown(row["auc"][q], row["ci95"]["auc"][q]) for q in QUESTIONS))
        for source, rows in audit["parts_of_the_film"].items()
        for name, row in rows.items()
        if row["n"]
    ]
    inside = [
        (label, row["n"], f"{row['median']:.3f}", f"{row['less_than_half']:.3f}", f"{row['lungs']:.3f}")
        for label, row in audit["activation_in_the_lungs"].items()
    ]
    without = [
        (
            name,
            row["n"],
            row["against"],
            *(shown(row["auc"][which], row["ci95"][which]) for which in ("without", "with")),
        )
        for name, row in audit["last_layer_without_each_source"].items()
        if row["auc"]
    ]
    return f"""## Shortcuts

**Can the source be told from the penultimate features, within one class?** Logistic regression, five folds by
patient; above guessing, the features hold where a film comes from.

{markdown_table(("class", "films", "sources", "balanced accuracy", "guessing"), sources)}

**COVID-19 against normal where source or age cannot tell them apart.**

{markdown_table(("films", "COVID-19", "normal", "AUC"), same)}

**What is answered without the lungs?** Films with a lung outline drawn by a person; the rest of each film
is set to the mean of what is left. What stays above 0.5 without the lungs, or from the border alone, is
no reading of the lungs. (The outlines of ieee and kaggle contain the heart, those of openist do not, so
that between these the shape of the outline tells something too.)

{markdown_table(("shown, films", "films", *QUESTIONS.values()), parts)}

**Where is the class activation?** Share of what is shown in colour that lies inside the outlined lungs.

{markdown_table(("class", "films", "median share", "films below half", "lungs' share of film"), inside)}

**Leave one source out: COVID-19 against normal where the last layer never saw the source.** Films of one
class from the source left out against those of the other class from the other training sources, all of the
test folds. A last layer of its own, a logistic regression on the penultimate features; the layers before it
did see the source, so this is the least that leaving it out costs.

{markdown_table(("left out", "films", "against", "AUC without it", "AUC with it"), without)}"""


def robustness(found: Mapping) -> str:
    """What `robustness.robustness` found."""
    rows = [
        (
            name,
            row["n"],
            row["refused"],
            f"{row['median']:.3f}",
            shown(row["p99"], row["ci95"]["p99"]),
            f"{row['bar']:.2f}",
            "yes" if row["p99"] <= row["bar"] else "**no**",
            f"{100 * row['decision_changed']:.1f} %",
        )
        for name, row in found.items()
    ]
    head = ("change", "films", "refused", "median", "99th percentile", "bar", "met", "decisions changed")
    return f"""## Robustness

Largest change of a forced score, 0 to 1, under changes that leave a film's meaning alone; the bar is for
the 99th percentile. Turned and reduced films are filled up with black.

{markdown_table(head, rows)}"""
