"""Two versions compared, as a section of a study's report."""

from collections.abc import Callable, Mapping

from model.study.report_parts import Cell, Section, Table, area, count, p_value, percent, plain_rows, title


def section(found: Mapping) -> Section:
    """Two versions on the films that both read.

    Parameters
    ----------
    found : mapping
        comparison: what `model.study.comparison.compare` gives, and with, what names the second
        version; model and version of the first.
    """
    compared, other = found["comparison"], found["comparison"]["with"]
    names = [f"{one['model']} {one['version']}" for one in (found, other)]
    answers, tests = compared["accuracy"], compared["tests"]
    rows = [("Accuracy, per cent", *_compared(answers, percent))]
    rows += [(f"Area, {title(label)}", *_compared(of, area)) for label, of in compared["roc_auc"].items()]
    return Section(
        "comparison",
        "Comparison with another version",
        (
            f"{names[0]} and {names[1]} both read {count(compared['films'])} films of "
            f"{count(compared['patients'])} patients. {count(answers['both_right'])} films were answered "
            f"rightly by both, {count(answers['first_only'])} by {names[0]} only, "
            f"{count(answers['second_only'])} by {names[1]} only, {count(answers['both_wrong'])} by "
            "neither.",
        ),
        (
            Table(
                "compared",
                f"{names[0]} against {names[1]}",
                ("", names[0], names[1], "Difference", "p", f"p, {tests['adjustment'].capitalize()}"),
                plain_rows(rows),
                "Differences with 95% intervals by patients drawn again. p by McNemar's exact test for "
                "accuracy, by DeLong's for areas under the ROC curve of a class against all others; both "
                f"take films to be independent. Adjusted over {count(tests['comparisons'])} comparisons.",
            ),
        ),
    )


def _compared(of: Mapping, shown: Callable) -> tuple:
    difference = shown(of["difference"], of["bootstrap"])
    return (
        shown(of["first"]).text,
        shown(of["second"]).text,
        Cell(difference.text.replace("-", "−"), difference.below.replace("-", "−").replace("–", " to ")),
        p_value(of["p"]),
        p_value(of["p_adjusted"]),
    )
