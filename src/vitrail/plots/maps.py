"""Maps over images: what a model looks at, in colours that are shaded by the image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail.plots.panels import (
    Scale,
    Sheet,
    as_bytes,
    balanced,
    counted,
    evenly,
    in_means,
    lone_bar,
    map_scale,
    multiples,
    scale_of,
    sheet,
)
from vitrail.plots.pictures import as_colors, block_means, shrink
from vitrail.plots.style import INK
from vitrail.text import plain_text

_DARKEST = 0.5
"""What is left of a colour where the image is black."""
_SHADES = 24
"""Steps from dark to light; few enough that a grid of many cells stays small as a file."""


def overlay(
    image: UInt8[ndarray, "c h w"], values: Float[ndarray, "y x"], scale: Scale | None = None
) -> UInt8[ndarray, "h w 3"]:
    """A map's colours, shaded by the greyed image. NaN shows the grey image alone.

    Args:
        image: gives the result its height and width.
        values: the map, of any height and width: each of its cells covers an equal part of the image.
        scale: of several maps, to compare them (`panels.scale_of`). By default this map's own, by the square root.
    """
    return _shaded(image, values, scale or scale_of(values, "", root=True))


def attention_grid(
    image: UInt8[ndarray, "c h w"],
    maps: Float[ndarray, "layer head y x"],
    layers: Sequence[int] | None = None,
    head: int | None = None,
) -> Figure:
    """Attention over an image: a row for each layer, a column for each head, and last the mean over heads.

    Args:
        image: what was looked at.
        maps: shares of a query's attention on every patch. They are shown as multiples of 1 / (number of patches).
        layers: the layers' numbers, if they are not 0, 1, 2, ...
        head: the number of the only head in `maps`, if there is one; it then has no mean beside it.
    """
    depth, heads = maps.shape[:2]
    if head is not None:
        rows = counted("layer", depth, layers)
        return _grid(image, multiples(maps), _attention_scale(maps), 1.1, rows, [f"head {head}"])
    cells = np.roll(_mean_and_heads(maps), -1, axis=1)
    columns = [*counted("head", heads), "mean"]
    return _grid(image, cells, _attention_scale(maps), 1.1, counted("layer", depth, layers), columns)


def map_row(
    image: UInt8[ndarray, "c h w"],
    maps: Mapping[str, Float[ndarray, "_y _x"]],
    notes: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """An image beside maps of it by several methods, on one scale.

    Methods have no common unit, so each map, per pixel or coarser, is divided by the mean of its absolute values. If
    any map has negative values, all are in purple (against), white and orange (for). `notes` are lines below the maps.
    """
    shown = {name: in_means(values) for name, values in maps.items()}
    return _beside(image, shown, "in multiples of each map's mean strength", title, notes or {})


def rollout_map(image: UInt8[ndarray, "c h w"], maps: Mapping[str, Float[ndarray, "_y _x"]]) -> Figure:
    """An image beside its attention rollout, by the name of each head fusion.

    The maps are shares of a query's row of the rollout, shown as multiples of 1 / (number of patches).
    """
    shown = {name: multiples(values) for name, values in maps.items()}
    return _beside(image, shown, "share of rollout; 1: shared evenly by the patches", "attention rollout", {})


def training_frames(
    image: UInt8[ndarray, "c h w"], maps: Float[ndarray, "epoch head y x"], most_pixels: int = 96
) -> UInt8[ndarray, "epoch cell h w 3"]:
    """Pictures for each epoch, to be played: the mean over heads, then each head.

    Colours are those of `attention_bar(maps)` in all of them. A picture is as large as the image, or as its means over
    blocks of pixels where a side has more than `most_pixels`.
    """
    scale = _attention_scale(maps)
    cells = rearrange(_mean_and_heads(maps), "epoch cell y x -> (epoch cell) y x")
    frames = np.stack([_panel(image, values, scale, most_pixels) for values in cells])
    return rearrange(frames, "(epoch cell) h w c -> epoch cell h w c", epoch=len(maps))


def attention_bar(maps: Float[ndarray, "epoch head y x"]) -> Figure:
    """The colour bar of `training_frames`, by itself."""
    return lone_bar(_attention_scale(maps))


def training_strip(
    image: UInt8[ndarray, "c h w"], maps: Float[ndarray, "epoch head y x"], epochs: Sequence[int], most: int = 8
) -> Figure:
    """Attention through training, to be printed: a column for each of at most `most` epochs, from first to last.

    The upper row is the mean over heads, those below are the heads; colours as in `training_frames`.
    """
    chosen = evenly(len(epochs), most)
    names = counted("epoch", len(chosen), [epochs[i] for i in chosen])
    cells = _mean_and_heads(maps)[chosen].swapaxes(0, 1)
    return _grid(image, cells, _attention_scale(maps), 1.0, ["mean", *counted("head", maps.shape[1])], names)


def _grid(
    image: UInt8[ndarray, "c h w"],
    cells: Float[ndarray, "row column y x"],
    scale: Scale,
    largest: float,
    row_names: Sequence[str],
    column_names: Sequence[str],
) -> Figure:
    rows, columns = cells.shape[:2]
    made = sheet(
        rows,
        columns,
        image.shape[1] / image.shape[2],
        row_names=row_names,
        column_names=column_names,
        largest=largest,
        scale=scale,
    )
    for row, column in np.ndindex(rows, columns):
        fill(made, row, column, image, cells[row, column], scale)
    return made.figure


def _beside(
    image: UInt8[ndarray, "c h w"],
    maps: Mapping[str, Float[ndarray, "_y _x"]],
    label: str,
    title: str,
    notes: Mapping[str, str],
) -> Figure:
    every = np.concatenate([np.zeros(1), *(values.ravel() for values in maps.values())])
    scale = map_scale(every, label)
    rows, columns = balanced(len(maps) + 1, 5)
    ratio = image.shape[1] / image.shape[2]
    footer = ["orange speaks for the class, purple against it"] if scale.low < 0 else []
    under = 0.38 if notes else 0.22
    made = sheet(rows, columns, ratio, title=title, under=under, scale=scale, notes=footer)
    fill(made, 0, 0, image)
    made.under(0, 0, "image", 9, color=INK)
    for i, (name, values) in enumerate(maps.items(), start=1):
        row, column = divmod(i, columns)
        fill(made, row, column, image, values, scale)
        made.under(row, column, plain_text(name), 9, color=INK)
        made.under(row, column, plain_text(notes.get(name, ""), 40), line=1)
    return made.figure


def fill(
    made: Sheet,
    row: int,
    column: int,
    image: UInt8[ndarray, "c h w"],
    values: Float[ndarray, "y x"] | None = None,
    scale: Scale | None = None,
) -> None:
    """Put an image into a cell, or a map over it."""
    inches = max(made.cell_width, made.cell_height)
    dots, look = (150, "auto") if inches >= 0.8 else (100, "nearest")
    target = max(8, round(dots * inches))
    pixels = _panel(image, values, scale, target)
    # Small images go in with their pixels as squares.
    zoom = math.ceil(target / max(pixels.shape[:2]))
    made.picture(row, column, pixels.repeat(zoom, 0).repeat(zoom, 1), interpolation=look)


def _panel(
    image: UInt8[ndarray, "c h w"], values: Float[ndarray, "y x"] | None, scale: Scale | None, most_pixels: int
) -> UInt8[ndarray, "rows columns 3"]:
    small = shrink(image[None], most_pixels)[0]
    if values is None or scale is None:
        return as_colors(small)
    if values.shape == image.shape[1:]:
        values = block_means(values, math.ceil(max(values.shape) / most_pixels))
    return _shaded(small, values, scale)


def _shaded(image: UInt8[ndarray, "c h w"], values: Float[ndarray, "y x"], scale: Scale) -> UInt8[ndarray, "h w 3"]:
    h, w = image.shape[1:]
    rows, columns = ((2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip((h, w), values.shape, strict=True))
    return as_bytes(scale.colors(values)[rows][:, columns] * (_DARKEST + (1 - _DARKEST) * _light(image))[..., None])


def _light(image: UInt8[ndarray, "c h w"]) -> Float[ndarray, "h w"]:
    """Brightness from 0 to 1, stretched so that a faint image is recognised, too; 1 for a blank one."""
    gray = as_colors(image) @ np.array((0.299, 0.587, 0.114))
    low, high = np.quantile(gray, [0.02, 0.98])
    if high - low < 1:
        return np.ones_like(gray)
    return np.round(_SHADES * np.clip((gray - low) / (high - low), 0, 1)) / _SHADES


def _attention_scale(maps: Float[ndarray, "a b y x"]) -> Scale:
    return map_scale(multiples(maps), "share of attention; 1: shared evenly by the patches")


def _mean_and_heads(maps: Float[ndarray, "n head y x"]) -> Float[ndarray, "n cell y x"]:
    """The mean over heads, then the heads, in multiples of an even share."""
    return multiples(np.concatenate([maps.mean(axis=1, keepdims=True), maps], axis=1))
