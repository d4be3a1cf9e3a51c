"""Are the scores still what they were, and what are they worth here? Pure functions of counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A cell of the reference holds at least this share of its films; smaller ones are joined to their neighbours.
LEAST_SHARE = 0.05
_Z = 1.959963984540054  # 95 %, two sides


def stability_index(reference: Sequence[int], found: Sequence[int]) -> float:
    """Population stability index: how far a distribution has moved from another.

    Cells are joined until each holds a twentieth of the reference, so that few films in a cell make no
    alarm; one without films of `found` counts half a film. Under 0.1 is called steady, 0.2 a shift.

    Parameters
    ----------
    reference, found : sequence of int
        Films in each cell of the score, as many cells in both, and a film at least in each.

    Returns
    -------
    float
        Sum over the cells of (p - q) ln(p / q), 0 or more.

    Raises
    ------
    ValueError
        If the lengths differ or one of them has no film.
    """
    if len(reference) != len(found) or not sum(reference) or not sum(found):
        raise ValueError("found no films or cells that differ, expected films in the same cells")
    joined = _joined(reference, found)
    total, index = sum(max(of, 0.5) for _, of in joined), 0.0
    for before, now in joined:
        q, p = before / sum(reference), max(now, 0.5) / total
        index += (p - q) * math.log(p / q)
    return index


def _joined(reference: Sequence[int], found: Sequence[int]) -> list[tuple[int, int]]:
    least = max(1.0, LEAST_SHARE * sum(reference))
    cells: list[tuple[int, int]] = []
    before = now = 0
    for of_reference, of_found in zip(reference, found, strict=True):
        before, now = before + of_reference, now + of_found
        if before >= least:
            cells.append((before, now))
            before = now = 0
    last_before, last_now = cells.pop() if cells else (0, 0)
    return [*cells, (last_before + before, last_now + now)]


@dataclass(frozen=True)
class Share:
    """A share and its 95 % interval, 0 to 1; of no films it is 0 to 1."""

    value: float
    low: float
    high: float


def wilson(part: int, whole: int) -> Share:
    """Share of `part` in `whole`, with the interval of Wilson (1927)."""
    if not whole:
        return Share(math.nan, 0.0, 1.0)
    share, square = part / whole, _Z**2
    middle = (share + square / (2 * whole)) / (1 + square / whole)
    half = _Z * math.sqrt(share * (1 - share) / whole + square / (4 * whole**2)) / (1 + square / whole)
    return Share(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True)
class Judged:
    """Films with and without a finding, and what was said of them.

    Parameters
    ----------
    hit, with_it : int
        Films said to have it, of those that have it.
    cleared, without_it : int
        Films not said to have it, of those that do not.
    """

    hit: int
    with_it: int
    cleared: int
    without_it: int


def predictive_values(judged: Judged, prevalence: float) -> tuple[Share, Share]:
    """Positive and negative predictive value at a prevalence.

    The intervals are those of Mercaldo, Lau and Zhou (Stat Med 2007;26:2170) on the logit, half a film
    added to each count where one is none; the prevalence is taken as known.

    Parameters
    ----------
    judged : Judged
        With films of both kinds.
    prevalence : float
        Above 0 and below 1.
    """
    counts = (judged.hit, judged.with_it - judged.hit, judged.cleared, judged.without_it - judged.cleared)
    half = 0.5 if 0 in counts else 0.0
    hit, missed, cleared, wrong = (count + half for count in counts)
    n_with, n_without = hit + missed, cleared + wrong
    sensitivity, specificity = hit / n_with, cleared / n_without
    odds = prevalence / (1 - prevalence)
    return (
        _on_the_logit(
            sensitivity / (1 - specificity) * odds,
            (1 - sensitivity) / sensitivity / n_with + specificity / (1 - specificity) / n_without,
        ),
        _on_the_logit(
            specificity / (1 - sensitivity) / odds,
            sensitivity / (1 - sensitivity) / n_with + (1 - specificity) / specificity / n_without,
        ),
    )


def _on_the_logit(odds: float, variance: float) -> Share:
    spread = math.exp(_Z * math.sqrt(variance))
    low, value, high = (one / (1 + one) for one in (odds / spread, odds, odds * spread))
    return Share(value, low, high)
