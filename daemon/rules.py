"""Expressions of ``[[rule]]``: what is asked of a film's header and its reading, without side effects.

The language is rule-engine's: comparisons, ``and``, ``or``, ``not``, ``in``, ``=~`` for a regular expression.
"""

import re
from functools import cache

import rule_engine
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from rule_engine import DataType

from model.findings import Reading
from model.header import text
from model.scope import OutOfScope

# Beside these every keyword of the DICOM dictionary is a name, of the element's first value in capitals.
NAMES = {
    "decision": DataType.STRING,
    "leading": DataType.STRING,
    "score": DataType.MAPPING(DataType.STRING, DataType.FLOAT),
    "refusal": DataType.STRING,
    "model": DataType.STRING,
    "sender": DataType.STRING,
    "retrospective": DataType.BOOLEAN,
}
_LABEL = re.compile(r"""score\s*\[\s*(?:"([^"]*)"|'([^']*)')\s*\]""")
# A regular expression meets no more of what a peer wrote.
MOST_TEXT = 256


class BadExpression(ValueError):
    """An expression that cannot be understood, or asks for what there is not."""


def labels_asked(expression: str) -> list[str]:
    """Labels whose scores an expression asks for."""
    return [one or other for one, other in _LABEL.findall(expression)]


def check(expression: str) -> str:
    """The expression, if it can be asked of any film; whether the model has its labels is not looked at.

    Raises
    ------
    BadExpression
    """
    try:
        _compiled(expression).matches(_facts(expression, Dataset(), "", None, False))
    except (rule_engine.errors.EngineError, LookupError) as error:
        said = getattr(error, "message", "") or str(error)
        raise BadExpression(
            f"found {expression!r}, of which {said}; "
            f"expected a comparison of {', '.join(NAMES)}, or DICOM keywords"
        ) from error
    return expression


def matches(
    expression: str,
    header: Dataset,
    sender: str,
    answer: Reading | OutOfScope,
    retrospective: bool = False,
) -> bool:
    """Whether a film is meant.

    Parameters
    ----------
    expression : str
        One that `check` let pass.
    header : Dataset
        Of the film.
    sender : str
        AE title of its sender.
    answer : Reading or OutOfScope
        What was said of it. ``decision`` and ``leading``, the class of the highest score, are empty where it
        was refused, ``refusal`` is where it was read. Scores are 0 to 100 within their step, 0 in a step
        that was not run.
    retrospective : bool
        Whether a backfill asked the archive for the film.

    Raises
    ------
    BadExpression
        If it fails on this film alone, such as on a text that it takes for a number.
    """
    try:
        return _compiled(expression).matches(_facts(expression, header, sender, answer, retrospective))
    except (rule_engine.errors.EngineError, LookupError) as error:
        raise BadExpression(f"{expression!r} fails on this film: {type(error).__name__}") from error


def _facts(
    expression: str, header: Dataset, sender: str, answer: Reading | OutOfScope | None, retrospective: bool
) -> dict[str, object]:
    facts = {"decision": "", "leading": "", "refusal": "", "model": "", "sender": sender, "header": header}
    facts["retrospective"] = retrospective
    scores = dict.fromkeys(labels_asked(expression), 0.0)
    if isinstance(answer, OutOfScope):
        facts["refusal"] = answer.code
    elif answer is not None:
        for step in filter(None, (answer.step1, answer.step2)):
            scores |= {label: 100.0 * score for label, score in zip(step.labels, step.scores, strict=True)}
            facts["leading"] = step.leading
        facts |= {"decision": str(answer.decision), "model": answer.model.name}
    return facts | {"score": scores}


def _type_of(name: str) -> DataType:
    if name in NAMES:
        return NAMES[name]
    if tag_for_keyword(name) is None:
        raise rule_engine.errors.SymbolResolutionError(name)
    return DataType.STRING


def _value_of(facts: dict[str, object], name: str) -> object:
    return facts[name] if name in NAMES else text(facts["header"], name)[:MOST_TEXT]


@cache
def _compiled(expression: str) -> rule_engine.Rule:
    return rule_engine.Rule(expression, rule_engine.Context(resolver=_value_of, type_resolver=_type_of))
