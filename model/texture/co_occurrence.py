"""Features of the grey level co-occurrence matrix: which levels lie side by side."""

import numpy as np

from model.texture.features import names
from model.texture.first_order import entropy

# To the right, down, and both diagonals: with their reverses all neighbours at distance 1.
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))


def co_occurrence(levels: np.ndarray, most: int) -> dict[str, float]:
    """Features of the symmetric matrix at distance 1 (IBSI LFYI), mean of four directions (IBSI BTW3).

    Parameters
    ----------
    levels : (rows, columns) integer
        Discretised intensities, 1 to `most`; 0 outside the region.
    most : int
        Number of levels, at least 2.

    Returns
    -------
    dict of str to float
        By `features.names` of ``glcm``; NaN where a quotient has no value, and all of them where no pixel has
        a neighbour. Directions in which none has are left out of the mean.
    """
    matrices = [matrix for down, right in DIRECTIONS if (matrix := _matrix(levels, most, down, right)).any()]
    if not matrices:
        return dict.fromkeys(names("glcm"), np.nan)
    of_directions = [_features(matrix / matrix.sum()) for matrix in matrices]
    return dict(zip(names("glcm"), np.mean(of_directions, axis=0).tolist(), strict=True))


def _matrix(levels: np.ndarray, most: int, down: int, right: int) -> np.ndarray:
    """How often one level lies beside another in a direction and its reverse, (most, most)."""
    rows, columns = levels.shape
    here = levels[: rows - down, max(-right, 0) : columns - max(right, 0)]
    there = levels[down:, max(right, 0) : columns + min(right, 0)]
    pairs = here.astype(np.intp).ravel() * (most + 1) + there.ravel()
    counts = np.bincount(pairs, minlength=(most + 1) ** 2).reshape(most + 1, most + 1)[1:, 1:]
    return counts + counts.T


def _features(joint: np.ndarray) -> tuple[float, ...]:
    """Of one matrix whose sum is 1, in the order of the table."""
    most = len(joint)
    level = np.arange(1, most + 1)
    row, column = level[:, None], level
    margin = joint.sum(axis=1)
    apart, together = np.arange(most), np.arange(2, 2 * most + 1)
    of_apart = np.bincount(np.abs(row - column).ravel(), joint.ravel())
    of_together = np.bincount((row + column).ravel() - 2, joint.ravel())
    mean = margin @ level
    variance = margin @ (level - mean) ** 2
    difference, total = of_apart @ apart, of_together @ together
    autocorrelation = level @ joint @ level
    joint_entropy, margin_entropy = entropy(joint.ravel()), entropy(margin)
    present = joint > 0
    product = np.outer(margin, margin)
    first = -(joint[present] @ np.log2(product[present]))  # HXY1; HXY2 is twice the margin's entropy
    surplus = max(2 * margin_entropy - joint_entropy, 0.0)
    return (
        joint.max(),
        mean,
        variance,
        joint_entropy,
        difference,
        of_apart @ (apart - difference) ** 2,
        entropy(of_apart),
        total,
        of_together @ (together - total) ** 2,
        entropy(of_together),
        np.square(joint).sum(),
        of_apart @ apart**2,
        difference,  # dissimilarity has the same definition
        of_apart @ (1 / (1 + apart)),
        of_apart @ (1 / (1 + apart / most)),
        of_apart @ (1 / (1 + apart**2)),
        of_apart @ (1 / (1 + apart**2 / most**2)),
        of_apart[1:] @ (1 / apart[1:] ** 2),
        (autocorrelation - mean**2) / variance if variance else np.nan,
        autocorrelation,
        *(of_together @ (together - 2 * mean) ** power for power in (2, 3, 4)),
        (joint_entropy - first) / margin_entropy if margin_entropy else np.nan,
        np.sqrt(1 - np.exp(-2 * surplus)),
    )
