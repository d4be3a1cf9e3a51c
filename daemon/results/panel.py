"""The figures below or beside a film: scores of both steps, and how to read the activation."""

from typing import NamedTuple

import numpy as np

from daemon.results import wording
from daemon.results.canvas import Canvas
from daemon.results.overlay import LUNG_BLUE, colour
from model.activation import CONTOUR_LEVEL
from model.findings import Reading, StepScores

WHITE, TEXT, QUIET = 255, 226, 176  # grey levels of text: 16:1 and 9.7:1 on black for the last two
TRACK, BAR, LEADING_BAR = 46, 140, 240
LUNG, BONE = 60, 190

SCORES_HEIGHT, ACTIVATION_HEIGHT = 132, 116
# First and last unit of the two columns; of one width, so that equal scores are bars of equal length.
LEFT, RIGHT = (20, 496), (528, 1004)
# The column beside a film, and its height.
BESIDE, COLUMN_HEIGHT = (672, 1008), 580
ROW_PITCH = 29
BAR_FROM_LEFT, BAR_FROM_RIGHT = 164, 58
SCALE_MARGIN = 14  # the last figure stands half beyond the scale
MODEL_SCORE = ("model score: 0 to 100 in each step", "not a probability")


class _Bar(NamedTuple):
    """A row of the panel: its length is `share` of the whole, 0 to 1."""

    label: str
    share: float
    figure: str
    leads: bool


def draw_scores(canvas: Canvas, top: float, reading: Reading) -> None:
    """Step 1 in the left column, step 2 in the right one.

    Parameters
    ----------
    canvas : Canvas
    top : float
        Where the band begins, units.
    reading : Reading
    """
    _draw_steps(canvas, reading, (LEFT, top + 28), (RIGHT, top + 28))


def draw_activation(canvas: Canvas, top: float, reading: Reading) -> None:
    """What is known of the activation on the left, how to read its colour on the right.

    Parameters
    ----------
    canvas : Canvas
    top : float
        Where the band begins, units.
    reading : Reading
    """
    canvas.text("Activation", LEFT[0], top + 26, size=22, grey=WHITE, weight="bold")
    if wording.has_region(reading):
        _draw_share(canvas, LEFT, top + 26, reading)
        _draw_scale(canvas, RIGHT, top + 26)
        _draw_samples(canvas, RIGHT, top + 110, reading)
        grid = wording.grid_text(reading)
        canvas.text(grid, RIGHT[1] - SCALE_MARGIN, top + 110, size=20, grey=QUIET, align="right")
    else:
        canvas.text(f"not drawn: {_why_not_drawn(reading)}", LEFT[0], top + 58, size=20, grey=QUIET)
        _draw_lungs(canvas, RIGHT[0], top + 26, reading)
    canvas.text(", ".join(MODEL_SCORE), LEFT[0], top + 94, size=20, grey=QUIET)


def draw_column(canvas: Canvas, top: float, reading: Reading) -> None:
    """All of it in one narrow column, beside a film.

    Parameters
    ----------
    canvas : Canvas
    top : float
        Where the column begins, units; it is `COLUMN_HEIGHT` high.
    reading : Reading
    """
    left = BESIDE[0]
    _draw_steps(canvas, reading, (BESIDE, top + 22), (BESIDE, top + 162))
    canvas.text("Activation", left, top + 302, size=22, grey=WHITE, weight="bold")
    if wording.has_region(reading):
        _draw_share(canvas, BESIDE, top + 302, reading)
        _draw_scale(canvas, BESIDE, top + 384)
        _draw_samples(canvas, BESIDE, top + 468, reading)
        canvas.text(wording.grid_text(reading), left, top + 496, size=20, grey=QUIET)
    else:
        for baseline, line in ((331, "not drawn:"), (357, _why_not_drawn(reading))):
            canvas.text(line, left, top + baseline, size=20, grey=QUIET)
        _draw_lungs(canvas, left, top + 384, reading)
    for baseline, line in zip((540, 566), (f"{MODEL_SCORE[0]},", MODEL_SCORE[1]), strict=True):
        canvas.text(line, left, top + baseline, size=20, grey=QUIET)


def _draw_steps(canvas: Canvas, reading: Reading, *places: tuple[tuple[int, int], float]) -> None:
    """Title and bars of each step that the model has; a place is a column and the title's baseline."""
    steps = (reading.step1, reading.step2) if reading.cascade.after else (reading.step1,)
    for number, (step, (column, baseline)) in enumerate(zip(steps, places, strict=False), start=1):
        canvas.text(f"Step {number}", column[0], baseline, size=22, grey=WHITE, weight="bold")
        if step is None:
            text = wording.step2_not_run(reading.cascade)
            size = canvas.fitting(text, 20, "regular", column[1] - column[0])
            canvas.text(text, column[0], baseline + 33, size=size, grey=QUIET)
        else:
            threshold = f"threshold {wording.threshold_text(step.threshold)}"
            _draw_bars(canvas, column, baseline, _bars(step), step.threshold, threshold)


def _why_not_drawn(reading: Reading) -> str:
    if reading.points_at_a_place:
        return "the activation is empty"
    return f"{reading.activation_label} has no place to point at"


def _bars(step: StepScores) -> list[_Bar]:
    """One row for each class of a step."""
    return [
        _Bar(label, score, wording.score_text(score, step.threshold), label == step.leading)
        for label, score in zip(step.labels, step.scores, strict=True)
    ]


def _draw_share(canvas: Canvas, column: tuple[int, int], title_baseline: float, reading: Reading) -> None:
    """How much of the activation lies inside the lungs; a true share, so in per cent. Else whose it is."""
    if reading.inside is None:
        source = f"for {wording.activation_source(reading)}"
        canvas.text(source, column[0], title_baseline + ROW_PITCH, size=21, grey=TEXT)
        return
    share, least = reading.inside.both, reading.least_inside
    bar = _Bar("inside the lungs", share, wording.share_text(share, least), leads=True)
    _draw_bars(canvas, column, title_baseline, [bar], least, f"threshold {wording.threshold_text(least)} %")


def _draw_bars(
    canvas: Canvas,
    column: tuple[int, int],
    title_baseline: float,
    bars: list[_Bar],
    threshold: float,
    threshold_text: str,
) -> None:
    """A bar and a figure for each row, and the threshold as one line through all of them."""
    left, right = column[0] + BAR_FROM_LEFT, column[1] - BAR_FROM_RIGHT
    for number, bar in enumerate(bars, start=1):
        baseline = title_baseline + number * ROW_PITCH
        weight, grey = ("bold", WHITE) if bar.leads else ("regular", TEXT)
        end = left + bar.share * (right - left)
        canvas.box(left, baseline - 15, right, baseline + 2)[:] = TRACK
        canvas.box(left, baseline - 15, end, baseline + 2)[:] = LEADING_BAR if bar.leads else BAR
        canvas.text(bar.label, column[0], baseline, size=21, grey=grey, weight=weight)
        size = canvas.fitting(bar.figure, 22, weight, BAR_FROM_RIGHT - 4)
        canvas.text(bar.figure, column[1], baseline, size=size, grey=grey, weight=weight, align="right")
    line = left + threshold * (right - left)
    first, last = title_baseline + ROW_PITCH - 15, title_baseline + len(bars) * ROW_PITCH + 2
    canvas.upright(line, first, last, width=5.8, grey=0)  # keeps the line apart from a white bar
    canvas.upright(line, first - 6, last + 4, width=1.8, grey=WHITE)
    half = canvas.width(threshold_text, 20, "regular") / 2
    middle = min(max(line, left + half), column[1] - half)  # clear of the title
    canvas.text(threshold_text, middle, title_baseline, size=20, grey=QUIET, align="centre")


def _draw_scale(canvas: Canvas, column: tuple[int, int], heading_baseline: float) -> None:
    """The colour on lung and on bone with its figures."""
    left, right, top = column[0], column[1] - SCALE_MARGIN, heading_baseline - 26
    heading = "Activation, % of this film’s maximum"
    size = canvas.fitting(heading, 22, "bold", column[1] - left)
    canvas.text(heading, left, heading_baseline, size=size, grey=WHITE, weight="bold")
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


def _draw_samples(canvas: Canvas, column: tuple[int, int], baseline: float, reading: Reading) -> None:
    """The contour and the outline, side by side."""
    after = _draw_sample(canvas, column[0], baseline, "50 % contour", 2, WHITE)
    _draw_lungs(canvas, after, baseline, reading)


def _draw_lungs(canvas: Canvas, left: float, baseline: float, reading: Reading) -> None:
    """What the line round the lungs is, where they were sought."""
    if reading.model.lungs:
        _draw_sample(canvas, left, baseline, "lung outline", 1.4, LUNG_BLUE)


def _draw_sample(
    canvas: Canvas, left: float, baseline: float, name: str, width: float, ink: int | np.ndarray
) -> float:
    """A piece of a line and what it is; where the next may begin."""
    canvas.box(left, baseline - 8, left + 28, baseline - 8 + width)[:] = ink
    canvas.text(name, left + 35, baseline, size=20, grey=TEXT)
    return left + 35 + canvas.width(name, 20, "regular") + 15
