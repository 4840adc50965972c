"""What attention heads do, over layers: how far they look, how widely, where to, and which are alike.

Layers and heads are counted from 0, as `Capture.attention` and `--layer` count them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.panels import Scale, counted, heat_map, outline, scale_of, sheet
from vitrail.plots.style import SERIES, SOFT, chart, legend, whole_numbers


def attention_distance(distances: Float[ndarray, "layer head"], uniform: float | None = None) -> Figure:
    """How far each head looks, by layer (Dosovitskiy et al. 2021, figure 7 right).

    The mean distance of what a patch attends to, in pixels, NaN left out; `uniform` is that of uniform attention.
    """
    figure, axes = chart("mean attention distance")
    depth, heads = distances.shape
    layers = np.arange(depth)
    # The farthest head lies at the upper edge, and is to be seen whole.
    dots: dict[str, Any] = {"alpha": 0.65, "markersize": 4.5, "clip_on": False}
    axes.plot(np.repeat(layers, heads), distances.ravel(), "o", color=SERIES[0], label="a head", **dots)
    known = np.isfinite(distances)
    means = np.where(known, distances, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), math.nan)
    axes.plot(layers, means, color=SERIES[1], linewidth=1.8, label="mean over heads")
    if uniform is not None:
        axes.axhline(uniform, color=SOFT, linewidth=1.2, linestyle=(0, (4, 2)), label="uniform attention")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.4, depth - 0.6)
    axes.set_ylabel("pixels")
    whole_numbers(axes, "layer", 12)
    legend(figure, axes)
    return figure


def head_entropy(entropies: Float[ndarray, "layer head"], most: float | None = None) -> Figure:
    """How widely each head looks: the entropy of its attention, in nats.

    `most` is the largest possible, log(number of tokens): the scale ends there.
    """
    scale = scale_of(entropies, "entropy of attention, in nats")
    if most is not None:
        scale = Scale(0.0, most, f"entropy, in nats ({most:.2f}: looks everywhere)")
    return _by_head(entropies, scale, "how widely heads look", 1)


def class_dependence(shares: Float[ndarray, "layer head"]) -> Figure:
    """How much of the variance of a head's attention over images the class explains: 0 to 1."""
    return _by_head(shares, Scale(0.0, 1.0, "share of variance explained by the class"), "what the class decides", 2)


def head_offsets(profiles: Float[ndarray, "layer head row column"]) -> Figure:
    """Which neighbour each head looks at: mean attention to the patch so many rows and columns away.

    The middle, outlined, is the patch itself, and NaN is left open. One scale for all, by the square root.
    """
    depth, heads, rows, columns = profiles.shape
    scale = scale_of(profiles, "share of attention", root=True)
    made = sheet(
        depth,
        heads,
        rows / columns,
        row_names=counted("layer", depth),
        column_names=counted("head", heads),
        largest=0.9,
        scale=scale,
        notes=(f"up to {rows // 2} patches up and down, {columns // 2} left and right of the outlined patch itself",),
    )
    width, height = made.cell_width / columns, made.cell_height / rows
    line = min(0.8, 6 * width)
    for layer, head in np.ndindex(depth, heads):
        made.picture(layer, head, profiles[layer, head], scale)
        x, y = made.corner(layer, head)
        outline(made.axes, x + columns // 2 * width, y + rows // 2 * height, (width, height), line)
    return made.figure


def head_similarity(matrix: Float[ndarray, "every_head every_head"], heads: int) -> Figure:
    """How alike the attention of any two heads is: a block for each pair of layers, in it all pairs of their heads.

    The matrix has correlations of heads ordered layer by layer, `heads` of them in each.
    """
    blocks = rearrange(matrix, "(a h) (b g) -> a b h g", h=heads, g=heads)
    depth = len(blocks)
    names = counted("layer", depth)
    scale = Scale(-1.0 if (matrix < 0).any() else 0.0, 1.0, "correlation of attention")
    made = sheet(
        depth,
        depth,
        1.0,
        title="heads that look alike",
        row_names=names,
        column_names=names,
        largest=min(4.6 / depth, 0.25 * heads),
        gap=0.03,
        scale=scale,
        notes=(f"in each block the {heads} heads of the row's and the column's layer",),
    )
    for row, column in np.ndindex(depth, depth):
        made.picture(row, column, blocks[row, column], scale)
    return made.figure


def _by_head(values: Float[ndarray, "layer head"], scale: Scale, title: str, digits: int) -> Figure:
    rows, columns = ([str(i) for i in range(count)] for count in values.shape)
    labels: dict[str, Any] = {"row_names": rows, "column_names": columns, "row_axis": "layer", "column_axis": "head"}
    return heat_map(values, scale, digits, title=title, **labels).figure
