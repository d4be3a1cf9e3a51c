"""The figures of an evaluation for a person at a terminal, and tables of Markdown."""

from collections.abc import Iterable, Mapping, Sequence

OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "accuracy_in_paper_mix": "accuracy in the paper's mix of classes",
    "accuracy_at_70_percent_coverage": "accuracy of the surest 70 %",
    "coverage": "share decided with a class",
    "accuracy_of_answered": "accuracy of these",
    "outside_lungs": "share said to point outside the lungs",
    "inside_lungs": "median share of the activation inside",
}
QUESTIONS = {
    "normal_against_pneumonia": "AUC normal against any pneumonia",
    "bacterial_against_viral": "AUC bacterial against viral",
    "covid19_against_normal": "AUC COVID-19 against normal",
}
COUNTED = {2: "two", 3: "three", 4: "four"}
CALIBRATION = {"ece": "expected calibration error", "brier": "Brier score"}


def table(found: dict) -> str:
    """Lines of plain text, figures with their 95 % interval.

    Parameters
    ----------
    found : dict
        From `model.evaluation.evaluate.evaluate`.

    Returns
    -------
    str
    """
    lines = [
        f"{found['model']} {found['version']}, weights sha256 {found['weights_sha256'][:12]}",
        f"{found['n']} films of {', '.join(found['sources'])}, folds {found['folds']}: "
        f"{found['n_refused']} refused, {found['n_indeterminate']} indeterminate, "
        f"{found['milliseconds_per_film']} ms a film",
    ]
    if found["refused_for"]:
        lines.append(f"refused for {listed(found['refused_for'])}")
    if "accuracy" not in found:
        return "\n".join(lines)
    intervals = found["ci95"]
    lines += [
        "",
        f"answer forced to one of {COUNTED[len(found['classes'])]} classes, "
        "95 % interval by patients drawn again",
    ]
    lines += [f"  {text:42} {shown(found[name], intervals[name])}" for name, text in OVERALL.items()]
    for group, names in (
        ("auc", {name: area_title(name) for name in found["auc"]}),
        ("calibration", CALIBRATION),
    ):
        lines += [
            f"  {text:42} {shown(found[group][name], intervals[group][name])}" for name, text in names.items()
        ]
    lines += ["", f"  {'class':12} {'films':>5}  precision            recall               AUC"]
    for label, row in found["per_class"].items():
        of_class = intervals["per_class"][label]
        cells = " ".join(f"{shown(row[name], of_class[name]):20}" for name in ("precision", "recall", "auc"))
        lines.append(f"  {label:12} {row['support']:5}  {cells}".rstrip())
    lines += ["", "  true class, down; said, across      " + " ".join(f"{c:>9}" for c in found["classes"])]
    for label, row in zip(found["classes"], found["confusion"], strict=True):
        lines.append(f"  {label:36}" + " ".join(f"{count:9}" for count in row))
    last = area_title(list(found["auc"])[-1])
    for part in ("by_source", "by_age_group", "by_geometry"):
        lines += [
            "",
            f"  {part.replace('_', ' '):20} films  accuracy             {last}",
        ]
        for value, of_part in found[part].items():
            lines.append(f"  {value:20} {of_part['n']:5}  {_part(of_part)}".rstrip())
    return "\n".join(lines)


def shown(value: float | None, interval: list[float] | None) -> str:
    """A figure with its interval, ``0.827 (0.790-0.862)``; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")


def listed(counts: Mapping[str, int]) -> str:
    """How often each reason was given, ``2 ROTATED, 1 BLANK``."""
    return ", ".join(f"{n} {reason}" for reason, n in counts.items())


def area_title(question: str) -> str:
    """What the area under a curve is of, in words; a question of `metrics.questions`."""
    return QUESTIONS.get(question, f"AUC {question.replace('_', ' ')}")


def _part(found: dict) -> str:
    if "accuracy" not in found:
        return "-"
    intervals = found["ci95"]
    name = list(found["auc"])[-1]
    accuracy = shown(found["accuracy"], intervals["accuracy"])
    return f"{accuracy:20} {shown(found['auc'][name], intervals['auc'][name])}"


def markdown_table(head: Sequence, rows: Iterable[Sequence]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
