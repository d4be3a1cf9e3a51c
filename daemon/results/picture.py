"""The picture of a reading: what the model said, where it looked, which model, when, and what it is not."""

import datetime

import numpy as np
from PIL import Image

from daemon.results import overlay, wording
from daemon.results.canvas import Canvas
from daemon.results.film import PRODUCT
from daemon.results.panel import (
    ACTIVATION_HEIGHT,
    QUIET,
    SCORES_HEIGHT,
    TEXT,
    WHITE,
    draw_activation,
    draw_scores,
)
from model.activation import spread
from model.findings import ModelVersion, Reading

# Lengths in units: 1024 of them are the longest side.
WIDTH = 1024
BANNER_HEIGHT, FILMS_TOP, CAPTION_HEIGHT, FOOTER_HEIGHT = 46, 144, 30, 66
TALLEST_FILM = WIDTH - 488
MARGIN = 8
CELL_WIDTH = (WIDTH - 3 * MARGIN) / 2
TEXT_WIDTH = 0.94 * WIDTH
BANNER, RULE = 38, 70  # grey levels
SMALLEST_SIDE = 512  # pixels; below it the smallest text is no longer read
LARGEST_ENLARGEMENT = 2


def draw(display: np.ndarray, reading: Reading, now: datetime.datetime, longest_side: int) -> np.ndarray:
    """Draw the whole picture, at its final size.

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
    if longest_side < SMALLEST_SIDE:
        raise ValueError(f"longest side {longest_side} pixels, expected at least {SMALLEST_SIDE}")
    unit = longest_side / WIDTH
    film = _fit(display, unit)
    scores_top = FILMS_TOP + film.shape[0] / unit + CAPTION_HEIGHT
    activation_top = scores_top + SCORES_HEIGHT
    footer_top = activation_top + ACTIVATION_HEIGHT
    height = min(round((footer_top + FOOTER_HEIGHT) * unit), longest_side)
    canvas = Canvas(np.zeros((height, longest_side, 3), np.uint8), unit)
    _draw_head(canvas, reading)
    _draw_films(canvas, film, reading)
    draw_scores(canvas, scores_top, reading)
    draw_activation(canvas, activation_top, reading)
    _draw_footer(canvas, footer_top, reading.model, now)
    return canvas.pixels


def _fit(display: np.ndarray, unit: float) -> np.ndarray:
    """The film, whole, at the size of its cell."""
    rows, columns = display.shape
    scale = min(CELL_WIDTH * unit / columns, TALLEST_FILM * unit / rows, LARGEST_ENLARGEMENT)
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(display).resize(size, method))


def _draw_head(canvas: Canvas, reading: Reading) -> None:
    """Banner, headline and subline."""
    canvas.box(0, 0, WIDTH, BANNER_HEIGHT)[:] = BANNER
    middle, headline = WIDTH / 2, wording.headline(reading)
    size = max(canvas.fitting(headline, 50, "bold", TEXT_WIDTH), 40)
    canvas.text(wording.RESEARCH_USE, middle, 34, size=32, grey=TEXT, weight="bold", align="centre")
    canvas.text(headline, middle, 96, size=size, grey=WHITE, weight="bold", align="centre")
    canvas.text(wording.subline(reading), middle, 131, size=25, grey=TEXT, align="centre")


def _draw_films(canvas: Canvas, film: np.ndarray, reading: Reading) -> None:
    """The film untouched on the left, with lungs and activation on the right, and what is what."""
    rows, columns = film.shape
    untouched = film[:, :, None]
    if wording.has_region(reading):
        share = spread(reading.activation, rows, columns)
        right = overlay.outline(overlay.colour(film, share), reading.lungs, canvas.unit)
        right = overlay.contour(right, share, canvas.unit)
        caption = f"class activation for {wording.activation_source(reading)}"
    else:
        plain = np.repeat(untouched, 3, axis=2).astype(np.float32)
        right = overlay.outline(plain, reading.lungs, canvas.unit)
        normal = reading.activation_label == "normal"
        caption = "same film, no activation drawn" if normal else "no activation"
    cells = ((untouched, "film, nothing drawn on it", QUIET), (np.rint(right), caption, TEXT))
    top = round(FILMS_TOP * canvas.unit)
    baseline = FILMS_TOP + rows / canvas.unit + 22
    for number, (shown, text, grey) in enumerate(cells):
        middle = MARGIN + CELL_WIDTH / 2 + number * (CELL_WIDTH + MARGIN)
        left = round(middle * canvas.unit - columns / 2)
        canvas.pixels[top : top + rows, left : left + columns] = shown
        canvas.text(text, middle, baseline, size=20, grey=grey, align="centre")


def _draw_footer(canvas: Canvas, top: float, model: ModelVersion, now: datetime.datetime) -> None:
    """Which model, which weights, when, and that no person has looked."""
    offset = now.strftime("%z")
    when = f"{now:%Y-%m-%d  %H:%M:%S} {offset[:3]}:{offset[3:5]}"
    weights = f"weights sha256 {model.weights_sha256[:12]}"
    lines = (
        (top + 30, f"{PRODUCT}   model {model.name}   version {model.version}   {weights}"),
        (top + 55, f"{when}   {wording.NOT_REVIEWED}"),
    )
    canvas.box(20, top + 4, 1004, top + 5)[:] = RULE
    for baseline, text in lines:
        size = canvas.fitting(text, 20, "regular", TEXT_WIDTH)  # a long name is rather small than cut off
        canvas.text(text, WIDTH / 2, baseline, size=size, grey=QUIET, align="centre")
