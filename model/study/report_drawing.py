"""How the figures of a report look, and their way into SVG."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import font_roboto
import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's, which stay apart in every kind of colour vision; each class has a line of its own too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
INK, QUIET, HAIR = "#1b1e23", "#5a626e", "#d5d9df"
WIDTH = 6.8  # inches: the text's width on A4
_STYLE = {
    "font.size": 8, "font.family": "Roboto", "axes.titlesize": 8.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.labelsize": 8, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "legend.fontsize": 7, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": QUIET, "axes.linewidth": 0.7, "xtick.color": QUIET, "ytick.color": QUIET,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "xtick.major.width": 0.7, "ytick.major.width": 0.7,
    "text.color": INK, "axes.labelcolor": INK, "lines.linewidth": 1.3, "svg.hashsalt": "report",
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Figures made and saved within look alike on every machine."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for name in ("Roboto", "RobotoBold"):
        if font_roboto.font_files[name] not in known:
            font_manager.fontManager.addfont(font_roboto.font_files[name])
    with mpl.rc_context(_STYLE):
        yield


def svg(figure: Figure) -> bytes:
    """A figure as SVG, letters as paths, the same bytes for the same figure."""
    written = BytesIO()
    figure.savefig(
        written,
        format="svg",
        metadata={"Date": None, "Creator": None},
        transparent=True,
        bbox_inches="tight",
        pad_inches=0.02,
    )
    return written.getvalue()


def panels(number: int, height: float, columns: int = 3, **shared: bool) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels over the text's whole width, so many beside each other at most."""
    columns = min(number, columns)
    rows = -(-number // columns)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for axis in axes[number:]:
        axis.set_axis_off()
    return figure, list(axes[:number])
