"""The look that all figures share: palette, axes, and names as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.ticker import MaxNLocator

from vitrail.text import plain_text

INK = "#1b2733"
SOFT = "#5b6876"
GRID = "#dde2e7"
ON_COLOR = "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
RIGHT, WRONG = SERIES[0], SERIES[1]

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (9, 3)))
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 9.0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.color": GRID,
    "ytick.labelcolor": SOFT,
}
_FEW_POINTS = 15
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


def plain_texts(names: Sequence[str], most: int = 24) -> list[str]:
    """`plain_text` of names beside each other: where their ends tell them apart, the middle is left out."""
    shown = [plain_text(name, most) for name in names]
    of_label: dict[str, set[str]] = {}
    for name, label in zip(names, shown, strict=True):
        of_label.setdefault(label, set()).add(name)
    end = 2 * most // 3
    cut = [
        label if len(of_label[label]) == 1 else plain_text(f"{name[: most - end - 1]}…{name[-end:]}", most)
        for name, label in zip(names, shown, strict=True)
    ]
    return cut if len(set(cut)) > len(of_label) else shown


def font_families() -> list[str]:
    """matplotlib's own font, then the installed ones among those that have the scripts it lacks."""
    installed = set(get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def chart(title: str, size: tuple[float, float] = (4.3, 2.7)) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; `size` is width and height in inches."""
    figure, [axes] = charts([title], size)
    return figure, axes


def charts(
    titles: Sequence[str], size: tuple[float, float], rows: int = 1, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a pair of axes for each title, in rows; `subplots` goes to `Figure.subplots`."""
    with rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        places = list(figure.subplots(rows, -(-len(titles) // rows), squeeze=False, **subplots).flat)
        for axes, title in zip(places, titles, strict=False):
            axes.set_title(plain_text(title, 60), loc="left", fontsize=10, color=INK, parse_math=False)
        for axes in places[len(titles) :]:
            axes.remove()
    return figure, places[: len(titles)]


def bare(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure for an image: no frame, no grid."""
    figure, axes = chart("", size)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure, axes


def whole_numbers(axes: Axes, label: str, most: int) -> None:
    """A horizontal axis of whole numbers, at most so many of them marked."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))


def line(i: int, points: int) -> dict[str, Any]:
    """The look of the i-th line, with a mark on each point where they are few."""
    marker = "o" if points <= _FEW_POINTS else ""
    # Colours that come again do so with other dashes.
    style = {"color": SERIES[i % len(SERIES)], "linestyle": _DASHES[(i + i // len(SERIES)) % len(_DASHES)]}
    return {**style, "linewidth": 1.8, "marker": marker, "markersize": 4}


def legend(figure: Figure, *every: Axes) -> None:
    """Names of the lines below the axes, where they cover nothing; a name that several have once."""
    named = {label: handle for axes in every for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    with rc_context(_STYLE):
        box = figure.legend(
            named.values(), named.keys(), loc="outside lower left", ncols=2, frameon=False, fontsize=9, handlelength=2.6
        )
    for label in box.get_texts():
        label.set_parse_math(False)
    for handle in box.get_lines():
        handle.set_alpha(None)


def save_svg(figure: Figure, path: Path, name: str) -> None:
    """The same figure of that name gives the same file."""
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def rgb(color: str) -> list[float]:
    """`#rrggbb` as three numbers in 0..1."""
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
