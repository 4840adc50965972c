"""Attention through training as an animation that plays by style sheet alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image

from vitrail import plots
from vitrail.plots.pictures import shrink
from vitrail.report import overlays
from vitrail.report.elements import Drawing
from vitrail.report.embedding import data_uri, inline_svg, is_small, picture_uri

_MOST_FRAMES = 40
_PER_SECOND = 8
_LAST_FOR = 3.0
"""Seconds."""
_MOST_SPRITES = 9
"""Pictures side by side: the mean and eight heads. Of more heads, the mean alone is shown."""
_MOST_PIXELS = 64
_EXACT = 32
"""Images up to this width are embedded pixel by pixel."""


@dataclass(frozen=True)
class Strip:
    """All frames of one head, one below the other."""

    name: str
    uri: str
    alt: str


@dataclass(frozen=True)
class AttentionAnimation:
    still: str
    """The image itself."""
    epochs: tuple[int, ...]
    strips: tuple[Strip, ...]
    width: int
    height: int
    """Of one frame, in pixels."""
    small: bool
    bar: Drawing
    complete: bool
    """Every epoch is a frame."""

    @property
    def steps(self) -> int:
        return len(self.epochs) - 1

    @property
    def seconds(self) -> float:
        """Of one cycle: the frames, then the last of them for a while."""
        return self.steps / _PER_SECOND + _LAST_FOR

    @property
    def played(self) -> float:
        """When the last frame begins, in per cent of the time."""
        return 100 * self.steps / _PER_SECOND / self.seconds

    @property
    def shift(self) -> float:
        """How far the strips move, in per cent of their height."""
        return 100 * self.steps / len(self.epochs)


def animate(
    image: UInt8[ndarray, "c h w"], epochs: Int[ndarray, " epoch"], maps: Float[ndarray, "epoch head row column"]
) -> AttentionAnimation:
    """At most 40 evenly chosen epochs, the first and the last among them, all on one scale."""
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(_MOST_FRAMES, len(epochs))).round().astype(int))
    heads = maps.shape[1]
    shown = maps[chosen] if heads < _MOST_SPRITES else maps[chosen].mean(axis=1, keepdims=True)
    [cell] = shrink(image[None], _MOST_PIXELS)
    height, width = cell.shape[-2:]
    frames = plots.training_frames(image, shown, _MOST_PIXELS)
    numbers = tuple(int(epoch) for epoch in epochs[chosen])
    names = ["mean over heads", *(f"head {i}" for i in range(heads))]
    # One head alone is its own mean.
    strips = _strips(frames, width)[: 1 + heads if shown.shape[1] > 1 else 1]
    return AttentionAnimation(
        still=data_uri(cell),
        epochs=numbers,
        strips=tuple(
            Strip(name, uri, f"{name}: attention over the image after {_listed(numbers)}, from top to bottom")
            for name, uri in zip(names, strips, strict=False)
        ),
        width=width,
        height=height,
        small=is_small(cell),
        bar=Drawing(inline_svg(plots.attention_bar(shown), "animation-bar", f"Colour scale: {overlays.MULTIPLES}.")),
        complete=len(chosen) == len(epochs),
    )


def _strips(frames: UInt8[ndarray, "epoch y x 4"], width: int) -> list[str]:
    """The cells of all frames, parted from each other by transparent pixels, as one picture for each place."""
    opaque = frames[0, 0, :, 3] > 0
    starts = np.flatnonzero(opaque & ~np.concatenate([[False], opaque[:-1]]))
    columns = [rearrange(frames[:, :, at : at + width, :3], "epoch y x c -> (epoch y) x c") for at in starts]
    return [picture_uri(Image.fromarray(np.ascontiguousarray(column)), exact=width <= _EXACT) for column in columns]


def _listed(epochs: Sequence[int]) -> str:
    return f"epoch {epochs[0]}" if len(epochs) == 1 else f"{len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
