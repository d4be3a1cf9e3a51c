"""First-order features: how often each intensity occurs, wherever it lies."""

import numpy as np

from model.texture.features import names


def statistics(intensities: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Intensity-based statistics (IBSI UHIW).

    Parameters
    ----------
    intensities : (n,) number
        All that there may be, in ascending order.
    counts : (n,) integer
        Pixels of each, at least one together.

    Returns
    -------
    dict of str to float
        By `features.names` of ``statistics``; NaN where a quotient has no value.
    """
    energy = counts @ np.square(intensities)
    found = (*_distribution(intensities, counts), energy, np.sqrt(energy / counts.sum()))
    return dict(zip(names("statistics"), map(float, found), strict=True))


def histogram(counts: np.ndarray) -> dict[str, float]:
    """Intensity histogram features (IBSI ZVCW).

    Parameters
    ----------
    counts : (levels,) integer
        Pixels of each level from 1, at least one together, of two levels or more; the gradient of the
        histogram runs over all of them.

    Returns
    -------
    dict of str to float
        By `features.names` of ``histogram``.
    """
    level = np.arange(1, len(counts) + 1)
    share = counts / counts.sum()
    common = level[counts == counts.max()]
    gradient = np.gradient(counts.astype(float))
    found = (
        *_distribution(level, counts),
        common[np.abs(common - share @ level).argmin()],  # of several the one nearest to the mean
        entropy(share),
        share @ share,
        gradient.max(),
        level[gradient.argmax()],
        gradient.min(),
        level[gradient.argmin()],
    )
    return dict(zip(names("histogram"), map(float, found), strict=True))


def entropy(share: np.ndarray) -> float:
    """Entropy of shares that sum to 1, bits."""
    share = share[share > 0]
    return float(-(share @ np.log2(share)) + 0.0)


def _distribution(values: np.ndarray, counts: np.ndarray) -> tuple[float, ...]:
    """The features that statistics and histogram have in common."""
    values, counts = values[counts > 0], counts[counts > 0]
    share = counts / counts.sum()
    p10, p25, median, p75, p90 = (_percentile(values, counts, part) for part in (0.1, 0.25, 0.5, 0.75, 0.9))
    least, greatest, mean = values[0], values[-1], share @ values
    apart = values - mean
    variance = share @ apart**2
    is_one = least == greatest  # by definition skewness and kurtosis then are 0
    within = (values >= p10) & (values <= p90)
    robust, robust_share = values[within], counts[within] / counts[within].sum()
    return (
        mean,
        variance,
        0.0 if is_one else share @ apart**3 / variance**1.5,
        0.0 if is_one else share @ apart**4 / variance**2 - 3,
        median,
        least,
        p10,
        p90,
        greatest,
        p75 - p25,
        greatest - least,
        share @ np.abs(apart),
        robust_share @ np.abs(robust - robust_share @ robust),
        share @ np.abs(values - median),
        np.sqrt(variance) / mean if mean else np.nan,
        (p75 - p25) / (p75 + p25) if p75 + p25 else np.nan,
    )


def _percentile(values: np.ndarray, counts: np.ndarray, part: float) -> float:
    """Linear between the two pixels on either side, as `numpy.percentile` has it."""
    place = part * (counts.sum() - 1)
    below, above = values[np.searchsorted(counts.cumsum(), (np.floor(place), np.ceil(place)), side="right")]
    return below + (above - below) * (place % 1)
