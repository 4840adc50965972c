"""Maps over the sample images, all of one kind on one scale, each small beside its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from numpy import ndarray

from vitrail import plots
from vitrail.plots.panels import Scale, color_bar, in_means, scale_of
from vitrail.plots.pictures import shrink
from vitrail.report.elements import Drawing
from vitrail.report.embedding import data_uri, inline_svg, is_small

MULTIPLES = "attention; 1: shared evenly by the patches"
STRENGTHS = "in multiples of each map's mean strength"

_SIDE = 112
_WITHIN = 0.995
_LEAST = 2.0


@dataclass(frozen=True)
class Overlay:
    """A map laid over an image."""

    name: str
    uri: str
    alt: str
    small: bool


def attention_multiples(maps: Float[ndarray, "*n row column"]) -> Float[ndarray, "*n row column"]:
    """Shares of attention as multiples of what every patch would get if all got the same."""
    return maps * (maps.shape[-2] * maps.shape[-1])


def strengths(maps: Float[ndarray, "sample height width"]) -> Float[ndarray, "sample height width"]:
    """Each map divided by the mean of its absolute values: attributions have no unit to compare them by."""
    return np.array([in_means(values) for values in maps], dtype=np.float32).reshape(maps.shape)


def common_scale(values: Float[ndarray, "..."], label: str) -> Scale:
    """One scale for all of them; the few largest values lie beyond its end."""
    return scale_of(values, label, _WITHIN, _LEAST, root=True)


def over_images(
    name: str,
    images: UInt8[ndarray, "sample c h w"],
    maps: Float[ndarray, "sample row column"],
    scale: Scale,
    alts: Sequence[str],
) -> list[Overlay]:
    """Every map over its image, a side of at most 112 pixels."""
    return [
        Overlay(name, _laid_over(image, values, scale), alt, is_small(image))
        for image, values, alt in zip(images, maps, alts, strict=True)
    ]


def bar(scale: Scale, key: str) -> Drawing:
    """The colours of a scale, with its unit."""
    figure = Figure(figsize=(3.6, 0.6), facecolor="none")
    color_bar(figure, scale, 0.15, 0.08, 3.2)
    ends = f"{scale.low:g} to {scale.high:g}{' and more' if scale.clipped else ''}"
    return Drawing(inline_svg(figure, key, f"Colour scale: {scale.label}, {ends}."))


def _laid_over(image: UInt8[ndarray, "c h w"], values: Float[ndarray, "row column"], scale: Scale) -> str:
    [small] = shrink(image[None], _SIDE)
    return data_uri(np.moveaxis(plots.overlay(small, values, scale), -1, 0))
