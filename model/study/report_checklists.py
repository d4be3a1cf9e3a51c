"""Reporting checklists, filled as far as the report itself answers them."""

import tomllib
from collections.abc import Collection
from pathlib import Path

from model.study.report_parts import Section, Table, listed

FOLDER = Path(__file__).with_name("checklists")
CHECKLISTS = ("tripod_ai", "claim")
UNKNOWN = "Not known to the tool: fill in"


def sections(present: Collection[str]) -> list[Section]:
    """A section for each checklist.

    Parameters
    ----------
    present : collection of str
        Keys of the sections and parts that the report has.
    """
    return [_section(name, present) for name in CHECKLISTS]


def _section(key: str, present: Collection[str]) -> Section:
    checklist = tomllib.loads((FOLDER / f"{key}.toml").read_text(encoding="utf-8"))
    groups = tuple(
        (
            part["name"],
            tuple((item["number"], item["text"], _answer(item, present)) for item in part["items"]),
        )
        for part in checklist["section"]
    )
    answers = [row[-1] for _, rows in groups for row in rows]
    lead = (
        f"{len(answers) - answers.count(UNKNOWN)} of {len(answers)} items and sub-items are answered by this "
        "report, wholly or in part; the others are for the authors of a study.",
    )
    table = Table(
        key, checklist["caption"], ("Item", "What is asked", "Where"), groups, checklist["source"], texts=True
    )
    return Section(f"{key}-section", checklist["name"], lead, (table,))


def _answer(item: dict, present: Collection[str]) -> str:
    where = [f"[[{key}]]" for key in item.get("where", ()) if key in present]
    if not where:
        return UNKNOWN
    answer = f"Reported in {listed(where)}"
    return f"{answer}; fill in {item['lacks']}" if "lacks" in item else answer
