"""Who and what was judged: the study's flow, and table 1."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import FancyBboxPatch

from model.evaluation.answers import Judged
from model.evaluation.films import JudgedFilm
from model.study.cohort import LABELS, SUMMARY, band
from model.study.ethnicity import ethnic_group
from model.study.report_drawing import QUIET, style, svg
from model.study.report_parts import (
    NONE,
    Cell,
    Figure,
    Section,
    Table,
    count,
    listed,
    of_all,
    plain_rows,
    title,
)

# Covariates in words: what they are called, and a film's group.
_GROUPED: dict[str, Callable[[JudgedFilm], str | None]] = {
    "Sex": lambda film: film.sex or None,
    "Ethnicity": lambda film: ethnic_group(film.ethnicity),
    "Age band, years": lambda film: None if film.age is None else band("age", film.age),
    "BMI band, kg/m²": lambda film: None if film.bmi is None else band("bmi", film.bmi),
    "Age group": lambda film: None if film.age_group == "unknown" else film.age_group,
    "View": lambda film: film.view or None,
    "Position": lambda film: film.position or None,
    "Manufacturer": lambda film: film.manufacturer or None,
    "Source": lambda film: film.source,
}
_SEXES = {"m": "Male", "male": "Male", "f": "Female", "female": "Female"}
_BANDED = ("Age band, years", "BMI band, kg/m²")
_UNKNOWN = "Not stated"
# Of the boxes of the flow, in inches: widths, distance, edge of the picture, height of a line.
_BOX, _SIDE, _GAP, _EDGE, _LINE = 2.9, 2.5, 0.3, 0.05, 0.155
_MAIN = "#eaf1f8"


def section(judged: Judged, manifest_csv: Path, sets: Mapping[str, Sequence[JudgedFilm]]) -> Section:
    """The films that were judged, and how they came to be.

    Parameters
    ----------
    judged : Judged
    manifest_csv : Path
        The manifest; what ``firstread cohort`` says of its flow is used where it lies beside it.
    sets : mapping
        Films of each set of the version's training, of which the judged ones are a part; empty where they are
        not of the manifest that it was trained with.
    """
    summary = manifest_csv.with_name(SUMMARY)
    cohort = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else None
    steps = _steps(judged, cohort)
    by_class = {
        title(label): list(judged.films[judged.truth == place]) for place, label in enumerate(judged.classes)
    }
    parts: list[Table | Figure] = [
        Figure(
            "flow",
            "Flow of the study",
            " Then ".join(_spoken(*step) for step in steps),
            _drawn(steps),
            "Refused, by the node's own door and by what the picture shows, before any network that reads. "
            "Indeterminate, read and answered with no class.",
            0.86,
        )
    ]  # fmt: skip
    if judged.refused:
        parts.append(_refused(judged))
    parts.append(_characteristics("characteristics", "Films and patients, by true class", by_class))
    if cohort is not None:
        parts.append(_sets(cohort["sets"]))
    if sets:
        filled = {name: films for name, films in sets.items() if films}
        parts.append(_characteristics("sets", "Films and patients, by set of the version's training", filled))
    return Section("films", "Films and patients", _lead(judged, cohort), tuple(parts))


def _lead(judged: Judged, cohort: Mapping | None) -> tuple[str, ...]:
    films = [*judged.films, *(film for film, _ in judged.refused)]
    patients = len({film.group for film in films})
    text = (
        f"{count(len(films))} films of {count(patients)} patients were judged, through the same door as "
        f"films from a modality; {count(len(judged.films))} were read."
    )
    return (text, "The cohort was drawn by firstread cohort.") if cohort else (text,)


def _steps(judged: Judged, cohort: Mapping | None) -> list[tuple[str, str]]:
    """The boxes of the flow from above: text, and what leaves beside it."""
    steps = []
    if cohort is not None:
        flow = cohort["flow"]
        out = flow.get("admissions without a film for suspected pneumonia", 0)
        steps = [
            (
                f"Admissions\nn = {count(flow['admissions'])} ({count(flow['films'])} films)",
                f"No film for suspected pneumonia\nn = {count(out)} admissions",
            ),
            (
                f"Films of the cohort\nn = {count(flow.get('first films', 0) + flow.get('last films', 0))} "
                f"({count(flow.get('first films', 0))} first, {count(flow.get('last films', 0))} last)",
                "In other sets, or not among the films\nthat were judged",
            ),
        ]
    everyone = len(judged.films) + len(judged.refused)
    refused = [f"{words}: {count(number)}" for words, number in _reasons(judged).items()]
    unsure = [decision for decision in judged.decisions if decision.indeterminate]
    why = Counter(str(decision).partition(": ")[2] for decision in unsure)
    reasons = [f"{words[:1].upper()}{words[1:]}: {count(number)}" for words, number in why.most_common()]
    by_class = Counter(judged.classes[place] for place in judged.truth)
    shares = ", ".join(
        f"{title(label)} {count(by_class[label])}" for label in judged.classes if by_class[label]
    )
    return [
        *steps,
        (
            f"Films to be judged\nn = {count(everyone)}",
            "\n".join([f"Refused\nn = {count(len(judged.refused))}", *refused]),
        ),
        (
            f"Films read\nn = {count(len(judged.films))}\n{shares}",
            "\n".join([f"Indeterminate\nn = {count(len(unsure))}", *reasons]),
        ),
        (f"Answered with a class\nn = {count(len(judged.films) - len(unsure))}", ""),
    ]


def _reasons(judged: Judged) -> dict[str, int]:
    """How often a film was refused for each reason, in words, the most frequent first."""
    codes = Counter(reason.partition(":")[0] for _, reason in judged.refused)
    return {code.replace("_", " ").capitalize(): number for code, number in codes.most_common()}


def _spoken(main: str, side: str) -> str:
    return f"{main}, left out: {side}.".replace("\n", ", ") if side else f"{main}.".replace("\n", ", ")


def _drawn(steps: Sequence[tuple[str, str]]) -> bytes:
    """Boxes below one another, what leaves beside them, and arrows between."""
    tall = [(_height(main), _height(side)) for main, side in steps]
    total = sum(max(pair) for pair in tall) + _GAP * (len(steps) - 1) + 2 * _EDGE
    width = _BOX + _GAP + _SIDE + 2 * _EDGE
    with style():
        figure = Drawing(figsize=(width, total))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set(xlim=(0, width), ylim=(0, total))
        axis.set_axis_off()
        top, below = total - _EDGE, None
        for (main, side), (of_main, of_side) in zip(steps, tall, strict=True):
            middle = top - max(of_main, of_side) / 2
            centre = _EDGE + _BOX / 2
            _box(axis, centre, middle, _BOX, of_main, main, _MAIN)
            if side:
                left = _EDGE + _BOX + _GAP
                _box(axis, left + _SIDE / 2, middle, _SIDE, of_side, side, "white")
                _arrow(axis, (_EDGE + _BOX, middle), (left, middle))
            if below is not None:
                _arrow(axis, (centre, below), (centre, middle + of_main / 2))
            below = middle - of_main / 2
            top -= max(of_main, of_side) + _GAP
        return svg(figure)


def _height(text: str) -> float:
    return _LINE * (text.count("\n") + 1) + 0.16 if text else 0


def _box(axis: Axes, centre: float, middle: float, width: float, height: float, text: str, fill: str) -> None:
    corner = (centre - width / 2, middle - height / 2)
    box = FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0,rounding_size=0.05", facecolor=fill, edgecolor=QUIET,
        linewidth=0.8,
    )  # fmt: skip
    axis.add_patch(box)
    axis.text(centre, middle, text, ha="center", va="center", fontsize=7.5, linespacing=1.35)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": QUIET, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=style)


def _refused(judged: Judged) -> Table:
    """Refused films by reason and class."""
    rows = []
    for words, number in _reasons(judged).items():
        of_reason = [
            judged.cascade.class_of(film.label) for film, reason in judged.refused
            if reason.partition(":")[0].replace("_", " ").capitalize() == words
        ]  # fmt: skip
        rows.append((words, *(count(of_reason.count(label)) for label in judged.classes), count(number)))
    head = ("Reason", *(title(label) for label in judged.classes), "All")
    return Table("refused", "Films that were refused, by reason and true class", head, plain_rows(rows))


def _sets(sets: Mapping[str, Mapping[str, int]]) -> Table:
    """Films of the sets of a cohort by class."""
    labels = [*LABELS, "unknown"]
    rows = [
        (part.capitalize(), *(count(of.get(label, 0)) for label in labels), count(sum(of.values())))
        for part, of in sets.items()
    ]
    head = ("Set", *(title(label) for label in labels), "All")
    notes = (
        "Unknown, pneumonia of no known cause. Surplus, of patients who were drawn, of a class that was full."
    )
    return Table("cohort-sets", "Films of the cohort, by set and class", head, plain_rows(rows), notes)


def _characteristics(key: str, caption: str, columns: Mapping[str, Sequence[JudgedFilm]]) -> Table:
    """Table 1: what the films and patients of each column are."""
    every = [film for films in columns.values() for film in films]
    columns = columns | {"All": every} if len(columns) > 1 else columns
    groups = [
        (
            "",
            (
                ("Films", *(count(len(films)) for films in columns.values())),
                ("Patients", *(count(len({film.group for film in films})) for films in columns.values())),
                *_medians("Age, years", "age", columns),
                *_medians("BMI, kg/m²", "bmi", columns),
            ),
        )
    ]
    missing = []
    for name, group_of in _GROUPED.items():
        found = {
            head: Counter(_named(name, group_of(film)) for film in films) for head, films in columns.items()
        }
        together = sum(found.values(), Counter())
        if set(together) == {_UNKNOWN}:
            missing.append(name.partition(",")[0].lower())
            continue
        rows = tuple(
            (value, *(of_all(found[head][value], len(films)) for head, films in columns.items()))
            for value in _ordered(name, together)
        )
        groups.append((name, rows))
    notes = "Films (per cent of the column), or median (interquartile range) over the films that state it."
    if missing:
        notes += f" Stated of no film: {listed(missing)}."
    return Table(key, caption, ("", *columns), tuple(groups), notes)


def _medians(name: str, field: str, columns: Mapping[str, Sequence[JudgedFilm]]) -> tuple:
    """A row of medians, none where no film states the value."""
    values = [
        [value for film in films if (value := getattr(film, field)) is not None] for films in columns.values()
    ]
    if not any(values):
        return ()
    return ((name, *(_median(of_column) for of_column in values)),)


def _median(values: Sequence[float]) -> Cell | str:
    if not values:
        return NONE
    low, middle, high = np.percentile(values, (25, 50, 75))
    return Cell(f"{middle:.0f} ({low:.0f}–{high:.0f})", f"of {count(len(values))}")


def _named(name: str, value: str | None) -> str:
    """A group in words."""
    if value is None:
        return _UNKNOWN
    text = _SEXES.get(value.casefold(), value) if name == "Sex" else value
    return text[:1].upper() + text[1:] if name != "Source" else text


def _ordered(name: str, counts: Counter) -> list[str]:
    """Bands from below, other groups by their number, those not known last."""
    known = [value for value, _ in counts.most_common() if value != _UNKNOWN]
    if name in _BANDED:
        known.sort(key=lambda value: (not value.startswith("Below"), float(re.split(r"[- ]", value)[0])
                                      if value[0].isdigit() else 0.0))  # fmt: skip
    return known + [_UNKNOWN] * (_UNKNOWN in counts)
