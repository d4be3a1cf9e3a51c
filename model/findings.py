"""What a reading says: labels, scores, decisions. Value types without behaviour of their own."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from model.activation import Inside, Place, main_place
from model.cascade import Cascade


class Indeterminate(StrEnum):
    """Why a reading says no label."""

    BELOW_THRESHOLD = "indeterminate: below the threshold"
    STEPS_DISAGREE = "indeterminate: the two steps disagree"
    OUTSIDE_LUNGS = "indeterminate: outside the lungs"
    UNLIKE_TRAINING = "indeterminate: unlike the training films"


class Decision(str):
    """The one statement a reading ends in: a label of the version, or one of `Indeterminate`."""

    __slots__ = ()

    @property
    def indeterminate(self) -> bool:
        return self in tuple(Indeterminate)


@dataclass(frozen=True)
class ModelVersion:
    """Which model spoke.

    Parameters
    ----------
    name, version : str
        As in ``model.toml``.
    lungs : str
        Name and version of the network that finds the lungs; empty where none are looked for.
    weights_sha256 : str
        SHA-256 over all weight files, the version's and then the lung network's, hexadecimal.
    method : str
        How the activation is made, in words for the *Derivation Description*.
    cells : tuple of int
        Rows and columns of places that the network tells apart: no activation is finer, whatever its grid.
    cascade : Cascade
        What it can say; empty where that is not asked.
    """

    name: str
    version: str
    lungs: str
    weights_sha256: str
    method: str
    cells: tuple[int, int]
    cascade: Cascade = field(default_factory=Cascade)


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
    def absence(self) -> str:
        """The label that says that what the step looks for is not there."""
        return self.labels[0]

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
    step2 : StepScores or None
        None where the label that it refines does not lead step 1, or there is no second step.
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

    def __getstate__(self) -> dict[str, object]:
        """In a pickle lungs are bits: as bytes they would be nearly all of it."""
        return self.__dict__ | {"lungs": (np.packbits(self.lungs), self.lungs.shape)}

    def __setstate__(self, state: dict[str, object]) -> None:
        bits, shape = state["lungs"]
        lungs = np.unpackbits(bits, count=math.prod(shape)).view(bool).reshape(shape)
        self.__dict__.update(state | {"lungs": lungs})

    @property
    def cascade(self) -> Cascade:
        """What the model can say."""
        return self.model.cascade

    @property
    def points_at_a_place(self) -> bool:
        """Whether the class whose activation is given can lie somewhere: an absence cannot."""
        return self.activation_label != self.step1.absence

    @cached_property
    def place(self) -> Place:
        """Where it points, its activation not being empty; where that is outside the lungs, in no lung."""
        outside = self.decision == Indeterminate.OUTSIDE_LUNGS
        return main_place(self.activation, np.zeros_like(self.lungs) if outside else self.lungs)


def deciding(step1: StepScores, step2: StepScores | None, decision: Decision) -> StepScores:
    """The step that a decision is from: step 2 answers for its own labels, everything else is step 1's."""
    return step2 if step2 is not None and decision in step2.labels else step1


def decide(
    step1: StepScores,
    step2: StepScores | None,
    *,
    outside_lungs: bool = False,
    unlike_training: bool = False,
) -> Decision:
    """The decision of the cascade.

    Step 2 counts only where the label that it refines leads step 1 (T. Gao and G. Wang). Below its threshold
    step 1 says nothing; above it, step 2 refines that label, contradicts it, or leaves it at that. Of several
    reasons to say nothing the first is given: outside the lungs, unlike the training films, steps disagree,
    below the threshold.

    Parameters
    ----------
    step1 : StepScores
    step2 : StepScores or None
        None where it is not asked.
    outside_lungs : bool
        Whether the activation that the reading points at lies elsewhere.
    unlike_training : bool
        What `model.unlike` found: scores of such a film mean little.
    """
    if outside_lungs:
        return Decision(Indeterminate.OUTSIDE_LUNGS)
    if unlike_training:
        return Decision(Indeterminate.UNLIKE_TRAINING)
    if step2 is not None and step2.leading == step2.absence:
        return Decision(Indeterminate.STEPS_DISAGREE)
    if step1.leading_score < step1.threshold:
        return Decision(Indeterminate.BELOW_THRESHOLD)
    if step2 is not None and step2.leading_score >= step2.threshold:
        return Decision(step2.leading)
    return Decision(step1.leading)
