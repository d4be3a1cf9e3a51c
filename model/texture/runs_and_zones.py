"""Features of the run length and the size zone matrix: how far one level reaches, on a line and all round."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from model.texture.features import names
from model.texture.first_order import entropy


def run_lengths(levels: np.ndarray) -> dict[str, float]:
    """Features of the grey level run length matrix (IBSI TP0I), mean of four directions (IBSI BTW3).

    Parameters
    ----------
    levels : (rows, columns) integer
        Discretised intensities, 1 or more; 0 outside the region, of which there is some.

    Returns
    -------
    dict of str to float
        By `features.names` of ``glrlm``.
    """
    pixels = np.count_nonzero(levels)
    lines = (levels, levels.T, _diagonals(levels), _diagonals(levels[:, ::-1]))
    of_directions = [_emphases(*_runs(along), pixels) for along in lines]
    return dict(zip(names("glrlm"), np.mean(of_directions, axis=0).tolist(), strict=True))


def size_zones(levels: np.ndarray) -> dict[str, float]:
    """Features of the grey level size zone matrix (IBSI 9SAK), zones of pixels that touch (8-connected).

    Parameters
    ----------
    levels : (rows, columns) integer
        Discretised intensities, 1 or more; 0 outside the region, of which there is some.

    Returns
    -------
    dict of str to float
        By `features.names` of ``glszm``.
    """
    found = _emphases(*_zones(levels), np.count_nonzero(levels))
    return dict(zip(names("glszm"), map(float, found), strict=True))


def _diagonals(levels: np.ndarray) -> np.ndarray:
    """The diagonals that run down to the left, as rows."""
    rows, columns = levels.shape
    padded = np.pad(levels, ((0, 0), (0, rows)))
    # Read in lines that are one pixel shorter, each row of the picture lies one place further right.
    return padded.ravel()[:-rows].reshape(rows, columns + rows - 1).T


def _runs(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and length of every run along the rows."""
    flat = np.pad(lines, ((0, 0), (1, 1))).ravel()
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    level, length = flat[starts[:-1]], np.diff(starts)
    return level[level > 0], length[level > 0]


def _zones(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and size of every zone: runs of the rows as a graph, joined where they touch in the next row.

    `scipy.ndimage.label` knows two levels only, and takes four times as long for each of 32.
    """
    padded = np.pad(levels, 1)
    flat, width = padded.ravel(), padded.shape[1]
    begins = np.concatenate([[True], flat[1:] != flat[:-1]])
    run = np.cumsum(begins, dtype=np.int32) - 1
    ends = []
    for onward in (width - 1, width, width + 1):
        above, below = flat[:-onward], flat[onward:]
        # Of the pixels in which two runs touch the first will do: there one of them begins.
        is_edge = (above == below) & (above > 0) & (begins[:-onward] | begins[onward:])
        place = np.flatnonzero(is_edge)
        ends.append((run[place], run[place + onward]))
    upper, lower = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(len(upper)), (upper, lower)), (run[-1] + 1,) * 2)
    count, zone = connected_components(graph, directed=False)
    level = np.empty(count, levels.dtype)
    level[zone] = flat[begins]
    size = np.bincount(zone, np.bincount(run)).astype(np.intp)
    return level[level > 0], size[level > 0]


def _emphases(levels: np.ndarray, sizes: np.ndarray, pixels: int) -> tuple[float, ...]:
    """Of runs or zones, each with its level and its length or size, in the order of the table."""
    most = int(levels.max()) + 1
    counts = np.bincount(sizes * most + levels)
    pairs = np.flatnonzero(counts)
    number, (size, level) = counts[pairs].astype(float), np.divmod(pairs, most)
    total = number.sum()
    of_levels, of_sizes = np.bincount(level, number), np.bincount(size, number)
    share, level, size = number / total, level.astype(float), size.astype(float)
    low, short = level**-2, size**-2
    return (
        share @ short,
        share @ size**2,
        share @ low,
        share @ level**2,
        share @ (low * short),
        share @ (level**2 * short),
        share @ (low * size**2),
        share @ (level**2 * size**2),
        of_levels @ of_levels / total,
        of_levels @ of_levels / total**2,
        of_sizes @ of_sizes / total,
        of_sizes @ of_sizes / total**2,
        total / pixels,
        share @ (level - share @ level) ** 2,
        share @ (size - share @ size) ** 2,
        entropy(share),
    )
