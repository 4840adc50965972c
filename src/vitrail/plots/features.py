"""What layers compute: first filters, tokens and feature maps by depth, layers compared, the answer as it forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.maps import fill
from vitrail.plots.panels import (
    Scale,
    as_bytes,
    balanced,
    counted,
    heat_map,
    in_means,
    map_scale,
    outline,
    scale_of,
    sheet,
    write,
)
from vitrail.plots.pictures import as_colors
from vitrail.plots.style import INK, SERIES, SOFT, chart, charts, legend, line, whole_numbers
from vitrail.text import plain_text

_MOST_NAMED = 5


def depths(count: int) -> list[str]:
    """Names of the places where tokens are captured: "embedding", then "layer 0", "layer 1", ..."""
    return ["embedding", *counted("layer", count - 1)]


def patch_filters(filters: Float[ndarray, "n c p q"], explained: Float[ndarray, " n"], signed: bool = False) -> Figure:
    """Patterns that the first layer looks for, strongest first (Dosovitskiy et al. 2021, figure 7 left).

    Each is brought to its own scale, mid-grey 0. Filters of other than three channels show the first as grey.

    Args:
        filters: principal components of the patch embedding, or a CNN's kernels.
        explained: the share of the layer's squared weights along each, a fraction.
        signed: they are kernels, whose sign matters; that of a principal component means nothing.
    """
    rows, columns = balanced(len(filters), 7)
    made = sheet(
        rows,
        columns,
        filters.shape[2] / filters.shape[3],
        title="filters of the first layer, strongest first",
        largest=0.68,
        under=0.2,
        notes=(
            "below each: its share of the layer's squared weights",
            f"each on its own scale, grey is 0{'' if signed else '; the sign is arbitrary'}",
        ),
    )
    for i, (component, share) in enumerate(zip(filters, explained, strict=True)):
        strongest = np.abs(component).max()
        gray = as_bytes(0.5 + 0.5 * component / (strongest if strongest > 0 else 1.0))
        made.picture(*divmod(i, columns), as_colors(gray), interpolation="nearest")
        made.under(*divmod(i, columns), f"{100 * share:.1f} %")
    return made.figure


def token_colors(
    image: UInt8[ndarray, "c h w"], pictures: Float[ndarray, "depth y x 3"], names: Sequence[str] | None = None
) -> Figure:
    """An image beside its patch tokens at each depth, coloured by their first three principal components.

    `pictures` have red, green and blue in 0..1, a patch per pixel; `names` are `depths` by default.
    """
    rows, columns = balanced(len(pictures) + 1, 7)
    made = sheet(
        rows,
        columns,
        image.shape[1] / image.shape[2],
        largest=1.15,
        under=0.2,
        notes=("red, green and blue: the tokens' first three principal components",),
    )
    fill(made, 0, 0, image)
    made.under(0, 0, "image", 9, color=INK)
    for i, (picture, name) in enumerate(zip(pictures, names or depths(len(pictures)), strict=True), start=1):
        made.picture(*divmod(i, columns), as_bytes(picture), interpolation="nearest")
        made.under(*divmod(i, columns), plain_text(name))
    return made.figure


def feature_maps(
    image: UInt8[ndarray, "c h w"],
    maps: Sequence[Float[ndarray, "_channel _y _x"]],
    names: Sequence[str] | None = None,
    most: int = 8,
    channels: int | None = None,
) -> Figure:
    """An image, and below it the first `most` channels at each depth, a row for each.

    All are on one scale; to make that possible, each depth is divided by the mean of its absolute values, over all
    channels given. Depths need not agree in channels, height and width; `names` are `depths` by default, and
    `channels` is how many each depth has, if that is more than the maps given.
    """
    names = [plain_text(name, 16) for name in names or depths(len(maps))]
    shown = [in_means(depth)[:most] for depth in maps]
    columns = max(map(len, shown))
    every = np.concatenate([np.ravel(channels) for channels in shown])
    scale = map_scale(every, "activation, in multiples of its depth's mean strength")
    ratio = image.shape[1] / image.shape[2]
    made = sheet(len(maps) + 1, columns, ratio, row_names=["image", *names], largest=0.95, scale=scale)
    fill(made, 0, 0, image)
    for row, depth in enumerate(shown, start=1):
        for column, channel in enumerate(depth):
            made.picture(row, column, channel, scale)
    x, y = made.corner(0, 1)
    for i, text in enumerate(_sizes(names, maps, columns, channels)):
        if (i + 1) * 0.16 <= max(made.cell_height, 0.17):
            write(made.axes, x + 0.1, y + 0.09 + 0.16 * i, text, 8)
    return made.figure


def token_norms(
    norms: Float[ndarray, "depth token"],
    outliers: Sequence[tuple[int, int]],
    prefix: Sequence[str],
    grid: tuple[int, int],
    names: Sequence[str] | None = None,
) -> Figure:
    """How long token vectors are at each depth, and where on the grid of the last depth the outliers lie.

    Tokens much longer than the rest hold global information at the cost of their patch (Darcet et al. 2024,
    arXiv:2309.16588).

    Args:
        norms: Euclidean lengths; first the prefix tokens, then the patches row by row.
        outliers: depth and token of those that stand out. At most five tokens are named, the longest first; boxes are
            around those of the last depth.
        prefix: names of the tokens before the patches.
        grid: height and width, in patches.
        names: `depths` by default.
    """
    height, width = grid
    last = names[-1] if names else depths(len(norms))[-1]
    boxed = [token for depth, token in outliers if depth == len(norms) - 1]
    places = sorted({token for _, token in outliers})
    titles = ["length of token vectors", f"after {last}" + (", outliers outlined" if boxed else "")]
    figure, (left, right) = charts(titles, (7.4, 3.5), width_ratios=(1.25, 1))
    at = np.arange(len(norms))
    rest = np.delete(norms, places, axis=1)
    if rest.shape[1]:
        low, middle, high = np.nanquantile(rest, [0.05, 0.5, 0.95], axis=1)
        left.fill_between(at, low, high, color=SERIES[0], alpha=0.2, linewidth=0, label="5 to 95 % of tokens")
        left.plot(at, middle, **line(0, len(at)), label="median")
    longest = sorted(places, key=lambda token: -np.nanmax(norms[:, token]))
    for i, token in enumerate(longest):
        name = token_name(token, prefix, grid) if i < _MOST_NAMED else None
        look = line(1 + i, len(at)) if name else {"color": SOFT, "linewidth": 0.8, "alpha": 0.6}
        left.plot(at, norms[:, token], **look, label=name)
    if len(longest) > _MOST_NAMED:
        left.plot([], [], color=SOFT, linewidth=0.8, label=f"{len(longest) - _MOST_NAMED} more outliers")
    left.set_ylim(bottom=0)
    left.set_ylabel("Euclidean length")
    _depth_axis(left, len(norms))

    patches = norms[-1, len(prefix) :].reshape(height, width)
    scale = scale_of(patches, "Euclidean length")
    shown = right.imshow(patches, cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    right.grid(visible=False)
    right.set_axis_off()
    for token in boxed:
        if token >= len(prefix):
            row, column = divmod(token - len(prefix), width)
            outline(right, column - 0.5, row - 0.5, (1, 1), 1.2)
    bar = figure.colorbar(shown, ax=right, aspect=25, pad=0.04)
    bar.outline.set_visible(False)
    bar.ax.tick_params(color=SOFT, labelcolor=SOFT, labelsize=8, length=2)
    bar.set_label(scale.label, color=SOFT)
    legend(figure, left)
    return figure


def token_name(token: int, prefix: Sequence[str], grid: tuple[int, int]) -> str:
    """A token of the prefix by its name, a patch by its row and column, counted from 0."""
    if token < len(prefix):
        return plain_text(prefix[token])
    row, column = divmod(token - len(prefix), grid[1])
    return f"row {row}, column {column}"


def cka_heatmap(
    matrix: Float[ndarray, "layer_a layer_b"],
    layers: tuple[Sequence[str], Sequence[str]],
    models: tuple[str, str] = ("", ""),
) -> Figure:
    """Similarity of the layers of two models by linear CKA (Kornblith et al. 2019), on the scale 0 to 1.

    Rows are layers of the first model, columns of the second; an unbiased estimate may leave 0 to 1.
    """
    first, second = ([plain_text(name, 20) for name in names] for names in layers)
    scale = Scale(0.0, 1.0, "CKA (1: the same up to rotation and size)")
    a, b = (plain_text(name) for name in models)
    largest = min(0.42, 5.0 / max(matrix.shape))
    labels: dict[str, Any] = {"row_names": first, "column_names": second, "row_axis": a, "column_axis": b}
    return heat_map(matrix, scale, 2, largest, title="similarity of layers", **labels).figure


def logit_lens(
    probabilities: Float[ndarray, "depth class"],
    class_names: Sequence[str],
    target: int | None = None,
    most: int = 5,
) -> Figure:
    """The probabilities that the head gives at the embedding and after each layer, the last of them the model's answer.

    Shown are the class that wins in the end, the explained class `target`, which is marked, and of the others those
    that reach most at any depth, together `most`.
    """
    first = [int(np.argmax(probabilities[-1]))]
    first += [target] if target is not None and target not in first else []
    peaks = np.argsort(-probabilities.max(axis=0), kind="stable")
    chosen = [*first, *(int(k) for k in peaks if k not in first)][: max(most, len(first))]
    figure, axes = chart("the answer as it forms")
    for i, k in enumerate(chosen):
        name = plain_text(class_names[k]) + (" (explained)" if k == target else "")
        # A legend leaves out names that begin with an underscore.
        name = f" {name}" if name.startswith("_") else name
        axes.plot(100 * probabilities[:, k], **line(i, len(probabilities)), label=name)
    axes.set_ylim(-2, 102)
    axes.set_ylabel("probability, in %")
    _depth_axis(axes, len(probabilities))
    legend(figure, axes)
    return figure


def _depth_axis(axes: Axes, count: int) -> None:
    axes.set_xlim(-0.4, count - 0.6)
    whole_numbers(axes, "blocks passed (0: the embedding)", 12)


def _sizes(
    names: Sequence[str], maps: Sequence[Float[ndarray, "_channel _y _x"]], shown: int, channels: int | None
) -> list[str]:
    sizes = [f"{channels or len(depth)} channels of {depth.shape[1]} × {depth.shape[2]}" for depth in maps]
    texts = [f"below: the first {shown} channels", *(f"{a}: {b}" for a, b in zip(names, sizes, strict=True))]
    return [texts[0], f"at each depth: {sizes[0]}"] if len(set(sizes)) == 1 else texts
