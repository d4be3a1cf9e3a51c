"""Loss and accuracy of every epoch, as numbers and as a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

VALIDATION = "validation_"


def write_curves(curves: Sequence[dict[str, float]], out_dir: Path, name: str) -> None:
    """Write ``NAME.csv``, a row for each epoch, and ``NAME.png``.

    Parameters
    ----------
    curves : sequence of dict
        See `loop.run`.
    out_dir : Path
    name : str
    """
    with (out_dir / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(curves[0]))
        rows.writeheader()
        rows.writerows(curves)
    epochs = [row["epoch"] for row in curves]
    measured = [column for column in curves[0] if column != "epoch" and not column.startswith(VALIDATION)]
    losses = [column for column in measured if "loss" in column]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, title, columns in (
        (panels[0], "loss", losses),
        (panels[1], "accuracy", [column for column in measured if column not in losses]),
    ):
        for i, column in enumerate(columns):
            panel.plot(epochs, [row[column] for row in curves], f"C{i}--", label=f"{column}, training")
            validation = [row[VALIDATION + column] for row in curves]
            panel.plot(epochs, validation, f"C{i}-", label=f"{column}, validation")
        panel.set(title=title, xlabel="epoch")
        panel.legend(fontsize="x-small")
    figure.savefig(out_dir / f"{name}.png", dpi=100)
