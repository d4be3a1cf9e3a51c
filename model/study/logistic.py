"""Logistic regression that also answers where groups separate right from wrong."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats
from scipy.linalg import null_space
from scipy.optimize import linprog
from statsmodels.discrete.discrete_model import BinaryResultsWrapper, Logit
from statsmodels.tools.sm_exceptions import ModelWarning, PerfectSeparationError

LEVEL = 0.95
_TINY = 1e-8


@dataclass(frozen=True)
class Fit:
    """A logistic model at the highest likelihood, or at what it nears where that is reached nowhere.

    Parameters
    ----------
    coefficients : (k,) float64
        Logarithms of odds ratios; NaN where no finite one is the best, or other columns say the same.
    covariance : (k, k) float64
        NaN likewise.
    log_likelihood : float
    rank : int
        Of the design.
    separated : int
        Films whose outcome the design foretells with certainty; all of them in complete separation.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    rank: int
    separated: int

    @property
    def errors(self) -> np.ndarray:
        """Standard errors, (k,); NaN as the coefficients."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def p(self) -> np.ndarray:
        """Of Wald's test of each coefficient alone, (k,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2 * stats.norm.sf(np.abs(self.coefficients / self.errors))

    @property
    def odds_ratios(self) -> np.ndarray:
        """Each coefficient's odds ratio with its 95 % limits, (k, 3)."""
        reach = stats.norm.ppf((1 + LEVEL) / 2) * self.errors
        with np.errstate(over="ignore"):
            return np.exp(self.coefficients[:, np.newaxis] + np.outer(reach, (0, -1, 1)))


def fit(outcome: np.ndarray, design: np.ndarray, clusters: np.ndarray | None) -> Fit:
    """The model of an outcome that highest likelihood gives.

    Where columns separate the outcomes, some coefficients run off without end. Films whose outcome is certain
    there are taken out of the likelihood, which leaves its limit and the coefficients that stay finite.

    Parameters
    ----------
    outcome : (films,) bool
    design : (films, k) float64
        The first column is 1.
    clusters : (films,) str, optional
        Patients, for a covariance that holds though films of one patient are alike.

    Returns
    -------
    Fit

    References
    ----------
    Albert and Anderson, Biometrika 71 (1984) 1. Konis, Linear programming algorithms for detecting separated
    data in binary logistic regression models (2007).
    """
    k, small = design.shape[1], _small(design)
    rank, films = _rank(small), np.ones(len(design), bool)
    chosen = adds(small)
    found = _maximum(outcome, design[:, chosen], clusters)
    if found is None:
        films = ~separated(outcome, design)
        if films.any():
            small = _small(design[films])
            chosen = adds(small)
            of_these = None if clusters is None else clusters[films]
            found = _maximum(outcome[films], design[films][:, chosen], of_these)
    certain = int((~films).sum())
    coefficients, covariance = np.full(k, np.nan), np.full((k, k), np.nan)
    if found is None:
        # Where each film is certain the likelihood nears 1.
        return Fit(coefficients, covariance, np.nan if films.any() else 0.0, rank, certain)
    # A column that these films do not tell from others has no coefficient of its own.
    told = np.abs(null_space(small)).max(axis=1, initial=0) < _TINY
    kept = told[chosen]
    coefficients[chosen & told] = found.params[kept]
    covariance[np.ix_(chosen & told, chosen & told)] = found.cov_params()[np.ix_(kept, kept)]
    return Fit(coefficients, covariance, float(found.llf), rank, certain)


def _maximum(
    outcome: np.ndarray, design: np.ndarray, clusters: np.ndarray | None
) -> BinaryResultsWrapper | None:
    """What Newton's method finds; None where that is no maximum.

    At a maximum the residuals, none of them 0, are at right angles to every column; by Stiemke's lemma no
    plane then separates the outcomes. Newton's are so nearly: what is left of the gradient must be less than
    would turn the sign of one.
    """
    if len(design) <= design.shape[1]:  # a plane then parts them, however they came out
        return None
    how = {"cov_type": "nonrobust"}
    if clusters is not None and len(set(clusters)) > 1:
        place = np.unique(clusters, return_inverse=True)[1]
        how = {"cov_type": "cluster", "cov_kwds": {"groups": place}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = Logit(outcome.astype(float), design).fit(maxiter=50, disp=False, **how)
        except (np.linalg.LinAlgError, PerfectSeparationError, ModelWarning, RuntimeWarning):
            return None
    residuals = outcome - found.predict()
    left = design @ np.linalg.solve(design.T @ design, design.T @ residuals)
    return found if (np.abs(left) < np.abs(residuals)).all() else None


def separated(outcome: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Films on the right side of a plane that has none on its wrong side, though others may lie in it.

    Returns
    -------
    (films,) bool
        All in complete separation, some in quasi-complete, none where the likelihood has a maximum.
    """
    films, k = design.shape
    scaled = design / np.maximum(np.abs(design).max(axis=0), _TINY)
    towards = np.where(outcome, 1, -1)[:, np.newaxis] * scaled
    # Maximise the films' distances, each counted to 1 at most: 0 <= distance <= towards @ plane.
    solved = linprog(
        np.concatenate([np.zeros(k), -np.ones(films)]),
        A_ub=sparse.hstack([sparse.csr_array(-towards), sparse.eye_array(films)]),
        b_ub=np.zeros(films),
        bounds=[(None, None)] * k + [(0, 1)] * films,
    )
    return solved.x[k:] > 0.5


def adds(design: np.ndarray, after: int = 0) -> np.ndarray:
    """Which columns say what none before them says.

    Parameters
    ----------
    design : (films, k) float64
    after : int
        Columns before this place are taken as they are.

    Returns
    -------
    (k - after,) bool
    """
    small = _small(design)
    if _rank(small) == design.shape[1]:
        return np.ones(design.shape[1] - after, bool)
    return np.diff([_rank(small[:, :place]) for place in range(after, design.shape[1] + 1)]) > 0


def _small(matrix: np.ndarray) -> np.ndarray:
    """As few rows as columns at most, in which columns depend on each other as in the matrix."""
    return np.linalg.qr(matrix, mode="r")


def _rank(matrix: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(matrix)) if matrix.shape[1] else 0


def likelihood_ratio(smaller: Fit, larger: Fit) -> tuple[float, int, float | None]:
    """The statistic, its degrees of freedom, and p of a model against one within it.

    p is None where the larger says no more, or the statistic is NaN because a likelihood has no maximum.
    """
    statistic = float(np.maximum(0, 2 * (larger.log_likelihood - smaller.log_likelihood)))
    df = larger.rank - smaller.rank
    if not df or np.isnan(statistic):
        return statistic, df, None
    return statistic, df, float(stats.chi2.sf(statistic, df))


def wald(of: Fit, places: np.ndarray) -> float | None:
    """p of these coefficients being 0, all at once; None where one is not finite or too few patients tell."""
    coefficients, covariance = of.coefficients[places], of.covariance[np.ix_(places, places)]
    if np.isnan(coefficients).any() or np.linalg.matrix_rank(covariance) < len(coefficients):
        return None
    statistic = coefficients @ np.linalg.solve(covariance, coefficients)
    return float(stats.chi2.sf(statistic, len(coefficients)))
