"""The card in words, in Markdown: every number comes from the figures."""

import textwrap
from collections.abc import Mapping

from model.evaluation import card_figures, card_words
from model.evaluation.answers import CLASSES
from model.evaluation.table import listed, markdown_table, shown

WIDTH = 110


def card_text(found: Mapping, recipe: Mapping, manifest: Mapping) -> str:
    """The whole card.

    Parameters
    ----------
    found : mapping
        What `card.write_card` found.
    recipe, manifest : mapping
        ``model.toml`` and ``manifest.json`` of the version.

    Returns
    -------
    str
        Markdown.
    """
    parts = (
        _head(found),
        _warnings(found),
        "## Intended use\n\n" + card_words.INTENDED,
        _refused(found),
        _data(found["data"]),
        _model(found, recipe, manifest),
        card_figures.performance(found["sides"]),
        card_figures.operating_points(found["sides"]),
        card_figures.calibration(found["sides"]),
        card_figures.shortcuts(found["audit"]),
        card_figures.robustness(found["robustness"]),
        _failures(found),
        "## Limits\n\n" + card_words.LIMITS,
    )
    return "\n\n".join(_wrapped(block) for block in "\n\n".join(parts).split("\n\n")) + "\n"


def _wrapped(block: str) -> str:
    """A paragraph in lines of even length; tables, lists, headings and pictures as they are."""
    return block if block.startswith(("#", "|", "-", "!")) else textwrap.fill(block, WIDTH)


def _head(found: Mapping) -> str:
    summary = markdown_table(
        ("", ""),
        [
            ("model", f"{found['name']} {found['version']}"),
            ("finds the lungs", found["lungs"] or "none"),
            ("weights of both, SHA-256", found["weights_sha256"]),
            ("activation", found["method"]),
            ("time for a film, file to decision", f"{found['milliseconds_per_film']} ms on the machine used"),
            ("judged on", found["date"]),
        ],
    )
    return f"""# {found["name"]} {found["version"]}

**RESEARCH USE ONLY - NOT FOR DIAGNOSIS.** Written by `firstread evaluate --card`; no figure by hand. All
figures, with more digits and more subsets, are in `figures.json`.

{summary}

{card_words.HEADINGS}"""


def _warnings(found: Mapping) -> str:
    """The bars, met or not: what a hurried reader should see."""
    rows = []
    for text, side, path, least, aim in card_words.BARS:
        value, interval = card_figures.figure(found["sides"][side], path)
        met = "-" if value is None else ("yes" if value >= least else "**no**")
        rows.append((text, side, shown(value, interval), f"{least:.2f}", f"{aim:.2f}" if aim else "", met))
    head = ("figure", "films of the", "found", "asked", "aim", "met")
    return f"## In short: what was asked of it\n\n{markdown_table(head, rows)}"


def _refused(found: Mapping) -> str:
    rows = []
    for side, of_side in found["sides"].items():
        refused = of_side["n_refused"], listed(of_side["refused_for"])
        undecided = listed(of_side.get("indeterminate", {})).replace("indeterminate: ", "")
        rows.append((side, of_side["n"], *refused, of_side["n_indeterminate"], undecided))
    head = ("films of the", "films", "refused by the picture", "for", "indeterminate", "why")
    return f"## Refused and undecided films\n\n{card_words.REFUSED}\n\n{markdown_table(head, rows)}"


def _data(data: Mapping) -> str:
    licences: dict[str, list[str]] = {}
    for row in data["licences"]:
        licences.setdefault(row["source"], []).append(f"{row['licence']} ({row['films']})")
    ages = ("paediatric", "adult", "unknown")
    counts = {(row["source"], row["label"], row["age_group"]): row["films"] for row in data["sources"]}
    pairs = sorted({(source, label) for source, label, _ in counts})
    by_age = [
        (source, label, *(counts.get((source, label, age), 0) for age in ages)) for source, label in pairs
    ]
    splits = [(side, *row.values()) for side, row in data["splits"].items()]
    return f"""## Data

{card_words.LABELS}

Films that train, validate, test, or belong to held-out sources; no patient is on two sides.

{markdown_table(("side", "films", "patients", *CLASSES), splits)}

{markdown_table(("source", "class", *(f"{age} films" for age in ages)), by_age)}

{markdown_table(("source", "licence (films)"), [(s, "; ".join(found)) for s, found in licences.items()])}"""


def _model(found: Mapping, recipe: Mapping, manifest: Mapping) -> str:
    steps = [
        (step, manifest["temperature"][step], manifest["thresholds"][step], *point.values())
        for step, point in manifest["operating_points"].items()
    ]
    more = ""
    if untyped := recipe["sources"].get("untyped"):
        more = f" Beside the films counted above, films of pneumonia without a cause: {', '.join(untyped)}."
    head = ("step", "temperature", "threshold", "sensitivity", "without an answer")
    return f"""## Model and training

Network `{recipe["network"]}`, input {recipe["input_size"]} x {recipe["input_size"]}, two steps: normal,
bacterial, viral; then not viral, COVID-19, other virus. Trained on
{", ".join(recipe["sources"]["train"])}, folds {recipe["folds"]["train"]}; validated on folds
{recipe["folds"]["validate"]}, tested on {recipe["folds"]["test"]}. Training:
{_in_words(recipe["training"])}. Augmentation: {_in_words(recipe["augmentation"])}.{more}

Set on the validation films, sensitivity first ({recipe["threshold"]["sensitivity"]} asked, at most
{recipe["threshold"]["unanswered"]} of the films without an answer): a leading score from the smallest
possible up to the threshold is the indeterminate band. Sensitivity: share of pneumonia not called normal
(step 1), of COVID-19 not called other virus where step 2 was asked.

{markdown_table(head, steps)}

A film whose penultimate features lie further from those of the training films than
{manifest["unlike"]["limit"]} (Mahalanobis, the 99th percentile of the validation films) is called unlike
them, and indeterminate. A reading that points at a place stands where
{manifest["thresholds"]["inside_lungs"]} or more of its activation lies inside the lungs; at most
{recipe["threshold"]["outside_lungs"]} of the rightly answered validation films lie below."""


def _in_words(value: object) -> str:
    """A table of the recipe, or what lies in it, in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_in_words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " then ".join(f"({_in_words(inner)})" for inner in value)
    return str(value)


def _failures(found: Mapping) -> str:
    parts = ["## Failures", "The commonest confusions of the forced answer:"]
    for side, of in found["sides"].items():
        pairs = [
            (count, true, said)
            for true, row in zip(CLASSES, of["confusion"], strict=True)
            for said, count in zip(CLASSES, row, strict=True)
            if true != said and count
        ]
        commonest = sorted(pairs, reverse=True)[:4]
        listed = "; ".join(f"{true} called {said} {count} times" for count, true, said in commonest)
        parts.append(f"- {side}: {listed or 'none'}.")
    if not found["failures"]:
        return "\n\n".join(parts)
    rows = [
        (i, f"`{row['file']}`", row["is"], row["said"], f"{100 * row['score']:.0f}", row["decision"])
        for i, row in enumerate(found["failures"], start=1)
    ]
    shown_sources = {row["file"].split("/")[1] for row in found["failures"] if row["file"].count("/") > 1}
    credits = "; ".join(text for source, text in card_words.CREDITS.items() if source in shown_sources)
    return "\n\n".join(
        [
            *parts,
            "The wrong answers of the highest score among the training sources' test films:",
            "![failures](card/failures.png)",
            markdown_table(("", "film", "is", "said", "score", "decision of the node"), rows),
            f"Films: {credits}." if credits else "",
        ]
    ).rstrip()
