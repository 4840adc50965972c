"""Whether explanations are to be believed: measured, beside controls that know nothing of the model."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.figure import Figure

from vitrail.plots.style import GRID, INK, SERIES, SOFT, charts, legend
from vitrail.text import plain_text

CONTROLS = ("random", "centre")
_PER_ROW = 4


def trust_chart(
    scores: Mapping[str, Mapping[str, tuple[float, float, float]]],
    controls: Collection[str] = CONTROLS,
    least: Mapping[str, float] | None = None,
) -> Figure:
    """What each method scores by each measure: a dot with its 95 % interval. Controls are grey squares.

    The band behind is the interval of the control that is best by that measure: a method whose interval reaches into
    it is not shown to be better than that.

    Args:
        scores: by measure, by method: value, and low and high end of the interval. More is better. NaN, or a method
            left out, leaves a gap.
        controls: names of methods that know nothing of the model.
        least: of a measure, what a method must reach; it is drawn in place of the band.
    """
    methods = list(dict.fromkeys(name for of in scores.values() for name in of))
    rows = math.ceil(len(scores) / _PER_ROW)
    columns = math.ceil(len(scores) / rows)
    size = (1.2 + 1.75 * columns, 0.2 + rows * (0.8 + 0.24 * len(methods)))
    figure, every = charts(["" for _ in scores], size, rows, sharey=True)
    for axes, (measure, of) in zip(every, scores.items(), strict=True):
        known = [of[name] for name in controls if name in of and np.isfinite(of[name]).all()]
        goal = (least or {}).get(measure)
        if goal is not None:
            axes.axvline(goal, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="to be reached")
        elif known:
            axes.axvspan(*max(known)[1:], color=GRID, alpha=0.7, linewidth=0, label="best control's 95 % interval")
        for row, name in enumerate(methods):
            value, low, high = of.get(name, (math.nan,) * 3)
            color, mark = (SOFT, "s") if name in controls else (SERIES[0], "o")
            axes.plot([low, high], [row, row], color=color, linewidth=1.6)
            axes.plot([value], [row], mark, color=color, markersize=5)
        axes.set_xlabel(textwrap.fill(plain_text(measure, 48), 22), parse_math=False)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
    names = [plain_text(name) for name in methods]
    for axes in every[::columns]:
        axes.set_yticks(range(len(methods)), names, parse_math=False, color=INK)
    every[0].set_ylim(len(methods) - 0.4, -0.6)
    legend(figure, *every)
    return figure
