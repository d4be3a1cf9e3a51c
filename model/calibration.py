"""Scores that mean what they say: temperature, calibration error, thresholds by operating point."""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

TEMPERATURES = (0.05, 20.0)
BINS = 15
LEAST_THRESHOLD = 0.5


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number that logits are divided by so that the softmax fits the labels best.

    Parameters
    ----------
    logits : (n, classes) float
        Of films that trained nothing.
    labels : (n,) int
        Place of the true class.

    Returns
    -------
    float
        From 0.05 to 20; above 1 where the network was too sure.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(np.asarray(logits, float) / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(labels)), labels].mean())

    # Over the logarithm the loss has one valley; a temperature is a factor, so its scale is even there.
    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def reliability(scores: np.ndarray, labels: np.ndarray) -> list[dict]:
    """Mean leading score and share right, in bins of the leading score.

    Parameters
    ----------
    scores : (n, classes) float
        0 to 1, sum 1.
    labels : (n,) int

    Returns
    -------
    list of dict
        score, right and n for each of the 15 bins of equal width that holds a film.
    """
    leading, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    place = bin_of(leading)
    return [
        {
            "score": round(float(leading[place == i].mean()), 4),
            "right": round(float(right[place == i].mean()), 4),
            "n": int((place == i).sum()),
        }
        for i in range(BINS)
        if (place == i).any()
    ]


def bin_of(leading: np.ndarray) -> np.ndarray:
    """Bin of each leading score, (n,) int, 0 to 14."""
    return np.minimum((leading * BINS).astype(int), BINS - 1)


def expected_calibration_error(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of leading score and share right over the bins of `reliability`, 0 to 1.

    References
    ----------
    M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    leading, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    gaps = np.bincount(bin_of(leading), right - leading, BINS)
    return float(np.abs(gaps).sum() / len(labels))


def brier(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the films of the summed squares of score less truth, 0 to 2."""
    return float(squares(scores, labels).mean())


def squares(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Brier score of each film, (n,) float64."""
    return np.square(scores - np.eye(scores.shape[1])[labels]).sum(axis=1)


def least_inside(shares: np.ndarray, outside: float) -> float:
    """The share inside the lungs from which a reading that points at a place stands.

    Parameters
    ----------
    shares : (n,) float
        Share of the activation inside, 0 to 1, of films that were answered rightly and trained nothing.
    outside : float
        Share of these that may lie below it, 0 to 1.

    Returns
    -------
    float
        Rounded down to hundredths; 0 where there are no films.
    """
    if not len(shares):
        return 0.0
    edge = np.quantile(shares, outside, method="lower")
    return float(np.floor(edge * 100 + 1e-9) / 100)  # 0.29 * 100 is a little less than 29


def operating_threshold(
    scores: np.ndarray, ill: np.ndarray, harmless: int, point: Mapping[str, float]
) -> dict:
    """The smallest leading score that is said, sensitivity first.

    Below it the step is indeterminate. A label that does not hold half of the score is never said. From there
    the threshold is raised until no more than 1 - sensitivity of the films that matter are called `harmless`;
    where that would silence more than the share unanswered of all films, it stops there, and what it then
    reaches is stated.

    Parameters
    ----------
    scores : (n, classes) float
        Of the step, of films that trained nothing.
    ill : (n,) bool
        The films that must not be missed.
    harmless : int
        The class whose answer misses them: normal in step 1, other virus in step 2.
    point : mapping
        The table ``[threshold]`` of ``model.toml``: sensitivity and unanswered, both 0 to 1.

    Returns
    -------
    dict
        threshold, and the sensitivity and share unanswered that it has on these films.
    """
    if not len(scores):  # a step that no film asked
        return {"threshold": LEAST_THRESHOLD, "sensitivity": 1.0, "unanswered": 0.0}
    leading = scores.max(axis=1)
    missed = np.sort(leading[(scores.argmax(axis=1) == harmless) & ill])[::-1]
    allowed = int((1 - point["sensitivity"]) * ill.sum() + 1e-9)  # 0.05 * 20 is a little less than 1
    wanted = missed[allowed] if len(missed) > allowed else 0.0
    most = np.quantile(leading, point["unanswered"])
    # Whole hundredths, which results show as whole numbers: above the film at the edge of sensitivity, but
    # not above the edge of what may go unanswered.
    hundredths = min(np.floor(wanted * 100 + 1), np.floor(most * 100))
    threshold = max(LEAST_THRESHOLD, hundredths / 100)
    return {
        "threshold": round(float(threshold), 2),
        "sensitivity": round(1 - float((missed >= threshold).sum() / max(ill.sum(), 1)), 4),
        "unanswered": round(float((leading < threshold).mean()), 4),
    }
