"""Numbers as charts: curves over epochs and steps, classes, confusions, seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.series import mean_and_std, smooth, thin
from vitrail.plots.style import (
    INK,
    ON_COLOR,
    RIGHT,
    SERIES,
    SOFT,
    WRONG,
    bare,
    chart,
    legend,
    line,
    plain_texts,
    rgb,
    whole_numbers,
)
from vitrail.text import plain_text


def metric_curves(epochs: Float[ndarray, " e"], curves: Mapping[str, Float[ndarray, " e"]], title: str) -> Figure:
    """One metric over epochs, a line for each name in `curves`; NaN leaves a gap."""
    figure, axes = chart(title)
    for i, (name, values) in enumerate(curves.items()):
        axes.plot(epochs, values, **line(i, len(epochs)), label=plain_text(name))
    whole_numbers(axes, "epoch", 7)
    legend(figure, axes)
    return figure


def comparison_curves(
    curves: Mapping[str, tuple[Float[ndarray, " e"], Float[ndarray, "seed e"]]], title: str
) -> Figure:
    """One metric over epochs for several models: the mean over seeds, in a band of one standard deviation.

    `curves` maps a model's name to its epochs and its values, NaN where a seed has none. The band (n - 1 in the
    denominator) is drawn where at least two seeds have a value.
    """
    figure, axes = chart(title)
    for i, (name, (epochs, values)) in enumerate(curves.items()):
        mean, std = mean_and_std(values)
        axes.plot(epochs, mean, **line(i, len(epochs)), label=plain_text(name))
        axes.fill_between(epochs, mean - std, mean + std, color=SERIES[i % len(SERIES)], alpha=0.18, linewidth=0)
    whole_numbers(axes, "epoch", 7)
    legend(figure, axes)
    return figure


def loss_over_steps(
    steps: Float[ndarray, " n"], loss: Float[ndarray, " n"], title: str = "training loss", window: int | None = None
) -> Figure:
    """A quantity of every training step, faint, under its mean over `window` steps (a fiftieth of them by default)."""
    window = max(1, len(loss) // 50) if window is None else window
    mean = smooth(loss, window)
    figure, axes = chart(title)
    raw, line = thin(loss, 800), np.unique(np.linspace(0, len(loss) - 1, 400).astype(int))
    if window > 1:
        axes.plot(steps[raw], loss[raw], color=RIGHT, alpha=0.3, linewidth=0.6, label="each step")
    label = f"mean over {window:,} steps" if window > 1 else "each step"
    axes.plot(steps[line], mean[line], color=RIGHT, linewidth=1.8, label=label)
    known = loss[np.isfinite(loss)]
    if len(known) > 100:
        # A few huge first steps would flatten everything that follows.
        low, high = np.quantile(known, [0.0005, 0.995])
        high = max(high, float(np.nanmax(mean)))
        axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
    _step_axis(axes)
    legend(figure, axes)
    return figure


def learning_rate(steps: Float[ndarray, " n"], lr: Float[ndarray, " n"]) -> Figure:
    """The learning rate of every step."""
    figure, axes = chart("learning rate")
    kept = np.union1d(thin(lr, 200), np.linspace(0, len(lr) - 1, 200).astype(int)) if len(lr) else np.arange(0)
    axes.plot(steps[kept], lr[kept], color=SERIES[2], linewidth=1.8)
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=False)
    _step_axis(axes)
    return figure


def confusion_matrix(matrix: Int[ndarray, "true predicted"], class_names: Sequence[str]) -> Figure:
    """Rows are true classes, columns predictions. Strength of colour: square root of the share of the row.

    Blue is right and orange wrong. Up to 12 classes the counts are written in, up to 40 the names beside.
    """
    matrix = np.asarray(matrix)
    k = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = np.empty((k, k, 4))
    image[..., :3] = rgb(WRONG)
    np.einsum("iic->ic", image)[:, :3] = rgb(RIGHT)
    # A transparent cell is a white one on paper and a dark one on a dark page.
    image[..., 3] = np.sqrt(share)

    side = 3.2 if k <= 4 else 4.6 if k <= 12 else 7.4
    figure, axes = bare((side, side))
    axes.imshow(image, interpolation="none")
    axes.set_xlabel("predicted", color=SOFT)
    axes.set_ylabel("true", color=SOFT)
    axes.tick_params(length=0, pad=3)
    if k <= 40:
        names = plain_texts(class_names, 16)
        size = 9 if k <= 12 else 7
        axes.set_yticks(range(k), names, parse_math=False, fontsize=size, color=SOFT)
        upright = k * max(map(len, names)) <= 45 * side / 4.6
        slant: dict[str, Any] = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(k), names, parse_math=False, fontsize=size, color=SOFT, **slant)
    if k <= 12:
        for true, predicted in zip(*np.nonzero(matrix), strict=True):
            color = ON_COLOR if image[true, predicted, 3] > 0.7 else INK
            count = f"{matrix[true, predicted]:,}"
            axes.text(predicted, true, count, ha="center", va="center", color=color, fontsize=9 if k <= 8 else 8)
    return figure


def per_class(
    class_names: Sequence[str], precision: Float[ndarray, " class"], recall: Float[ndarray, " class"]
) -> Figure:
    """Precision and recall (fractions) of each class as two marks on one line, in the order given."""
    k = len(class_names)
    figure, axes = chart("", (4.6, 0.95 + 0.22 * k))
    at = np.arange(k)
    axes.hlines(at, 100 * np.asarray(precision), 100 * np.asarray(recall), color=SOFT, linewidth=1.2, alpha=0.6)
    axes.plot(100 * np.asarray(recall), at, "o", color=SERIES[0], markersize=5, label="recall")
    axes.plot(100 * np.asarray(precision), at, "D", color=SERIES[1], markersize=4, label="precision")
    axes.set_yticks(at, plain_texts(class_names), parse_math=False, color=INK)
    axes.tick_params(length=0)
    axes.set_ylim(k - 0.4, -0.6)
    axes.set_xlabel("% (right is better)")
    axes.grid(visible=False, axis="y")
    legend(figure, axes)
    return figure


def seed_values(values: Mapping[str, Sequence[float]], title: str, most: float = math.inf) -> Figure:
    """One dot per seed and a bar at the mean, a row for each name in `values`; the axis ends at `most`."""
    figure, axes = chart(title, (4.3, 0.9 + 0.38 * len(values)))
    for i, numbers in enumerate(values.values()):
        color = SERIES[i % len(SERIES)]
        known = [n for n in numbers if math.isfinite(n)]
        axes.plot(known, np.full(len(known), i), "o", color=color, alpha=0.8, markersize=7, markeredgewidth=0)
        if known:
            axes.plot([np.mean(known)], [i], "|", color=INK, markersize=17, markeredgewidth=1.8)
    axes.set_yticks(range(len(values)), [plain_text(name) for name in values], parse_math=False, color=INK)
    axes.tick_params(length=0)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.15)
    # A dot at the very end must still be seen whole.
    left, right = axes.get_xlim()
    axes.set_xlim(left, min(right, most + 0.03 * (most - left)) if math.isfinite(most) else right)
    return figure


def _step_axis(axes: Axes) -> None:
    whole_numbers(axes, "step", 6)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
