"""What a reading says: labels, scores, decisions. Value types without behaviour of their own."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from model.activation import Inside

STEP1_LABELS = ("normal", "bacterial", "viral")
STEP2_LABELS = ("not viral", "COVID-19", "other virus")


class Decision(StrEnum):
    """The one statement a reading ends in."""

    NORMAL = "normal"
    BACTERIAL = "bacterial"
    VIRAL = "viral"
    COVID19 = "COVID-19"
    OTHER_VIRUS = "other virus"
    BELOW_THRESHOLD = "indeterminate: below the threshold"
    STEPS_DISAGREE = "indeterminate: the two steps disagree"
    OUTSIDE_LUNGS = "indeterminate: outside the lungs"
    UNLIKE_TRAINING = "indeterminate: unlike the training films"

    @property
    def indeterminate(self) -> bool:
        return self.value.startswith("indeterminate")


@dataclass(frozen=True)
class ModelVersion:
    """Which model spoke.

    Parameters
    ----------
    name, version : str
        As in ``model.toml``.
    lungs : str
        Name and version of the network that finds the lungs.
    weights_sha256 : str
        SHA-256 over all weight files, the version's and then the lung network's, hexadecimal.
    method : str
        How the activation is made, in words for the *Derivation Description*.
    cells : tuple of int
        Rows and columns of places that the network tells apart: no activation is finer, whatever its grid.
    """

    name: str
    version: str
    lungs: str
    weights_sha256: str
    method: str
    cells: tuple[int, int]


@dataclass(frozen=True)
class StepScores:
    """Scores of one step of the cascade.

    Parameters
    ----------
    labels : tuple of str
    scores : tuple of float
        One for each label, 0 to 1, sum 1; not a probability.
    threshold : float
        Smallest score at which the leading label is said, 0 to 1.

    Raises
    ------
    ValueError
        If a score is NaN, infinite or outside 0 to 1, or the lengths differ.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    threshold: float

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.scores):
            raise ValueError(f"{len(self.scores)} scores for {len(self.labels)} labels")
        if not all(0.0 <= score <= 1.0 for score in self.scores):
            raise ValueError(f"scores {self.scores}, expected each from 0 to 1")

    @property
    def leading(self) -> str:
        return self.labels[self.scores.index(max(self.scores))]

    @property
    def leading_score(self) -> float:
        return max(self.scores)


@dataclass(frozen=True)
class Reading:
    """The answer to one film.

    Parameters
    ----------
    model : ModelVersion
    step1 : StepScores
        normal, bacterial, viral.
    step2 : StepScores or None
        not viral, COVID-19, other virus; None where viral does not lead step 1.
    decision : Decision
    activation_label : str
        Class whose activation is given: that of the decision; where indeterminate, of the decision that the
        scores alone would have given, or the one that leads step 1.
    activation_step : int
        1 or 2.
    activation : (grid_rows, grid_columns) float32
        Class activation over the film's whole area, 0 to 1, share of its maximum; all 0 where empty.
    lungs : (rows, columns, 2) bool
        The patient's right and left lung over the film's whole area.
    inside : Inside or None
        Share of the activation inside the lungs; None where it is empty.
    least_inside : float
        Share from which a reading that points at a place stands.
    warnings : tuple of str
        What was odd about the film's header or pixels, for the operator.
    """

    model: ModelVersion
    step1: StepScores
    step2: StepScores | None
    decision: Decision
    activation_label: str
    activation_step: int
    activation: np.ndarray
    lungs: np.ndarray
    inside: Inside | None
    least_inside: float
    warnings: tuple[str, ...] = ()


def decide(
    step1: StepScores,
    step2: StepScores | None,
    *,
    outside_lungs: bool = False,
    unlike_training: bool = False,
) -> Decision:
    """The decision of the cascade.

    Step 2 counts only where viral leads step 1 (T. Gao and G. Wang). Below its threshold step 1 says
    nothing; above it, step 2 refines viral, contradicts it, or leaves it at viral. Of several reasons to say
    nothing the first is given: outside the lungs, unlike the training films, steps disagree, below the
    threshold.

    Parameters
    ----------
    step1 : StepScores
    step2 : StepScores or None
    outside_lungs : bool
        Whether the activation that the reading points at lies elsewhere.
    unlike_training : bool
        What `model.unlike` found: scores of such a film mean little.
    """
    asked = step1.leading == "viral" and step2 is not None
    if outside_lungs:
        return Decision.OUTSIDE_LUNGS
    if unlike_training:
        return Decision.UNLIKE_TRAINING
    if asked and step2.leading == "not viral":
        return Decision.STEPS_DISAGREE
    if step1.leading_score < step1.threshold:
        return Decision.BELOW_THRESHOLD
    if asked and step2.leading_score >= step2.threshold:
        return Decision(step2.leading)
    return Decision(step1.leading)
