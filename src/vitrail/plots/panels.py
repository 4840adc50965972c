"""Many pictures on one sheet: laid out in inches, on one colour scale with a bar that says its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Num, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, FuncNorm, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy import ndarray

from vitrail.plots.style import INK, SOFT, font_families
from vitrail.text import plain_text

LIGHT, DARK = "#ffffff", "#000000"
"""Colours of marks on pictures, which stay the same on a dark page."""

_WIDEST, _TALLEST, _NARROWEST, _SMALLEST = 9.0, 11.0, 3.6, 0.03
_LETTER = 0.0083
"""Inches that a letter takes, for each point of font size."""

# Its ends are cut off: nearly black, they would look alike where they are shaded.
_SIGNED = ListedColormap(matplotlib.colormaps["PuOr_r"](np.linspace(0.1, 0.9, 256)), "PuOr_r, 10 to 90 %")


@dataclass(frozen=True)
class Scale:
    """From numbers to colours: viridis from 0, or purple, white and orange (PuOr) where there are negative numbers."""

    low: float
    high: float
    label: str
    root: bool = False
    """Colour goes with the square root, so that a few large values leave the rest apart."""
    clipped: bool = False
    """Some values lie beyond the end."""

    @property
    def norm(self) -> Normalize:
        if self.root:
            return FuncNorm((_signed_root, _signed_square), vmin=self.low, vmax=self.high)
        return Normalize(self.low, self.high)

    @property
    def cmap(self) -> Colormap:
        return _SIGNED if self.low < 0 else matplotlib.colormaps["viridis"]

    def colors(self, values: Num[ndarray, "*n"]) -> Float[ndarray, "*n 3"]:
        """Red, green and blue in 0..1; white for NaN."""
        known = np.isfinite(values)
        colors = self.cmap(self.norm(np.where(known, values, 0.0)))[..., :3]
        return np.where(known[..., None], colors, 1.0)


def scale_of(
    values: Num[ndarray, "..."], label: str, quantile: float = 1.0, least: float = 0.0, root: bool = False
) -> Scale:
    """The scale that fits `values`: from 0, or symmetric about it, to a quantile of their absolute values.

    NaN is left out. The end is at least `least`, so that what hardly differs is not drawn as if it did.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    strength = np.abs(known)
    high = float(np.quantile(strength, quantile, method="higher")) if known.size else 0.0
    high = _round_up(max(high or float(strength.max(initial=0.0)), least)) or 1.0
    signed = bool((known < 0).any())
    return Scale(-high if signed else 0.0, high, label, root, bool((strength > high).any()))


def map_scale(values: Num[ndarray, "..."], label: str) -> Scale:
    """The scale of maps in multiples of a mean: by the square root, the few largest values beyond its end."""
    # It ends no earlier than at 2, so that a nearly even map looks even.
    return scale_of(values, label, 0.995, 2.0, root=True)


@dataclass(frozen=True)
class Sheet:
    """A figure of cells in rows and columns. Its one pair of axes covers it and counts inches from the upper left."""

    figure: Figure
    axes: Axes
    left: float
    top: float
    cell_width: float
    cell_height: float
    step_x: float
    step_y: float

    def corner(self, row: float, column: float) -> tuple[float, float]:
        """Left and top of a cell."""
        return self.left + column * self.step_x, self.top + row * self.step_y

    def picture(
        self, row: int, column: int, pixels: Num[ndarray, "h w *rgb"], scale: Scale | None = None, **look: Any
    ) -> AxesImage:
        """Fill a cell: with colours (uint8), or with numbers and a scale, NaN transparent."""
        x, y = self.corner(row, column)
        extent = (x, x + self.cell_width, y + self.cell_height, y)
        colors = {} if scale is None else {"cmap": scale.cmap, "norm": scale.norm, "interpolation": "nearest"}
        return self.axes.imshow(pixels, extent=extent, aspect="auto", **{**colors, **look})

    def under(self, row: int, column: int, text: str, size: float = 8, line: int = 0, color: str = SOFT) -> None:
        """A line of text below a cell."""
        x, y = self.corner(row, column)
        at = y + self.cell_height + 0.1 + 0.15 * line
        write(self.axes, x + self.cell_width / 2, at, text, fit(text, self.step_x, size), color=color, ha="center")


def sheet(
    rows: int,
    columns: int,
    ratio: float,
    *,
    title: str = "",
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    row_axis: str = "",
    column_axis: str = "",
    largest: float = 1.5,
    gap: float = 0.06,
    under: float = 0.0,
    scale: Scale | None = None,
    notes: Sequence[str] = (),
) -> Sheet:
    """An empty sheet, with its title, names, colour bar of `scale` and notes at the foot already written.

    A cell is `ratio` times as high as wide, its longer side `largest` inches unless the sheet would become too large,
    with `gap` inches between cells and `under` inches for text below each. Names of rows are thinned where there is no
    room, those of columns upright where they are too wide; `row_axis` and `column_axis` say what they are names of.
    """
    title = plain_text(title, 60)
    left = 0.1 + (0.2 if row_axis else 0) + max((_length(name, 9) for name in row_names), default=0.0)
    left += 0.06 if row_names else 0
    most_wide = (_WIDEST - left - 0.1) / columns - gap
    most_tall = (_TALLEST - 1.5) / rows - gap - under
    height = max(_SMALLEST, min(largest, largest * ratio, most_wide * ratio, most_tall))
    width = height / ratio
    upright = any(_length(name, 9) > width + gap for name in column_names)
    names_tall = 0.0
    if column_names:
        names_tall = 0.08 + max(_length(name, 9) for name in column_names) if upright else 0.2
    top = 0.05 + (0.27 if title else 0) + (0.2 if column_axis else 0) + names_tall
    foot = (0.62 if scale else 0.08) + 0.16 * len(notes)
    across, down = columns * (width + gap) - gap, rows * (height + under + gap) - gap
    texts = [_length(title, 10), *(_length(note, 8) for note in notes)]
    texts += [left - 0.1 + _length(scale.label, 9)] if scale else []
    total_wide = max(_NARROWEST, left + across + 0.1, 0.2 + max(texts))
    total_tall = top + down + foot

    figure = Figure(figsize=(total_wide, total_tall), facecolor="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, total_wide)
    axes.set_ylim(total_tall, 0)
    axes.set_autoscale_on(False)
    made = Sheet(figure, axes, left, top, width, height, width + gap, height + under + gap)
    write(axes, 0.1, 0.16, title, 10, color=INK)
    write(axes, left + across / 2, top - names_tall - 0.1, column_axis, ha="center")
    write(axes, 0.17, top + down / 2, row_axis, rotation=90, ha="center")
    for i in _thinned(len(row_names), made.step_y, 0.15):
        write(axes, left - 0.06, made.corner(i, 0)[1] + height / 2, row_names[i], ha="right")
    for i in _thinned(len(column_names), made.step_x, 0.15 if upright else 0.0):
        at = made.corner(0, i)[0] + width / 2
        look: dict[str, Any] = {"rotation": 90, "va": "bottom"} if upright else {}
        write(axes, at, top - (0.05 if upright else 0.09), column_names[i], ha="center", **look)
    if scale:
        color_bar(figure, scale, left, total_tall - foot + 0.12, min(max(across, 1.5), 3.0))
    for i, note in enumerate(notes):
        write(axes, 0.1, total_tall - 0.16 * (len(notes) - i) + 0.05, note, 8)
    return made


def outline(axes: Axes, left: float, top: float, size: tuple[float, float], line: float) -> None:
    """A box that is seen on any colour: light, with dark edges."""
    for color, thick in ((DARK, 2 * line), (LIGHT, line)):
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=color, linewidth=thick))


def lone_bar(scale: Scale) -> Figure:
    """The colour bar of a scale, by itself."""
    figure = Figure(figsize=(3.6, 0.6), facecolor="none")
    color_bar(figure, scale, 0.15, 0.08, 3.2)
    return figure


def color_bar(figure: Figure, scale: Scale, left: float, top: float, width: float) -> None:
    """A horizontal bar 0.1 inch high, at a place in inches from the upper left, with its unit below."""
    total_wide, total_tall = figure.get_size_inches()
    place = (left / total_wide, 1 - (top + 0.1) / total_tall, width / total_wide, 0.1 / total_tall)
    extend = ("both" if scale.low < 0 else "max") if scale.clipped else "neither"
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(scale.norm, scale.cmap), axes, orientation="horizontal", extend=extend)
    bar.outline.set_visible(False)
    bar.minorticks_off()
    bar.set_ticks(_ticks(scale))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", "−"))
    axes.tick_params(color=SOFT, labelcolor=SOFT, labelsize=8, length=2, pad=2)
    start = -0.05 if extend == "both" else 0.0
    bar.set_label(scale.label, x=start, ha="left", color=SOFT, fontsize=9, labelpad=2)


def heat_map(
    values: Float[ndarray, "row column"], scale: Scale, digits: int, largest: float = 0.42, **labels: Any
) -> Sheet:
    """Numbers as coloured squares, written in with so many digits where there is room; `labels` goes to `sheet`."""
    rows, columns = values.shape
    made = sheet(rows, columns, 1.0, largest=largest, gap=0.0, scale=scale, **labels)
    (left, top), (right, bottom) = made.corner(0, 0), made.corner(rows, columns)
    look: dict[str, Any] = {"cmap": scale.cmap, "norm": scale.norm, "interpolation": "nearest", "aspect": "auto"}
    made.axes.imshow(values, extent=(left, right, bottom, top), **look)
    if made.cell_width >= 0.3:
        bright = scale.colors(values) @ (0.299, 0.587, 0.114)
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            x, y = made.corner(row + 0.5, column + 0.5)
            color = DARK if bright[row, column] > 0.5 else LIGHT
            text = f"{values[row, column]:.{digits}f}"
            write(made.axes, x, y, text, fit(text, made.cell_width, 8), color=color, ha="center")
    return made


def write(axes: Axes, x: float, y: float, text: str, size: float = 9, **look: Any) -> None:
    """Plain text at a place of the axes."""
    if text:
        families = None if text.isascii() else font_families()
        settled = {"color": SOFT, "va": "center", "fontsize": size, "parse_math": False, "family": families}
        axes.text(x, y, plain_text(text, 120), **{**settled, **look})


def fit(text: str, width: float, size: float) -> float:
    """The font size at which a text is no wider than so many inches, if that is legible at all."""
    return max(6.0, min(size, width / (_LETTER * max(1, len(text)))))


def balanced(cells: int, most: int) -> tuple[int, int]:
    """Rows and columns for so many cells, at most `most` columns and as equal as can be."""
    rows = math.ceil(cells / most)
    return rows, math.ceil(cells / rows)


def counted(what: str, count: int, numbers: Sequence[int] | None = None) -> list[str]:
    """ "layer 0", "layer 1", ..., or with the numbers given."""
    return [f"{what} {i}" for i in (range(count) if numbers is None else numbers)]


def evenly(count: int, most: int) -> list[int]:
    """At most so many of 0 ... count - 1, evenly spaced, the first and the last among them."""
    return [int(i) for i in np.linspace(0, count - 1, min(most, count)).round()]


def in_means(values: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
    """In multiples of the mean of the absolute values, NaN left out; all zeros stay as they are."""
    known = np.abs(values[np.isfinite(values)])
    mean = known.mean() if known.size else 0.0
    return values / mean if mean > 0 else values


def multiples(shares: Float[ndarray, "*n row column"]) -> Float[ndarray, "*n row column"]:
    """Shares of patches in multiples of what each would have if all had the same."""
    return shares * (shares.shape[-2] * shares.shape[-1])


def as_bytes(colors: Float[ndarray, "*n"]) -> UInt8[ndarray, "*n"]:
    """From 0..1 to 0..255."""
    return np.round(255 * np.clip(colors, 0, 1)).astype(np.uint8)


def _length(text: str, size: float) -> float:
    return _LETTER * size * len(text)


def _thinned(count: int, step: float, least: float) -> range:
    return range(0, count, max(1, math.ceil(least / step)))


def _round_up(x: float) -> float:
    """To two significant digits, so that the end of a scale is a number that can be read."""
    if not 1e-12 < x < 1e300:
        return max(x, 0.0)
    unit = 10.0 ** (math.floor(math.log10(x)) - 1)
    return float(f"{math.ceil(x / unit - 1e-6) * unit:.6g}")


def _ticks(scale: Scale) -> list[float]:
    if not scale.root:
        return [float(x) for x in np.linspace(scale.low, scale.high, 5)]
    parts = [float(f"{scale.high * part:.1g}") for part in (1 / 16, 1 / 4, 9 / 16)]
    if scale.low < 0:
        return [-scale.high, -parts[1], 0.0, parts[1], scale.high]
    return [0.0, *parts, scale.high]


def _signed_root(x: Any) -> Any:
    return np.sign(x) * np.sqrt(np.abs(x))


def _signed_square(x: Any) -> Any:
    return np.sign(x) * np.square(x)
