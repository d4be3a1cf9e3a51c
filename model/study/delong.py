"""DeLong's test: whether the areas under the ROC curves of two scores of the same films differ.

scikit-learn, SciPy and statsmodels have no test of two areas; MLstatkit has one, but no interval of their
difference, and where the variance vanishes it turns to a bootstrap that knows of no patients.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

FEWEST = 2  # films of either kind: of one there is no variance


@dataclass(frozen=True)
class PairedAreas:
    """Two areas and how surely they differ.

    Parameters
    ----------
    first, second : float
        Areas, 0 to 1.
    variance : float
        Of first less second, above 0.
    """

    first: float
    second: float
    variance: float

    @property
    def difference(self) -> float:
        """First less second."""
        return self.first - self.second

    @property
    def z(self) -> float:
        """The difference in its standard errors."""
        return self.difference / math.sqrt(self.variance)

    @property
    def p(self) -> float:
        """Two-sided p value of equal areas."""
        return float(2 * norm.sf(abs(self.z)))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Limits that miss the difference with a chance of alpha, by the normal distribution."""
        half = norm.isf(alpha / 2) * math.sqrt(self.variance)
        return float(max(self.difference - half, -1)), float(min(self.difference + half, 1))


def paired_areas(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> PairedAreas | None:
    """Areas under the ROC curves of two scores of the same films.

    Parameters
    ----------
    positive : (n,) bool
    first, second : (n,) float

    Returns
    -------
    PairedAreas or None
        None where there is no variance to test by: with fewer than two films of either kind, or where the
        scores order the two kinds alike, as two perfect ones do, which are not therefore surely equal.

    References
    ----------
    E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more correlated
    receiver operating characteristic curves", Biometrics 1988; X. Sun and W. Xu, "Fast implementation of
    DeLong's algorithm", IEEE Signal Process Lett 2014.
    """
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        return None
    of_first, of_second = placements(positive, first), placements(positive, second)
    # The variance of a difference is that of the films' own differences: Sun and Xu's L S L', with L (1, -1).
    variance = sum(
        float(np.var(one - other, ddof=1)) / len(one) for one, other in zip(of_first, of_second, strict=True)
    )
    if not variance:
        return None
    return PairedAreas(float(of_first[0].mean()), float(of_second[0].mean()), variance)


def placements(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each film stands on the right side of those of the other kind, a tie counting as half.

    Parameters
    ----------
    positive : (n,) bool
    score : (n,) float

    Returns
    -------
    (positives,) float64
        Share of the negatives with a lower score; their mean is the area under the curve.
    (negatives,) float64
        Share of the positives with a higher score.
    """
    # Midranks among all less those among one's own kind count the films of the other kind (Sun and Xu, 2.2).
    ranks = rankdata(score)
    own, other = rankdata(score[positive]), rankdata(score[~positive])
    return (ranks[positive] - own) / len(other), 1 - (ranks[~positive] - other) / len(own)
