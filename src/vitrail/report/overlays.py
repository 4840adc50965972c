"""Maps over the sample images, all of one kind on one scale, each small beside its image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from vitrail import plots
from vitrail.plots.panels import Scale, in_means, lone_bar
from vitrail.plots.pictures import shrink
from vitrail.report.elements import Drawing, Picture
from vitrail.report.embedding import draw, embed, is_small

MULTIPLES = "attention; 1: shared evenly by the patches"
STRENGTHS = "in multiples of each map's mean strength"

_SIDE = 112


def strengths(maps: Float[ndarray, "sample height width"]) -> Float[ndarray, "sample height width"]:
    """Each map divided by the mean of its absolute values: attributions have no unit to compare them by."""
    return np.array([in_means(values) for values in maps], dtype=np.float32).reshape(maps.shape)


def over_images(
    name: str,
    images: UInt8[ndarray, "sample c h w"],
    maps: Float[ndarray, "sample row column"],
    scale: Scale,
    alt: str,
) -> list[Picture]:
    """Every map over its image, a side of at most 112 pixels."""
    pictures = []
    for image, values in zip(images, maps, strict=True):
        [small] = shrink(image[None], _SIDE)
        laid_over = embed(np.moveaxis(plots.overlay(small, values, scale), -1, 0), alt)
        pictures.append(replace(laid_over, small=is_small(image), name=name))
    return pictures


def bar(scale: Scale, key: str) -> Drawing:
    """The colours of a scale, with its unit."""
    ends = f"{scale.low:g} to {scale.high:g}{' and more' if scale.clipped else ''}"
    return draw(lone_bar(scale), key, f"Colour scale: {scale.label}, {ends}.")
