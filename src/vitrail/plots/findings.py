"""What studies find: means over seeds with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy import ndarray

from vitrail.estimate import estimate
from vitrail.plots.style import SERIES, SOFT, chart, charts, legend, line
from vitrail.text import plain_text


def interval_lines(
    lines: Mapping[str, tuple[Sequence[float] | Float[ndarray, " point"], Float[ndarray, "seed point"]]],
    x: str,
    y: str,
    log: bool = False,
    reference: Mapping[str, float] | None = None,
) -> Figure:
    """A line for each series, with a band for its 95 % interval over seeds, and `reference` levels to compare with.

    `lines` have where their points are, from left to right, and what was found there; `x` and `y` are what the axes
    show, with their units; `log` makes the horizontal one logarithmic.
    """
    figure, axes = chart("", (6.4, 3.6))
    for i, (name, (at, values)) in enumerate(lines.items()):
        found = [estimate(of) for of in values.T]
        axes.plot(at, [of.mean for of in found], label=plain_text(name, 40), **line(i, len(at)))
        low, high = [of.low for of in found], [of.high for of in found]
        axes.fill_between(at, low, high, color=SERIES[i % len(SERIES)], alpha=0.15, linewidth=0)
    for name, level in (reference or {}).items():
        axes.axhline(level, color=SOFT, linewidth=1.2, linestyle=(0, (2, 2)))
        beside = axes.text(1.01, level, plain_text(name, 40), transform=axes.get_yaxis_transform(), va="center")
        beside.set(color=SOFT, size="small", parse_math=False)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    elif all(float(x).is_integer() for at, _ in lines.values() for x in at):
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_xlabel(x, parse_math=False)
    axes.set_ylabel(y, parse_math=False)
    if len(lines) > 1:
        legend(figure, axes)
    return figure


def interval_dots(values: Mapping[str, Mapping[str, Float[ndarray, " seed"]]]) -> Figure:
    """A panel for each measure (named with its unit), with a dot and its 95 % interval over seeds for each variant."""
    names = list(dict.fromkeys(name for of in values.values() for name in of))
    size = (2.0 + 2.6 * len(values), 0.9 + 0.3 * len(names))
    figure, every = charts(["" for _ in values], size, sharey=True)
    for axes, (measure, by_variant) in zip(every, values.items(), strict=True):
        for row, name in enumerate(names):
            found = estimate(by_variant.get(name, ()))
            if found.known:
                mean, half = found.mean, found.half or 0.0
                axes.errorbar([mean], [row], xerr=[half], fmt="o", color=SERIES[0], markersize=5, capsize=2)
        axes.set_xlabel(plain_text(measure, 60), parse_math=False)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
    every[0].set_yticks(range(len(names)), [plain_text(name, 40) for name in names], parse_math=False)
    every[0].set_ylim(len(names) - 0.5, -0.5)
    return figure
