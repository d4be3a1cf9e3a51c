"""Intervals of many shares that all hold at once: Wilson's, and Clopper and Pearson's, after Bonferroni."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import proportion_confint

from model.evaluation.metrics import predictive_value

LEVEL = 0.95
METHODS = {"wilson": "wilson", "clopper_pearson": "beta"}  # our name: that of statsmodels


@dataclass(frozen=True)
class Family:
    """Intervals that shall all hold at once at `LEVEL`.

    Parameters
    ----------
    comparisons : int
        How many there are, at least 1.
    """

    comparisons: int

    @property
    def alpha(self) -> float:
        """Chance that may be left to each interval to miss, by Bonferroni's inequality."""
        return (1 - LEVEL) / self.comparisons

    def of(self, part: int, whole: int) -> dict[str, list[float] | None]:
        """The intervals of a share.

        Parameters
        ----------
        part, whole : int
            0 to whole.

        Returns
        -------
        dict
            wilson and clopper_pearson, [lower, upper] each, 0 to 1; None where whole is 0.
        """
        if not whole:
            return dict.fromkeys(METHODS)
        return {
            name: [float(limit) for limit in proportion_confint(part, whole, self.alpha, method)]
            for name, method in METHODS.items()
        }


def at_prevalence(sensitivity: Mapping, specificity: Mapping, prevalence: float) -> dict[str, dict]:
    """PPV and NPV at a prevalence, with the limits that those of sensitivity and specificity give them.

    Both rise with sensitivity and with specificity. So where the two lie within their limits, as those of one
    family do together, the predictive values lie between those of both lower and of both upper limits.

    Parameters
    ----------
    sensitivity, specificity : mapping
        value, wilson and clopper_pearson, see `Family.of`.
    prevalence : float
        Above 0, below 1.

    Returns
    -------
    dict
        ppv and npv, each {value, wilson, clopper_pearson}; NaN and None where none, or all, would be flagged.
    """
    values = predictive_values(sensitivity["value"], specificity["value"], prevalence)
    found = {
        name: {"value": float(value), **dict.fromkeys(METHODS)}
        for name, value in zip(("ppv", "npv"), values, strict=True)
    }
    for method in METHODS:
        limits = sensitivity[method], specificity[method]
        if None in limits:
            continue
        for figure, edges in zip(found.values(), predictive_values(*limits, prevalence), strict=True):
            if np.isfinite(figure["value"]):
                figure[method] = edges.tolist()
    return found


def predictive_values(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
    """PPV and NPV at a prevalence, two (...) float64; NaN where none, or all, would be flagged."""
    sensitivity, specificity = np.asarray(sensitivity), np.asarray(specificity)
    # NPV is the PPV of who lacks it.
    return (
        predictive_value(sensitivity, specificity, prevalence),
        predictive_value(specificity, sensitivity, 1 - prevalence),
    )
