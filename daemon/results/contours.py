"""Lines round what lies above a level, for formats that draw lines themselves."""

import numpy as np

# The lines through four neighbouring samples, by which of them lie inside (top left 1, top right 2, bottom
# right 4, bottom left 8): from one side of their square to another, the inside on the left hand. Of two
# opposite corners each has a line of its own.
_LINES = {
    1: ("LT",), 2: ("TR",), 3: ("LR",), 4: ("RB",), 5: ("LT", "RB"), 6: ("TB",), 7: ("LB",),
    8: ("BL",), 9: ("BT",), 10: ("TR", "BL"), 11: ("BR",), 12: ("RL",), 13: ("RT",), 14: ("TL",),
}  # fmt: skip
# Each side of the square as the edge from one sample to the next: row, column, 0 to the right or 1 down.
_SIDES = {"T": (0, 0, 0), "R": (0, 1, 1), "B": (1, 0, 0), "L": (0, 0, 1)}


def closed_lines(
    field: np.ndarray, level: float, rows: int, columns: int, most_points: int
) -> list[np.ndarray]:
    """Every line where a field over the whole film crosses a level; along the film's edge where it is cut.

    Parameters
    ----------
    field : (field_rows, field_columns) float
        Finite, no unit.
    level : float
        Inside is what reaches it.
    rows, columns : int
        Matrix of the film, pixels.
    most_points : int
        Of one line; a longer one keeps so many, evenly spaced.

    Returns
    -------
    list of (points, 2) float
        Column and row in pixels of the film, 0 at the outer edge of the first pixel; the last point is the
        first (DICOM PS3.3 C.10.5.1.2, *PIXEL*).
    """
    edge = np.pad(field.astype(float), 1, mode="edge")
    # Beyond the edge a sample of the inside is mirrored at the level: the line runs along the edge itself.
    padded = np.minimum(edge, 2 * level - edge)
    padded[1:-1, 1:-1] = field
    following = _following(padded >= level)
    film = np.array([columns, rows])
    size = film / field.shape[::-1]
    lines = []
    while following:
        line = [next(iter(following))]
        while (after := following.pop(line[-1])) != line[0]:
            line.append(after)
        line.append(line[0])
        # The centre of the first sample of the field lies half a sample from the film's edge.
        points = np.array([_crossing(padded, level, edge) for edge in line]) - 0.5
        lines.append(_thinned(np.clip(points * size, 0, film), most_points))
    return lines


def _following(inside: np.ndarray) -> dict[tuple[int, int, int], tuple[int, int, int]]:
    """Which edge between samples a line crosses after which."""
    corners = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, 1:] + 8 * inside[1:, :-1]
    following = {}
    for row, column in np.argwhere((corners > 0) & (corners < 15)).tolist():
        for sides in _LINES[int(corners[row, column])]:
            start, end = ((row + y, column + x, way) for y, x, way in (_SIDES[side] for side in sides))
            following[start] = end
    return following


def _crossing(field: np.ndarray, level: float, edge: tuple[int, int, int]) -> tuple[float, float]:
    """Column and row of a crossing, 0 at the first sample."""
    row, column, down = edge
    before, after = field[row, column], field[row + down, column + 1 - down]
    share = (level - before) / (after - before)
    return column + share * (1 - down), row + share * down


def _thinned(line: np.ndarray, most_points: int) -> np.ndarray:
    """At most so many points, evenly spaced along the line."""
    if len(line) <= most_points:
        return line
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    places = np.linspace(0, way[-1], most_points)
    thinned = np.column_stack([np.interp(places, way, axis) for axis in line.T])
    thinned[-1] = thinned[0]
    return thinned
