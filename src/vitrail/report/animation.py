"""Attention through training as an animation that plays by style sheet alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image

from vitrail import plots
from vitrail.plots.panels import evenly
from vitrail.plots.pictures import shrink
from vitrail.report.elements import Context, Picture
from vitrail.report.embedding import data_uri, draw, embed
from vitrail.report.overlays import MULTIPLES

_MOST_FRAMES = 40
_PER_SECOND = 8
_LAST_FOR = 3.0
"""Seconds."""
_MOST_PICTURES = 9
"""Side by side: the mean and eight heads. Of more heads, the mean alone is shown."""
_MOST_PIXELS = 64
_EXACT = 32
"""Images up to this width are embedded pixel by pixel."""


def attention_animation(
    image: UInt8[ndarray, "c h w"], epochs: Int[ndarray, " epoch"], maps: Float[ndarray, "epoch head row column"]
) -> Context:
    """At most 40 evenly chosen epochs, the first and the last among them, all on one scale.

    Every strip has all frames of one head, one below the other; in the last frame it is moved by `shift` per cent of
    its height. A cycle takes `seconds`, and its last frame begins after `played` per cent of them.
    """
    chosen = evenly(len(epochs), _MOST_FRAMES)
    heads = maps.shape[1]
    shown = maps[chosen] if heads < _MOST_PICTURES else maps[chosen].mean(axis=1, keepdims=True)
    frames = plots.training_frames(image, shown, _MOST_PIXELS)
    height, width = frames.shape[2:4]
    numbers = epochs[chosen].tolist()
    names = ["mean over heads", *(f"head {i}" for i in range(heads))]
    # One head alone is its own mean.
    columns = rearrange(frames, "epoch cell y x c -> cell (epoch y) x c")[: 1 + heads if shown.shape[1] > 1 else 1]
    strips = [Image.fromarray(np.ascontiguousarray(column)) for column in columns]
    [cell] = shrink(image[None], _MOST_PIXELS)
    still, steps = embed(cell, "the image"), len(chosen) - 1
    seconds = steps / _PER_SECOND + _LAST_FOR
    return {
        "still": still,
        "epochs": numbers,
        "strips": [
            Picture(
                uri=data_uri(strip, exact=width <= _EXACT),
                alt=f"{name}: attention over the image after {_listed(numbers)}, from top to bottom",
                small=still.small,
                size=strip.size,
                name=name,
            )
            for name, strip in zip(names, strips, strict=False)
        ],
        "width": width,
        "height": height,
        "bar": draw(plots.attention_bar(shown), "animation-bar", f"Colour scale: {MULTIPLES}."),
        "complete": len(chosen) == len(epochs),
        "steps": steps,
        "seconds": seconds,
        "played": 100 * steps / _PER_SECOND / seconds,
        "shift": 100 * steps / len(chosen),
    }


def _listed(epochs: Sequence[int]) -> str:
    return f"epoch {epochs[0]}" if len(epochs) == 1 else f"{len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
