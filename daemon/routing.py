"""Which destination gets which results: by its table, and by the rules that name it."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from daemon.config import Destination, Hl7Destination, Rule, WebhookDestination, objects_of
from daemon.results import kinds
from model.findings import Reading
from model.scope import OutOfScope


def plan(
    destinations: Sequence[Destination],
    of_rules: Sequence[Rule],
    header: Dataset,
    sender: str,
    answer: Reading | OutOfScope,
    retrospective: bool = False,
) -> dict[str, frozenset[str]]:
    """Names of the objects for each destination, by its name.

    A destination that no rule names gets what its table says. One that rules name gets what those of them
    say that the film matches, and nothing of other films.

    Parameters
    ----------
    destinations : sequence of Destination
    of_rules : sequence of Rule
    header : Dataset
        Of the film.
    sender : str
        AE title of the film's sender.
    answer : Reading or OutOfScope
        What was said of the film.
    retrospective : bool
        Whether a backfill asked the archive for it.

    Raises
    ------
    daemon.rules.BadExpression
        If a rule fails on this film.
    """
    named = {name for rule in of_rules for name in rule.send}
    theirs = {to.name: frozenset(objects_of(to)) for to in destinations}
    planned = {name: frozenset() if name in named else objects for name, objects in theirs.items()}
    if of_rules:
        from daemon import rules  # noqa: PLC0415 - as in daemon.config
    for rule in of_rules:
        if rules.matches(rule.when, header, sender, answer, retrospective):
            for name in rule.send:
                planned[name] |= frozenset(rule.objects) or theirs[name]
    return planned


def takes(to: Destination, kind: str, sop_class_uid: str) -> bool:
    """Whether a destination takes results of a kind: it may have been one of another kind."""
    match to:
        case Hl7Destination():
            return kind == kinds.OBSERVATION_MESSAGE
        case WebhookDestination():
            return kind == kinds.NOTIFICATION
        case _:
            return bool(sop_class_uid)
