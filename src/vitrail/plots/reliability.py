"""Whether probabilities are as often right as they say."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.style import SERIES, SOFT, chart, legend


def reliability_diagram(bins: Mapping[str, Float[ndarray, "bin 3"]]) -> Figure:
    """Accuracy over confidence, one line for each name: rows are images, mean confidence and accuracy of a bin.

    The larger a dot, the more images. On the dashed diagonal probabilities say how often they are right; below it they
    say too much.
    """
    figure, axes = chart("", (4.3, 3.9))
    axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="as often right as it says")
    for i, (name, of) in enumerate(bins.items()):
        images, confidence, accuracy = of[:, 0], 100 * of[:, 1], 100 * of[:, 2]
        color = SERIES[1 - i % 2]
        axes.plot(confidence, accuracy, "-o", color=color, linewidth=1.4, markersize=3, label=name)
        axes.scatter(confidence, accuracy, s=400 * images / images.sum(), color=color, alpha=0.35, linewidths=0)
    axes.set_xlabel("probability of the predicted class (%)")
    axes.set_ylabel("of these right (%)")
    axes.set_xlim(0, 103)
    axes.set_ylim(0, 105)
    legend(figure, axes)
    return figure
