"""For whom it is right, as sections of a study's report: the regression, and the figures of each group."""

import re
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from model.evaluation.table import area_title
from model.study.report_drawing import COLOURS, HAIR, QUIET, WIDTH, style, svg
from model.study.report_parts import (
    NONE,
    Cell,
    Figure,
    Section,
    Table,
    area,
    count,
    p_value,
    percent,
    plain_rows,
    ratio,
)

NAMES = {
    "age": "Age", "sex": "Sex", "bmi": "BMI", "ethnicity": "Ethnicity", "age_group": "Age group",
    "source": "Source", "manufacturer": "Manufacturer", "view": "View", "position": "Position",
}  # fmt: skip
SHARES = {"accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity"}
MODELS = {"main": "Without interactions", "with_interactions": "With interactions of pairs"}


def covariates(found: Mapping) -> Section:
    """Whether covariates go with right answers.

    Parameters
    ----------
    found : mapping
        From `model.study.covariates.regression`.
    """
    lead = [
        f"Logistic regression of {found['outcome']} on what is known of the patient: "
        f"{count(found['n_complete'])} of {count(found['n'])} films state every covariate of the model "
        f"({count(found['patients'])} patients, {count(found['right'])} films answered rightly, "
        f"{count(found['wrong'])} wrongly). Standard errors are {found['covariance']}.",
        *_warnings(found["warnings"]),
    ]
    parts: list[Table | Figure] = []
    groups = tuple(
        (f"{words}: {model['events_per_variable']:.1f} films of the rarer outcome a coefficient", rows)
        for name, words in MODELS.items()
        if (model := found["models"][name]) and (rows := _ratios(model["odds_ratios"]))
    )
    if groups:
        parts.append(
            Table(
                "odds-ratios",
                "Odds ratios of a right answer",
                ("", "Odds ratio (95% interval)", "p"),
                groups,
                "Above 1, more often right. p by Wald's test. A dash: separation leaves no finite estimate.",
            )
        )
    if drawable := [
        one for one in (found["models"]["main"] or {"odds_ratios": ()})["odds_ratios"] if one["odds_ratio"]
    ]:
        parts.append(
            Figure(
                "forest",
                "Odds ratios of a right answer",
                "Odds ratios with their intervals, on a logarithmic axis. "
                + " ".join(f"{one['text']}: {ratio(one['odds_ratio']).text}." for one in drawable),
                _forest(drawable),
                "Points, odds ratios of the model without interactions; lines, 95% intervals, logarithmic.",
                0.8,
            )
        )
    if found["tests"]:
        rows = [
            (
                _term(test["term"]), f"{test['chi2']:.2f}", str(test["df"]),
                *(p_value(test[key]) for key in ("p", "p_wald", "p_holm", "p_bonferroni")),
            )
            for test in found["tests"]
        ]  # fmt: skip
        adjusted = "the cluster-robust Wald tests" if found["adjusted"] == "p_wald" else "the ratio tests"
        parts.append(
            Table(
                "term-tests",
                "Likelihood-ratio tests of covariates and interactions",
                ("", "χ²", "Degrees of freedom", "p, ratio", "p, Wald", "p, Holm", "p, Bonferroni"),
                plain_rows(rows),
                "Each covariate against the model without it, each interaction added to the model without"
                f" any. Holm's and Bonferroni's p adjust {adjusted} over all rows.",
            )
        )
    return Section("covariates", "Covariates of a right answer", tuple(lead), tuple(parts))


def groups(found: Mapping) -> Section:
    """The figures of each group of patients and films.

    Parameters
    ----------
    found : mapping
        From `model.study.equity.equity`.
    """
    lead = (
        f"Fewer than {found['fewest']} patients give no figure. Differences are to the largest group of each "
        f"kind; their p values are adjusted by Holm over all {count(found['tests'])} comparisons.",
        *_left_out(found["left_out"]),
        *_warnings(found["warnings"]),
    )
    parts = [_shares(found), _measures(found), _differences(found)]
    shown = [
        (name, group, of["figures"]["accuracy"])
        for part, one in found["by"].items()
        for group, of in one["groups"].items()
        if of["figures"] and of["figures"]["accuracy"]["value"] is not None
        for name in (_name(part),)
    ]
    if shown:
        words = " ".join(
            f"{name} {_group(group)}: {percent(one['value']).text}%." for name, group, one in shown
        )
        parts.insert(
            0,
            Figure(
                "equity-accuracy",
                "Accuracy of each group",
                f"Accuracy with its interval by group. {words}",
                _dots(shown, found["figures"]),
                "Points, accuracy of the forced answer; lines, 95% interval by patients drawn again; the "
                "upright line, all films.",
                0.86,
            ),
        )
    return Section("equity", "For whom it is right", lead, tuple(part for part in parts if part))


def _shares(found: Mapping) -> Table:
    head = ("Group", "Films", "Patients", "Refused", *SHARES.values(), "Macro F1")

    def row(group: str, of: Mapping) -> tuple:
        figures = of["figures"] or {}
        cells = [_percent(figures.get(key)) for key in (*SHARES, "macro_f1")]
        return (_group(group), *(count(of[key]) for key in ("n", "patients", "n_refused")), *cells)

    groups = [("", (row("All", found),))]
    groups += [
        (_name(part), tuple(row(group, of) for group, of in one["groups"].items()))
        for part, one in found["by"].items()
    ]
    return Table(
        "equity-shares",
        "Accuracy, sensitivity and specificity by group",
        head,
        tuple(groups),
        "Per cent (95% interval, patients drawn again). Accuracy and macro F1 of the forced answer; "
        "sensitivity and specificity of the decision for any finding. Macro F1 is over the classes that"
        " a group has: groups of other classes do not compare by it.",
    )


def _measures(found: Mapping) -> Table | None:
    keys = {key: area_title(key[4:]) for key in found["figures"] if key.startswith("auc_")}
    groups = [("", (("All", *(_area(found["figures"].get(key)) for key in keys)),))]
    for part, one in found["by"].items():
        rows = tuple(
            (_group(group), *(_area((of["figures"] or {}).get(key)) for key in keys))
            for group, of in one["groups"].items()
            if any((of["figures"] or {}).get(key, {}).get("value") is not None for key in keys)
        )
        if rows:
            groups.append((_name(part), rows))
    return Table(
        "equity-areas",
        "Areas under the ROC curve by group",
        ("Group", *keys.values()),
        tuple(groups),
        "Area (95% interval, patients drawn again). Groups without films of both kinds have none.",
    )


def _differences(found: Mapping) -> Table | None:
    """Differences in shares to the largest group."""
    groups = []
    for part, one in found["by"].items():
        rows = tuple(
            (_group(group), *(_difference(of["difference"].get(key)) for key in SHARES))
            for group, of in one["groups"].items()
            if of["difference"]
        )
        if rows:
            groups.append((f"{_name(part)}, against {_group(one['reference'])}", rows))
    if not groups:
        return None
    return Table(
        "equity-differences",
        "Differences to the largest group of each kind",
        ("Group", *SHARES.values()),
        tuple(groups),
        "Percentage points (95% interval, patients drawn again), and p by exchanging patients between the"
        " two groups, adjusted by Holm.",
    )


def _difference(of: Mapping | None) -> Cell | str:
    if of is None or of["value"] is None:
        return NONE
    below = f"p {p_value(of['p_holm'])}"
    if of["ci95"]:
        low, high = (100 * limit for limit in of["ci95"])
        below = f"({low:+.1f} to {high:+.1f}) {below}"
    return Cell(_signed(f"{100 * of['value']:+.1f}"), _signed(below))


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _percent(of: Mapping | None) -> Cell:
    return percent(of["value"], of["ci95"]) if of else Cell(NONE)


def _area(of: Mapping | None) -> Cell:
    return area(of["value"], of["ci95"]) if of else Cell(NONE)


def _ratios(ratios: Sequence[Mapping]) -> tuple:
    rows = []
    for one in ratios:
        shown = ratio(one["odds_ratio"], one["ci95"])
        rows.append((_sentence(one["text"]), f"{shown.text} {shown.below}".strip(), p_value(one["p"])))
    return tuple(rows)


def _left_out(left_out: Mapping[str, str]) -> list[str]:
    if not left_out:
        return []
    why = "; ".join(f"{_term(term)} ({reason})" for term, reason in left_out.items())
    return [f"Left out: {why}."]


def _warnings(warnings: Sequence[str]) -> list[str]:
    return [f"Warnings. {'. '.join(_sentence(warning) for warning in warnings)}."] if warnings else []


def _term(term: str) -> str:
    """A covariate or an interaction in words, ``Age × sex``."""
    first, *others = (_name(name) for name in term.split(":"))
    return " × ".join([first, *(other if other == "BMI" else other.lower() for other in others)])


def _name(part: str) -> str:
    return NAMES.get(part, part.replace("_", " ").capitalize())


def _group(group: str) -> str:
    return {"unknown": "Not stated", "M": "Male", "F": "Female"}.get(group, group)


def _sentence(text: str) -> str:
    return re.sub(r"\bbmi\b", "BMI", text[:1].upper() + text[1:], flags=re.IGNORECASE)


def _forest(ratios: Sequence[Mapping]) -> bytes:
    with style():
        figure = Drawing(figsize=(WIDTH * 0.8, 0.6 + 0.24 * len(ratios)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(1, color=QUIET, linewidth=0.9)
        for place, one in enumerate(ratios):
            axis.plot(one["ci95"], [place, place], color=COLOURS[0])
            axis.plot(one["odds_ratio"], place, "s", color=COLOURS[0], markersize=4)
        axis.set_yticks(range(len(ratios)), [_sentence(one["text"]) for one in ratios])
        axis.invert_yaxis()
        axis.set(xscale="log", xlabel="Odds ratio of a right answer")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="y", length=0)
        return svg(figure)


def _dots(shown: Sequence[tuple[str, str, Mapping]], everyone: Mapping) -> bytes:
    with style():
        figure = Drawing(figsize=(WIDTH * 0.86, 0.6 + 0.185 * len(shown)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(everyone["accuracy"]["value"], color=QUIET, linewidth=0.9)
        names = list(dict.fromkeys(name for name, _, _ in shown))
        for place, (name, _, one) in enumerate(shown):
            colour = COLOURS[names.index(name) % 2]
            if one["ci95"]:
                axis.plot(one["ci95"], [place, place], color=colour)
            axis.plot(one["value"], place, "o", color=colour, markersize=4)
            if place and shown[place - 1][0] != name:
                axis.axhline(place - 0.5, color=HAIR, linewidth=0.7)
        axis.set_yticks(
            range(len(shown)), [f"{name}: {_group(group)} ({one['n']})" for name, group, one in shown]
        )
        axis.invert_yaxis()
        axis.set(xlim=(0, 1.01), xlabel="Accuracy of the forced answer")
        axis.tick_params(axis="y", length=0)
        return svg(figure)
