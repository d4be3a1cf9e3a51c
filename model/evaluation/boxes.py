"""Average precision of boxes, and its interval over patients."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.evaluation.bootstrap import divide

Corners = tuple[float, float, float, float]  # left, top, right, bottom


class Matched(NamedTuple):
    """The boxes found in a set of films, each beside the truth.

    Parameters
    ----------
    film : (boxes,) int
        Place of the film.
    score : (boxes,) float
    right : (boxes,) bool
        Whether it lies on a true box that no better one of its film lies on.
    true : (films,) float
        True boxes of each film.
    """

    film: np.ndarray
    score: np.ndarray
    right: np.ndarray
    true: np.ndarray


def overlap(one: Corners, other: Corners) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both) if both else 0.0


def match(
    found: Sequence[Sequence[tuple[float, Corners]]], truth: Sequence[Sequence[Corners]], least: float
) -> Matched:
    """Lay the boxes found in each film, (score, corners), best first, on its true boxes.

    Parameters
    ----------
    found, truth : sequence
        One entry for each film.
    least : float
        Intersection over union from which a box is right.
    """
    film, score, right = [], [], []
    for place, (boxes, true) in enumerate(zip(found, truth, strict=True)):
        free = list(true)
        for its_score, box in sorted(boxes, reverse=True):
            best = max(free, key=lambda corners, box=box: overlap(box, corners), default=None)
            hit = best is not None and overlap(box, best) >= least
            if hit:
                free.remove(best)
            film.append(place)
            score.append(its_score)
            right.append(hit)
    counts = np.array([len(true) for true in truth], float)
    return Matched(np.array(film, int), np.array(score), np.array(right, bool), counts)


def average_precision(matched: Matched, weights: np.ndarray) -> np.ndarray:
    """Area under precision over recall, precision never rising, of each draw.

    Parameters
    ----------
    matched : Matched
    weights : (draws, films) float
        How often each film counts.

    Returns
    -------
    (draws,) float64
        NaN where a draw has no true box.
    """
    order = np.argsort(-matched.score, kind="stable")
    counts = weights[:, matched.film[order]]  # (draws, boxes)
    right = np.cumsum(counts * matched.right[order], axis=1)
    precision = divide(right, np.cumsum(counts, axis=1))
    precision = np.nan_to_num(precision)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(right, axis=1, prepend=0.0)
    return divide((gained * envelope).sum(axis=1), weights @ matched.true)
