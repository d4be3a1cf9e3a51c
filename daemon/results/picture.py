"""The picture of a reading: what the model said, where it looked, which model, when, and what it is not."""

import datetime

import numpy as np
from PIL import Image

from daemon.results import overlay, wording
from daemon.results.canvas import Canvas
from daemon.results.film import PRODUCT
from daemon.results.panel import (
    ACTIVATION_HEIGHT,
    COLUMN_HEIGHT,
    QUIET,
    SCORES_HEIGHT,
    TEXT,
    WHITE,
    draw_activation,
    draw_column,
    draw_scores,
)
from model.activation import spread
from model.findings import ModelVersion, Reading
from model.scope import OutOfScope

# Lengths in units: 1024 of them are the longest side.
WIDTH = 1024
BANNER_HEIGHT, FILMS_TOP, CAPTION_HEIGHT, FOOTER_HEIGHT = 46, 144, 30, 66
TALLEST_FILM = WIDTH - 488
MARGIN = 8
CELL_WIDTH = (WIDTH - 3 * MARGIN) / 2
LEFT_MIDDLE, RIGHT_MIDDLE = MARGIN + CELL_WIDTH / 2, WIDTH - MARGIN - CELL_WIDTH / 2
WIDE_CELL = 640  # of the only film
LINE_HEIGHT = 44  # of a line in place of the scores
TEXT_WIDTH = 0.94 * WIDTH
BANNER, RULE = 38, 70  # grey levels
SMALLEST_SIDE = 512  # pixels; below it the smallest text is no longer read
LARGEST_ENLARGEMENT = 2
UNTOUCHED = "film, nothing drawn on it"


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
    unit = _unit(longest_side)
    film = _fit(display, CELL_WIDTH * unit, TALLEST_FILM * unit)
    scores_top = FILMS_TOP + film.shape[0] / unit + CAPTION_HEIGHT
    activation_top = scores_top + SCORES_HEIGHT
    footer_top = activation_top + ACTIVATION_HEIGHT
    canvas = _canvas(footer_top + FOOTER_HEIGHT, unit)
    _draw_head(canvas, wording.headline(reading), wording.subline(reading))
    _draw_cell(canvas, LEFT_MIDDLE, overlay.in_colour(film), UNTOUCHED, QUIET)
    _draw_cell(canvas, RIGHT_MIDDLE, *overlaid(film, reading, unit), TEXT)
    draw_scores(canvas, scores_top, reading)
    draw_activation(canvas, activation_top, reading)
    _draw_footer(canvas, footer_top, reading.model, now)
    return canvas.pixels


def draw_overlay(
    display: np.ndarray, reading: Reading, now: datetime.datetime, longest_side: int
) -> np.ndarray:
    """Draw the film once, with lungs and activation, and the figures beside it.

    Takes and returns what `draw` does.
    """
    unit = _unit(longest_side)
    film = _fit(display, WIDE_CELL * unit, (WIDTH - FILMS_TOP - CAPTION_HEIGHT - FOOTER_HEIGHT) * unit)
    below = max(film.shape[0] / unit + CAPTION_HEIGHT, COLUMN_HEIGHT)
    canvas = _canvas(FILMS_TOP + below + FOOTER_HEIGHT, unit)
    _draw_head(canvas, wording.headline(reading), wording.subline(reading))
    _draw_cell(canvas, MARGIN + WIDE_CELL / 2, *overlaid(film, reading, unit), TEXT)
    draw_column(canvas, FILMS_TOP, reading)
    _draw_footer(canvas, FILMS_TOP + below, reading.model, now)
    return canvas.pixels


def draw_not_analysed(
    display: np.ndarray, refusal: OutOfScope, model: ModelVersion, now: datetime.datetime, longest_side: int
) -> np.ndarray:
    """Draw a film that is not read, and why it is not.

    Parameters
    ----------
    display : (rows, columns) uint8
        The film as a viewer shows it, square pixels, black at 0.
    refusal : OutOfScope
    model : ModelVersion
        Which model would have read it.
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
        If `longest_side` is below 512.
    """
    unit = _unit(longest_side)
    film = _fit(display, CELL_WIDTH * unit, TALLEST_FILM * unit)
    height = film.shape[0] / unit
    line_top = FILMS_TOP + height + CAPTION_HEIGHT
    canvas = _canvas(line_top + LINE_HEIGHT + FOOTER_HEIGHT, unit)
    _draw_head(canvas, *wording.refusal_head(refusal))
    _draw_cell(canvas, LEFT_MIDDLE, overlay.in_colour(film), UNTOUCHED, QUIET)
    _draw_frame(canvas, RIGHT_MIDDLE - CELL_WIDTH / 2, height)
    middle = FILMS_TOP + height / 2
    quiet = {"size": 20, "grey": QUIET, "align": "centre"}
    canvas.text("not analysed", RIGHT_MIDDLE, middle - 7, size=35, grey=WHITE, weight="bold", align="centre")
    canvas.text(f"reason code {refusal.code}", RIGHT_MIDDLE, middle + 25, **quiet)
    canvas.text("no overlay", RIGHT_MIDDLE, FILMS_TOP + height + 22, **quiet)
    canvas.text("step 1 and step 2 not run, no activation", WIDTH / 2, line_top + 30, **quiet)
    _draw_footer(canvas, line_top + LINE_HEIGHT, model, now)
    return canvas.pixels


def _unit(longest_side: int) -> float:
    """Pixels in one unit."""
    if longest_side < SMALLEST_SIDE:
        raise ValueError(f"longest side {longest_side} pixels, expected at least {SMALLEST_SIDE}")
    return longest_side / WIDTH


def _canvas(height: float, unit: float) -> Canvas:
    """Black, as wide as the longest side and at most as high."""
    longest_side = round(WIDTH * unit)
    return Canvas(np.zeros((min(round(height * unit), longest_side), longest_side, 3), np.uint8), unit)


def _fit(display: np.ndarray, width: float, height: float) -> np.ndarray:
    """The film, whole, at the size of its cell, pixels."""
    rows, columns = display.shape
    scale = min(width / columns, height / rows, LARGEST_ENLARGEMENT)
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    method = Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(display).resize(size, method))


def _draw_head(canvas: Canvas, headline: str, subline: str) -> None:
    """Banner, headline and subline."""
    canvas.box(0, 0, WIDTH, BANNER_HEIGHT)[:] = BANNER
    middle = WIDTH / 2
    size = max(canvas.fitting(headline, 50, "bold", TEXT_WIDTH), 40)
    canvas.text(wording.RESEARCH_USE, middle, 34, size=32, grey=TEXT, weight="bold", align="centre")
    canvas.text(headline, middle, 96, size=size, grey=WHITE, weight="bold", align="centre")
    size = max(canvas.fitting(subline, 25, "regular", TEXT_WIDTH), 20)
    while canvas.width(subline, size, "regular") > TEXT_WIDTH:
        subline = f"{subline[:-4]}..."
    canvas.text(subline, middle, 131, size=size, grey=TEXT, align="centre")


def overlaid(film: np.ndarray, reading: Reading, unit: float) -> tuple[np.ndarray, str]:
    """The film with lungs and activation, (rows, columns, 3) float32, 0 to 255, and its caption."""
    if wording.has_region(reading):
        share = spread(reading.activation, *film.shape)
        shown = overlay.colour(film, share)
        overlay.outline(shown, reading.lungs, unit)
        overlay.contour(shown, share, unit)
        caption = f"class activation for {wording.activation_source(reading)}"
    else:
        shown = overlay.in_colour(film).astype(np.float32)
        overlay.outline(shown, reading.lungs, unit)
        caption = "no activation" if reading.points_at_a_place else "same film, no activation drawn"
    return np.rint(shown, out=shown), caption


def _draw_cell(canvas: Canvas, middle: float, shown: np.ndarray, caption: str, grey: int) -> None:
    """A film around its middle line and what it is."""
    rows, columns = shown.shape[:2]
    top, left = round(FILMS_TOP * canvas.unit), round(middle * canvas.unit - columns / 2)
    canvas.pixels[top : top + rows, left : left + columns] = shown
    baseline = FILMS_TOP + rows / canvas.unit + 22
    canvas.text(caption, middle, baseline, size=20, grey=grey, align="centre")


def _draw_frame(canvas: Canvas, left: float, height: float) -> None:
    """An empty cell."""
    cell = canvas.box(left, FILMS_TOP, left + CELL_WIDTH, FILMS_TOP + height)
    line = max(round(canvas.unit), 1)
    cell[:] = RULE
    cell[line:-line, line:-line] = 0


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
