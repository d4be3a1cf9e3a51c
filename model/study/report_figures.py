"""The figures of the accuracy parameters, each as SVG."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from model.study.report_drawing import COLOURS, HAIR, INK, LINES, QUIET, panels, style, svg
from model.study.report_parts import title

FEWEST = 5  # films with a score, for their share right to be drawn
HIGH = 0.55  # share of the true class from which the letters on it are white


def confusion(asked: Mapping, names: Mapping[str, str]) -> bytes:
    """A matrix of each question: films and their share of the true class.

    Parameters
    ----------
    asked : mapping
        Questions of `model.study.accuracy.accuracy`, with a film at least.
    names : mapping
        What each is called.
    """
    with style():
        figure, axes = panels(len(asked), 2.5)
        for axis, (name, one) in zip(axes, asked.items(), strict=True):
            counts = np.array(one["confusion"])
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
            for (row, column), number in np.ndenumerate(counts):
                axis.text(
                    column, row, f"{number}\n{100 * shares[row, column]:.0f}%", ha="center", va="center",
                    fontsize=6.5, color="white" if shares[row, column] > HIGH else INK,
                )  # fmt: skip
            labels = [title(label, name).replace(" ", "\n") for label in one["labels"]]
            axis.set_xticks(range(len(labels)), labels, rotation=0, fontsize=6.5)
            axis.set_yticks(range(len(labels)), labels, fontsize=6.5)
            axis.set(title=names[name], xlabel="Answer", ylabel="True class")
            axis.tick_params(length=0)
            for side in axis.spines.values():
                side.set_visible(False)
        return svg(figure)


def roc(asked: Mapping, names: Mapping[str, str]) -> bytes:
    """A panel of each question with the ROC curve of each class; takes what `confusion` does."""

    def draw(axis: Axes, of: Mapping, **line) -> None:
        curve = of["roc"]
        axis.plot(curve["false_positive_rate"], curve["true_positive_rate"], **line)

    with style():
        figure, axes = panels(len(asked), 2.5, sharey=True)
        for axis, (name, one) in zip(axes, asked.items(), strict=True):
            axis.plot([0, 1], [0, 1], color=HAIR, linestyle="--", linewidth=0.9)
            _curves(axis, (name, one), "roc_auc", draw)
            axis.set(title=names[name], xlabel="1 − specificity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
            axis.set_aspect("equal")
            axis.legend(loc="lower right")
        axes[0].set_ylabel("Sensitivity")
        return svg(figure)


def precision_recall(asked: Mapping, names: Mapping[str, str]) -> bytes:
    """A panel of each question with the precision-recall curve of each class; takes what `confusion` does."""

    def draw(axis: Axes, of: Mapping, **line) -> None:
        curve = of["precision_recall"]
        axis.plot(curve["recall"], curve["precision"], drawstyle="steps-post", **line)

    with style():
        figure, axes = panels(len(asked), 2.5, sharey=True)
        for axis, (name, one) in zip(axes, asked.items(), strict=True):
            _curves(axis, (name, one), "average_precision", draw)
            for colour, of in zip(COLOURS, one["per_label"].values(), strict=False):
                axis.plot([-0.01, 0.03], [of["support"] / one["films"]] * 2, color=colour, linewidth=0.9)
            axis.set(title=names[name], xlabel="Recall", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
            axis.set_aspect("equal")
            axis.legend(loc="lower left", bbox_to_anchor=(0.04, 0))
        axes[0].set_ylabel("Precision")
        return svg(figure)


def _curves(axis: Axes, asked: tuple[str, Mapping], key: str, draw) -> None:
    """The curve of each label of a question that has an area."""
    name, one = asked
    for colour, line, (label, of) in zip(COLOURS, LINES, one["per_label"].items(), strict=False):
        if (value := of[key]["value"]) is not None:
            draw(axis, of, color=colour, linestyle=line, label=f"{title(label, name)} {value:.3f}")


def reliability(asked: Mapping, names: Mapping[str, str]) -> bytes:
    """A panel of each question: share right against the highest score; takes what `confusion` does."""
    with style():
        figure, axes = panels(len(asked), 2.5, sharey=True)
        for axis, (name, one) in zip(axes, asked.items(), strict=True):
            rows = one["calibration"]["reliability"]
            number, score, right = (np.array([row[key] for row in rows]) for key in ("n", "score", "right"))
            enough = number >= FEWEST
            axis.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=0.9)
            axis.bar(score, number / number.sum(), 0.03, color=HAIR)
            axis.plot(score[enough], right[enough], color=COLOURS[0], linewidth=0.9)
            area = 6 + 90 * number[enough] / number.sum()
            axis.scatter(score[enough], right[enough], area, color=COLOURS[0], zorder=3)
            axis.set(title=names[name], xlabel="Highest score", xlim=(0.2, 1.02), ylim=(0, 1.02))
        axes[0].set_ylabel("Share right")
        return svg(figure)


def decision(curves: Sequence[Mapping]) -> bytes:
    """A panel of each decision curve.

    Parameters
    ----------
    curves : sequence of mapping
        ``decision_curves`` of a question of `model.study.accuracy.accuracy`.
    """
    with style():
        figure, axes = panels(len(curves), 2.1, columns=2)
        for axis, curve in zip(axes, curves, strict=True):
            threshold, benefit = np.array(curve["threshold"]), _numbers(curve["net_benefit"])
            bounds = _numbers([pair or (None, None) for pair in curve["bootstrap"]])
            axis.axhline(0, color=QUIET, linewidth=0.9, label="None")
            axis.plot(threshold, _numbers(curve["treat_all"]), color=COLOURS[1], linestyle="--", label="All")
            axis.fill_between(threshold, *bounds.T, color=COLOURS[0], alpha=0.18, linewidth=0)
            axis.plot(threshold, benefit, color=COLOURS[0], label="Model")
            highest = max(curve["prevalence"], 0.05)
            axis.set(xlabel="Threshold probability", ylim=(-0.15 * highest, 1.08 * highest), xlim=(0, 1))
            axis.set_title(_treated(curve["labels"]))
            axis.set_ylabel("Net benefit")
        axes[-1].legend(loc="upper right")
        return svg(figure)


def _treated(labels: Sequence[str]) -> str:
    return "Any finding" if len(labels) > 1 else title(labels[0])


def _numbers(values: Sequence) -> np.ndarray:
    """With NaN for None."""
    return np.array(values, float)
