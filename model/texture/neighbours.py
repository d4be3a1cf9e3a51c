"""Features of each pixel and its eight neighbours: grey tone differences, and local binary patterns."""

import numpy as np

from model.texture.features import names

MOST_COARSE = 1e6  # where no pixel differs from its neighbours
# The eight neighbours in their order round the pixel: down, right.
AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
FAR = float(np.sqrt(0.5))  # how far down and right a point between two of them lies on the circle


def _patterns() -> np.ndarray:
    """Pattern of each code: its ones where they lie in one arc, one more than all where they do not."""
    is_one = np.arange(256)[:, None] >> np.arange(len(AROUND)) & 1
    changes = (is_one != np.roll(is_one, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, is_one.sum(axis=1), len(AROUND) + 1)


_PATTERN = _patterns()


def tone_differences(levels: np.ndarray, most: int) -> dict[str, float]:
    """Features of the neighbourhood grey tone difference matrix at distance 1 (IBSI IPET).

    Parameters
    ----------
    levels : (rows, columns) integer
        Discretised intensities, 1 to `most`; 0 outside the region, of which there is some.
    most : int
        Number of levels.

    Returns
    -------
    dict of str to float
        By `features.names` of ``ngtdm``; all NaN where no pixel has a neighbour in the region. Neighbours
        outside it do not count.
    """
    padded = np.pad(levels, 1).astype(np.int32)
    inside = padded > 0
    total, beside = (
        sum(_shifted(of, *where) for where in AROUND) for of in (padded, inside.astype(np.int32))
    )
    valid = (levels > 0) & (beside > 0)
    if not valid.any():
        return dict.fromkeys(names("ngtdm"), np.nan)
    own = levels[valid].astype(np.intp)
    apart = np.abs(own - total[valid] / beside[valid])
    count = np.bincount(own, minlength=most + 1)
    level = np.flatnonzero(count)
    difference = np.bincount(own, apart, minlength=most + 1)[level]
    return dict(zip(names("ngtdm"), _tone_features(level, count[level], difference), strict=True))


def _tone_features(level: np.ndarray, count: np.ndarray, difference: np.ndarray) -> tuple[float, ...]:
    """Of the levels that occur, the pixels of each and the sum of their differences."""
    pixels, present = count.sum(), len(level)
    share = count / pixels
    weighted = share @ difference
    coarseness = 1 / weighted if weighted else MOST_COARSE
    if present == 1:
        return coarseness, 0.0, 0.0, 0.0, 0.0
    apart = level[:, None] - level
    of_both = share[:, None] + share
    contrast = (share @ apart**2 @ share) * difference.sum() / (present * (present - 1) * pixels)
    product = share * level
    busyness = weighted / np.abs(product[:, None] - product).sum()
    sums = (share * difference)[:, None] + share * difference
    complexity = (np.abs(apart) * sums / of_both).sum() / pixels
    strength = (of_both * apart**2).sum() / difference.sum() if difference.any() else 0.0
    return tuple(map(float, (coarseness, contrast, busyness, complexity, strength)))


def binary_patterns(picture: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Share of each local binary pattern, uniform and the same however turned, of 8 points at radius 1.

    Parameters
    ----------
    picture : (rows, columns) number
        Intensities, also outside the region, where neighbours of its pixels lie; the edge is repeated.
    inside : (rows, columns) bool
        The region; at least one pixel.

    Returns
    -------
    dict of str to float
        By `features.names` of ``lbp``: patterns of 0 to 8 points in one arc that are no darker than the
        pixel, then all others; sum 1.

    References
    ----------
    T. Ojala, M. Pietikäinen, T. Mäenpää, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns", IEEE PAMI 24 (2002), LBP 8,1 riu2.
    """
    padded = np.pad(picture.astype(np.float32), 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    code = np.zeros(centre.shape, np.uint8)
    for number, (down, right) in enumerate(AROUND):
        point = _shifted(padded, down, right)
        if down and right:
            # On the circle, bilinear between the pixel and its neighbours.
            beside = _shifted(padded, down, 0) + _shifted(padded, 0, right)
            point = FAR * FAR * point + FAR * (1 - FAR) * beside + (1 - FAR) ** 2 * centre
        # A thousandth of a level is rounding.
        code |= (point > centre - 1e-3).astype(np.uint8) << number
    share = np.bincount(_PATTERN[code[inside]], minlength=len(names("lbp"))) / np.count_nonzero(inside)
    return dict(zip(names("lbp"), share.tolist(), strict=True))


def _shifted(padded: np.ndarray, down: int, right: int) -> np.ndarray:
    """What lies so many pixels away, of an array with one pixel more on every side."""
    rows, columns = padded.shape
    return padded[1 + down : rows - 1 + down, 1 + right : columns - 1 + right]
