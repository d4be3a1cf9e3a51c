"""What a reading is worth at this site: predictive value from a version's figures and the prevalence here."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from daemon import drift
from daemon.drift import Judged, Share
from model.weights import VERSIONS, read_cascade, read_recipe

# A rate of fewer films than these says nothing.
FEWEST_FILMS = 30


@dataclasses.dataclass(frozen=True)
class Rates:
    """How often a version says a class of films that have it, and says it not of films that have not.

    Parameters
    ----------
    sensitivity, specificity : float
        0 to 1.
    films : int
        With the class.
    held_out : bool
        Whether they are of sources that no training film came from, as this site is; else of the test folds.
    judged : Judged
        The counts of which these are the rates.
    """

    sensitivity: float
    specificity: float
    films: int
    held_out: bool
    judged: Judged

    def predictive_values(self, prevalence: float) -> tuple[Share, Share] | None:
        """Positive and negative predictive value at a prevalence; None where every film has it."""
        return drift.predictive_values(self.judged, prevalence) if prevalence < 1 else None


@functools.lru_cache
def rates(version: str, decision: str) -> Rates | None:
    """Rates of a label from ``figures.json`` of a version; None where too few films, or no figures.

    Those of sources held out are preferred: they are what a site that the version never learned from may
    expect.
    """
    folder = VERSIONS / version
    try:
        figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    sides = figures["sides"]
    of_label = {label: name for name, label in read_cascade(folder, read_recipe(folder)).classes}
    # A label that step 2 refines has films of its own where a class goes by its name, as viral does.
    name = of_label.get(decision, decision)
    for side, held_out in (("held-out sources", True), ("training sources", False)):
        if side in sides and (found := of_side(sides[side], name, held_out)):
            return found
    return None


def of_side(figures: Mapping[str, Any], name: str, held_out: bool) -> Rates | None:
    """Rates from the table of decisions (class of the film by class said, the last column none)."""
    if name not in figures["classes"]:
        return None
    place = figures["classes"].index(name)
    table = figures["confusion_of_decisions"]
    have = sum(table[place])
    have_not = sum(sum(row) for row in table) - have
    if have < FEWEST_FILMS or have_not < FEWEST_FILMS:
        return None
    flagged_wrongly = sum(row[place] for row in table) - table[place][place]
    judged = Judged(table[place][place], have, have_not - flagged_wrongly, have_not)
    return Rates(judged.hit / have, judged.cleared / have_not, have, held_out, judged)
