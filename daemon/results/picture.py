"""The picture of a reading: film, activation, scores and origin in one RGB image.

All lengths are in units u = longest side / 1024 and become whole pixels only where something is drawn.
"""

import datetime

import numpy as np
from PIL import Image

from daemon.results import wording
from daemon.results.activation import COLOUR_LEVEL, CONTOUR_LEVEL, spread
from daemon.results.film import PRODUCT
from daemon.results.lettering import width, write
from model.findings import ModelVersion, Reading, StepScores

AMBER = np.array([255, 153, 13], np.float32)
OPACITY_AT_MAXIMUM = 0.5

# Grey levels
WHITE, TEXT, QUIET = 255, 226, 176
BANNER, TRACK, BAR, LEADING_BAR, RULE = 38, 46, 140, 240, 70
LUNG, BONE = 60, 190

# Bands, top to bottom
BANNER_HEIGHT, FILMS_TOP, CAPTION_HEIGHT = 46, 144, 30
SCORES_HEIGHT, ACTIVATION_HEIGHT, FOOTER_HEIGHT = 132, 116, 66
TALLEST_FILM = 536
MARGIN = 8
COLUMNS = ((20, 496), (528, 1004))
LARGEST_ENLARGEMENT = 2


def draw(display: np.ndarray, reading: Reading, now: datetime.datetime, longest_side: int) -> np.ndarray:
    """Draw the whole picture.

    Parameters
    ----------
    display : (rows, columns) uint8
        The film as a viewer shows it, square pixels, black at 0.
    reading : Reading
    now : datetime
        Time of production, aware; shown with its own offset.
    longest_side : int
        Width of the picture and the most its height may be, pixels, at least 512.

    Returns
    -------
    (rows, longest_side, 3) uint8
        RGB, colour-by-pixel.

    Raises
    ------
    ValueError
        If `longest_side` is below 512, or the activation holds NaN or infinity.
    """
    if longest_side < 512:
        raise ValueError(f"longest side {longest_side} pixels, expected at least 512")
    u = longest_side / 1024
    film = _fit(display, u)
    scores_top = FILMS_TOP + film.shape[0] / u + CAPTION_HEIGHT
    activation_top = scores_top + SCORES_HEIGHT
    footer_top = activation_top + ACTIVATION_HEIGHT
    height = min(round((footer_top + FOOTER_HEIGHT) * u), longest_side)
    canvas = np.zeros((height, longest_side, 3), np.uint8)
    _head(canvas, u, reading)
    _films(canvas, u, film, reading)
    _scores(canvas, u, COLUMNS[0], scores_top, "Step 1", reading.step1)
    _scores(canvas, u, COLUMNS[1], scores_top, "Step 2", reading.step2)
    _activation_band(canvas, u, activation_top, reading)
    _footer(canvas, u, footer_top, reading.model, now)
    return canvas


def colour(film: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Lay the activation over a film: amber whose opacity rises in a straight line above the 35 % level.

    Parameters
    ----------
    film : (rows, columns) uint8
    share : (rows, columns) float32
        Share of the activation's maximum, 0 to 1.

    Returns
    -------
    (rows, columns, 3) float32
        RGB, 0 to 255; the film itself where the activation is below the level.
    """
    opacity = np.clip((share - COLOUR_LEVEL) / (1 - COLOUR_LEVEL), 0, 1) * OPACITY_AT_MAXIMUM
    grey = film[:, :, None].astype(np.float32)
    return grey + (AMBER - grey) * opacity[:, :, None]


def contour(picture: np.ndarray, share: np.ndarray, u: float) -> np.ndarray:
    """Draw the 50 % line, white in a black casing, onto a coloured film.

    Parameters
    ----------
    picture : (rows, columns, 3) float32
    share : (rows, columns) float32
    u : float
        Unit of length, pixels.

    Returns
    -------
    (rows, columns, 3) float32
    """
    # Distance to the line in pixels; the floor keeps a plateau near the level from turning all white.
    gradient = np.hypot(*np.gradient(share))
    distance = np.abs(share - CONTOUR_LEVEL) / np.maximum(gradient, 0.002)
    line = max(2 * u, 1.6)
    casing = np.clip(line / 2 + u + 0.5 - distance, 0, 1)[:, :, None] * 0.85
    white = np.clip(line / 2 + 0.5 - distance, 0, 1)[:, :, None]
    picture = picture * (1 - casing)
    return picture + (WHITE - picture) * white


def _fit(display: np.ndarray, u: float) -> np.ndarray:
    """The film, whole, at the size of its cell."""
    rows, columns = display.shape
    cell = (1024 - 3 * MARGIN) / 2 * u
    scale = min(cell / columns, TALLEST_FILM * u / rows, LARGEST_ENLARGEMENT)
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(display).resize(size, method))


def _box(canvas: np.ndarray, u: float, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The pixels of a rectangle given in units, to be filled; never thinner than one pixel."""
    x0, y0 = round(left * u), round(top * u)
    return canvas[y0 : max(round(bottom * u), y0 + 1), x0 : max(round(right * u), x0 + 1)]


def _head(canvas: np.ndarray, u: float, reading: Reading) -> None:
    """Banner, headline and subline."""
    middle = canvas.shape[1] / 2
    _box(canvas, u, 0, 0, 1024, BANNER_HEIGHT)[:] = BANNER
    write(canvas, wording.RESEARCH_USE, middle, round(34 * u), 32 * u, TEXT, "bold", "centre")
    headline = wording.headline(reading)
    size = 50 * u
    size = max(min(size, size * 0.94 * canvas.shape[1] / width(headline, size, "bold")), 40 * u)
    write(canvas, headline, middle, round(96 * u), size, WHITE, "bold", "centre")
    write(canvas, wording.subline(reading), middle, round(131 * u), 25 * u, TEXT, "regular", "centre")


def _films(canvas: np.ndarray, u: float, film: np.ndarray, reading: Reading) -> None:
    """The film untouched on the left, with its activation on the right, and what is what."""
    rows, columns = film.shape
    cell = (1024 - 3 * MARGIN) / 2 * u
    top = round(FILMS_TOP * u)
    caption = top + rows + round(22 * u)
    right_film = film[:, :, None]
    right_caption = "same film, no activation drawn"
    if wording.has_region(reading):
        share = spread(reading.activation, rows, columns)
        right_film = np.rint(contour(colour(film, share), share, u)).astype(np.uint8)
        right_caption = f"class activation for {reading.activation_label} (step {reading.activation_step})"
    elif reading.activation_label != "normal":
        right_caption = "no activation"
    right_caption += ", lungs not outlined"
    cells = (
        (film[:, :, None], "film, nothing drawn on it", QUIET),
        (right_film, right_caption, TEXT),
    )
    for number, (shown, text, grey) in enumerate(cells):
        middle = MARGIN * u + cell / 2 + number * (cell + MARGIN * u)
        left = round(middle - columns / 2)
        canvas[top : top + rows, left : left + columns] = shown
        write(canvas, text, middle, caption, 20 * u, grey, "regular", "centre")


def _scores(
    canvas: np.ndarray,
    u: float,
    column: tuple[int, int],
    top: float,
    title: str,
    step: StepScores | None,
) -> None:
    """One step: a bar and a figure for each class, and the threshold as a line through the bars."""
    x0, x1 = column
    first, pitch = top + 28, 29
    write(canvas, title, x0 * u, round(first * u), 22 * u, WHITE, "bold")
    if step is None:
        write(canvas, wording.STEP2_NOT_RUN, x0 * u, round((first + 33) * u), 20 * u, QUIET)
        return
    bar_left, bar_right = x0 + 164, x1 - 58
    for number, (label, score) in enumerate(zip(step.labels, step.scores, strict=True), start=1):
        baseline = first + number * pitch
        leads = label == step.leading
        weight, grey = ("bold", WHITE) if leads else ("regular", TEXT)
        bar_end = bar_left + score * (bar_right - bar_left)
        write(canvas, label, x0 * u, round(baseline * u), 21 * u, grey, weight)
        _box(canvas, u, bar_left, baseline - 15, bar_right, baseline + 2)[:] = TRACK
        _box(canvas, u, bar_left, baseline - 15, bar_end, baseline + 2)[:] = LEADING_BAR if leads else BAR
        figure = wording.score_text(score, step.threshold)
        write(canvas, figure, x1 * u, round(baseline * u), 22 * u, grey, weight, "right")
    line = bar_left + step.threshold * (bar_right - bar_left)
    _box(canvas, u, line - 2.9, first + 14, line + 2.9, first + 3 * pitch + 2)[:] = 0
    _box(canvas, u, line - 0.9, first + 8, line + 0.9, first + 3 * pitch + 6)[:] = WHITE
    threshold = f"threshold {wording.threshold_text(step.threshold)}"
    write(canvas, threshold, line * u, round(first * u), 20 * u, QUIET, "regular", "centre")


def _activation_band(canvas: np.ndarray, u: float, top: float, reading: Reading) -> None:
    """What is known of the activation on the left, how to read its colour on the right."""
    x0, (legend, right) = COLUMNS[0][0], COLUMNS[1]
    write(canvas, "Activation", x0 * u, round((top + 26) * u), 22 * u, WHITE, "bold")
    score = "model score: 0 to 100 in each step, not a probability"
    write(canvas, score, x0 * u, round((top + 94) * u), 20 * u, QUIET)
    if wording.has_region(reading):
        _legend(canvas, u, legend, right - 14, top, wording.grid_text(reading))
        text = "lungs not outlined: share inside them not known"
    elif reading.activation_label == "normal":
        text = "not drawn: normal has no place to point at"
    else:
        text = "not drawn: the activation is empty"
    write(canvas, text, x0 * u, round((top + 58) * u), 20 * u, QUIET)


def _legend(canvas: np.ndarray, u: float, left: float, right: float, top: float, grid: str) -> None:
    """The colour on lung and on bone, with its scale, and the line."""
    write(
        canvas, "Activation, % of this film’s maximum", left * u, round((top + 26) * u), 22 * u, WHITE, "bold"
    )
    bar = _box(canvas, u, left, top + 38, right, top + 58)
    rows, columns = bar.shape[:2]
    backgrounds = np.full((rows, columns), LUNG, np.uint8)
    backgrounds[rows // 2 :] = BONE
    share = np.broadcast_to(np.linspace(0, 1, columns, dtype=np.float32), (rows, columns))
    bar[:] = np.rint(colour(backgrounds, share))
    for percent in (0, 35, 50, 75, 100):
        marked = percent == 100 * CONTOUR_LEVEL
        x = left + percent / 100 * (right - left)
        grey, weight = (WHITE, "bold") if marked else (TEXT, "regular")
        _box(canvas, u, x - 0.5, top + 38 - marked * 3, x + 0.5 + marked, top + 62)[:] = grey
        align = "left" if percent == 0 else "centre"
        write(canvas, str(percent), x * u, round((top + 82) * u), 20 * u, grey, weight, align)
    baseline = round((top + 110) * u)
    _box(canvas, u, left, top + 102, left + 28, top + 104)[:] = WHITE
    write(canvas, "50 % contour", (left + 35) * u, baseline, 20 * u, TEXT)
    write(canvas, grid, right * u, baseline, 20 * u, QUIET, "regular", "right")


def _footer(canvas: np.ndarray, u: float, top: float, model: ModelVersion, now: datetime.datetime) -> None:
    """Which model, which weights, when, and that no person has looked."""
    offset = now.strftime("%z")
    when = f"{now:%Y-%m-%d  %H:%M:%S} {offset[:3]}:{offset[3:5]}"
    lines = (
        f"{PRODUCT}   model {model.name}   version {model.version}   weights sha256 {model.weights_sha256[:12]}",
        f"{when}   {wording.NOT_REVIEWED}",
    )
    _box(canvas, u, 20, top + 4, 1004, top + 5)[:] = RULE
    for text, baseline in zip(lines, (top + 30, top + 55), strict=True):
        middle = canvas.shape[1] / 2
        write(canvas, text, middle, round(baseline * u), 20 * u, QUIET, "regular", "centre")
