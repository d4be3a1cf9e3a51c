"""How the version that a report is about was made: its recipe in words, and the curves of its training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from model.cascade import steps_of
from model.study.report_drawing import COLOURS, panels, style, svg
from model.study.report_parts import Figure, Section, Table, count, listed, plain_rows, title
from model.training.curves import VALIDATION
from model.weights import Version

_STEP_NAMES = {"step1": "Step 1", "step2": "Step 2"}
_SETS = {"train": "training", "validate": "validation", "test": "test", "held_out": "held-out sources"}


def section(version: Version) -> Section:
    """What a reader needs to make the version again, and how its training went (the paper's figure 6)."""
    parts: list[Table | Figure] = [
        Table("version", "How the version was made", ("", ""), plain_rows(_rows(version)), texts=True)
    ]
    curves = {path: rows for path in sorted(version.folder.glob("*-curves.csv")) if (rows := _read(path))}
    if curves:
        spoken = " ".join(
            f"{_called(path.stem)}: {len(rows)} epochs, loss at the end {rows[-1]['loss']:.2f} in training"
            f" and {rows[-1][VALIDATION + 'loss']:.2f} in validation."
            for path, rows in curves.items()
        )
        parts.append(
            Figure(
                "curves",
                "Loss and accuracy of each epoch of the training",
                spoken,
                _drawn(curves),
                "Unbroken, validation films; broken, training films as augmented.",
            )
        )
    lead = ("Weights, thresholds and temperatures are those of the version's folder.",)
    return Section("model", "Model and training", lead, tuple(parts))


def _rows(version: Version) -> list[tuple[str, str]]:
    recipe, manifest = version.recipe, version.manifest
    training, folds, sources = (recipe.get(name, {}) for name in ("training", "folds", "sources"))
    thresholds, temperature = manifest["thresholds"], manifest.get("temperature", {})
    steps = [
        f"{_STEP_NAMES[step]}: {listed([title(label, step) for label in recipe[step]['labels']])}"
        for step in steps_of(recipe)
    ]
    films = manifest.get("data", {}).get("films", {})
    found = {
        "Network": f"{recipe['network'].replace('_', ' ')}, input of {recipe['input_size']} x "
        f"{recipe['input_size']} pixels",
        "Labels": "; ".join(steps),
        "Thresholds": "; ".join(f"{_STEP_NAMES[step]}: {thresholds[step]:g}" for step in steps_of(recipe))
        + (f"; share of the activation inside the lungs: {thresholds['inside_lungs']:g}" * version.lungs),
        "Temperatures": "; ".join(f"{_STEP_NAMES[step]}: {temperature[step]:g}" for step in temperature),
        "Training": _pairs(training),
        "Cycles": _cycles(training.get("cycles", ())),
        "Augmentation": _pairs(recipe.get("augmentation", {})),
        "Random seed": str(recipe["seed"]) if "seed" in recipe else "",
        "Sources": "; ".join(f"{_sources(name)}: {', '.join(names)}" for name, names in sources.items()),
        "Folds": "; ".join(f"{_SETS[name]}: {', '.join(map(str, of))}" for name, of in folds.items()),
        "Films": ", ".join(f"{_SETS.get(name, name)} {count(number)}" for name, number in films.items()),
        "Trained on": manifest.get("date", ""),
        "Manifest, SHA-256": manifest.get("data", {}).get("manifest_sha256", ""),
        "Weights, SHA-256": "; ".join(f"{name}: {digest}" for name, digest in manifest["sha256"].items()),
    }  # fmt: skip
    return [(name, text) for name, text in found.items() if text]


def _pairs(settings: Mapping) -> str:
    """Settings in words, but for tables within them."""
    words = {True: "yes", False: "no"}
    return ", ".join(
        f"{name.replace('_', ' ')} {words[value] if isinstance(value, bool) else value}"
        for name, value in settings.items()
        if not isinstance(value, list | dict)
    )


def _cycles(cycles: Sequence[Mapping]) -> str:
    return "; ".join(f"{number}: {_pairs(cycle)}" for number, cycle in enumerate(cycles, 1))


def _sources(name: str) -> str:
    return {"train": "trained on", "held_out": "held out", "untyped": "pneumonia without a cause"}.get(
        name, name
    )


def _read(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def _drawn(curves: Mapping[Path, Sequence[Mapping[str, float]]]) -> bytes:
    with style():
        figure, axes = panels(2 * len(curves), 2.3, columns=2)
        for place, (path, rows) in enumerate(curves.items()):
            measured = [name for name in rows[0] if name != "epoch" and not name.startswith(VALIDATION)]
            losses = [name for name in measured if name.endswith("loss")]
            rates = [name for name in measured if name not in losses]
            of_file = _called(path.stem)
            _panel(axes[2 * place], rows, losses, f"Loss, {of_file[:1].lower()}{of_file[1:]}")
            _panel(axes[2 * place + 1], rows, rates, f"Accuracy, {of_file[:1].lower()}{of_file[1:]}")
        return svg(figure)


def _panel(axis: Axes, rows: Sequence[Mapping[str, float]], names: Sequence[str], heading: str) -> None:
    epochs = [row["epoch"] for row in rows]
    for colour, name in zip(COLOURS, names, strict=False):
        axis.plot(epochs, [row[name] for row in rows], color=colour, linestyle=(0, (3, 2)), linewidth=0.9)
        of_validation = [row[VALIDATION + name] for row in rows]
        axis.plot(epochs, of_validation, color=colour, label=_measured(name))
    axis.set_title(heading)
    axis.set_xlabel("Epoch")
    if len(names) > 1:
        axis.legend()


def _called(stem: str) -> str:
    """Which networks a file of curves is of."""
    name = stem.removesuffix("-curves")
    return _STEP_NAMES.get(name, "Both steps")


def _measured(column: str) -> str:
    """What a column of curves measures: a step, or all."""
    return _STEP_NAMES.get(column.partition("_")[0], "Together")
