"""The figures below the films: scores of both steps, and how to read the activation."""

import numpy as np

from daemon.results import wording
from daemon.results.activation import CONTOUR_LEVEL
from daemon.results.canvas import Canvas
from daemon.results.overlay import colour
from model.findings import Reading, StepScores

WHITE, TEXT, QUIET = 255, 226, 176  # grey levels of text: 16:1 and 9.7:1 on black for the last two
TRACK, BAR, LEADING_BAR = 46, 140, 240
LUNG, BONE = 60, 190

SCORES_HEIGHT, ACTIVATION_HEIGHT = 132, 116
# First and last unit of the two columns; of one width, so that equal scores are bars of equal length.
LEFT, RIGHT = (20, 496), (528, 1004)
ROW_PITCH = 29
BAR_FROM_LEFT, BAR_FROM_RIGHT = 164, 58


def draw_scores(canvas: Canvas, top: float, reading: Reading) -> None:
    """Step 1 in the left column, step 2 in the right one.

    Parameters
    ----------
    canvas : Canvas
    top : float
        Where the band begins, units.
    reading : Reading
    """
    steps = ((LEFT, "Step 1", reading.step1), (RIGHT, "Step 2", reading.step2))
    for column, title, step in steps:
        canvas.text(title, column[0], top + 28, size=22, grey=WHITE, weight="bold")
        if step is None:
            canvas.text(wording.STEP2_NOT_RUN, column[0], top + 61, size=20, grey=QUIET)
        else:
            _draw_bars(canvas, column, top + 28, step)


def draw_activation(canvas: Canvas, top: float, reading: Reading) -> None:
    """What is known of the activation on the left, how to read its colour on the right.

    Parameters
    ----------
    canvas : Canvas
    top : float
        Where the band begins, units.
    reading : Reading
    """
    if wording.has_region(reading):
        _draw_legend(canvas, top, wording.grid_text(reading))
        text = "lungs not outlined: share inside them not known"
    elif reading.activation_label == "normal":
        text = "not drawn: normal has no place to point at"
    else:
        text = "not drawn: the activation is empty"
    score = "model score: 0 to 100 in each step, not a probability"
    canvas.text("Activation", LEFT[0], top + 26, size=22, grey=WHITE, weight="bold")
    canvas.text(text, LEFT[0], top + 58, size=20, grey=QUIET)
    canvas.text(score, LEFT[0], top + 94, size=20, grey=QUIET)


def _draw_bars(canvas: Canvas, column: tuple[int, int], title_baseline: float, step: StepScores) -> None:
    """A bar and a figure for each class, and the threshold as one line through all of them."""
    left, right = column[0] + BAR_FROM_LEFT, column[1] - BAR_FROM_RIGHT
    for number, (label, score) in enumerate(zip(step.labels, step.scores, strict=True), start=1):
        baseline = title_baseline + number * ROW_PITCH
        leads = label == step.leading
        weight, grey = ("bold", WHITE) if leads else ("regular", TEXT)
        end = left + score * (right - left)
        canvas.box(left, baseline - 15, right, baseline + 2)[:] = TRACK
        canvas.box(left, baseline - 15, end, baseline + 2)[:] = LEADING_BAR if leads else BAR
        canvas.text(label, column[0], baseline, size=21, grey=grey, weight=weight)
        figure = wording.score_text(score, step.threshold)
        canvas.text(figure, column[1], baseline, size=22, grey=grey, weight=weight, align="right")
    line = left + step.threshold * (right - left)
    first, last = title_baseline + ROW_PITCH - 15, title_baseline + len(step.labels) * ROW_PITCH + 2
    canvas.upright(line, first, last, width=5.8, grey=0)  # keeps the line apart from a white bar
    canvas.upright(line, first - 6, last + 4, width=1.8, grey=WHITE)
    threshold = f"threshold {wording.threshold_text(step.threshold)}"
    canvas.text(threshold, line, title_baseline, size=20, grey=QUIET, align="centre")


def _draw_legend(canvas: Canvas, top: float, grid: str) -> None:
    """The colour on lung and on bone with its scale, the line, and how coarse the activation is."""
    left, right = RIGHT[0], RIGHT[1] - 14  # the last figure stands half beyond the bar
    heading = "Activation, % of this film’s maximum"
    canvas.text(heading, left, top + 26, size=22, grey=WHITE, weight="bold")
    bar = canvas.box(left, top + 38, right, top + 58)
    rows, columns = bar.shape[:2]
    background = np.full((rows, columns), LUNG, np.uint8)
    background[rows // 2 :] = BONE
    share = np.broadcast_to(np.linspace(0, 1, columns, dtype=np.float32), (rows, columns))
    bar[:] = np.rint(colour(background, share))
    for percent in (0, 35, 50, 75, 100):
        x = left + percent / 100 * (right - left)
        contour = percent == 100 * CONTOUR_LEVEL
        weight, grey = ("bold", WHITE) if contour else ("regular", TEXT)
        rise, width = (4, 2) if contour else (0, 1)
        canvas.upright(x, top + 38 - rise, top + 62, width=width, grey=grey)
        align = "left" if percent == 0 else "centre"
        canvas.text(str(percent), x, top + 82, size=20, grey=grey, weight=weight, align=align)
    canvas.box(left, top + 102, left + 28, top + 104)[:] = WHITE
    canvas.text("50 % contour", left + 35, top + 110, size=20, grey=TEXT)
    canvas.text(grid, right, top + 110, size=20, grey=QUIET, align="right")
