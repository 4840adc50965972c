"""Labelled images that a source holds as one array from the start, and their resizing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitrail.data.decoding import Framing, to_array
from vitrail.progress import track

_STEP = 1000


class LabelledArrays(NamedTuple):
    """What IDX files, CIFAR batches and the like hold."""

    images: NDArray[np.uint8]
    """(N, C, H, W)"""
    labels: NDArray[np.int64]
    split: NDArray[np.uint8] | None
    class_names: tuple[str, ...]
    image_names: tuple[str, ...]


def resized(images: NDArray[np.uint8], framing: Framing, channels: int) -> NDArray[np.uint8]:
    """Images at another size or channel count, by the rule of `decoding.decode`; themselves where nothing changes.

    Args:
        images: (N, C, H, W).
        framing: the size, and how it is reached.
        channels: 1 or 3.

    Returns:
        (N, channels, height, width).
    """
    shape = (channels, *framing.size)
    if images.shape[1:] == shape and framing.covered == framing.size:
        return images
    result = np.empty((len(images), *shape), np.uint8)
    with track("Resizing images", len(images), "images") as advance:
        for start in range(0, len(images), _STEP):
            for at in range(start, min(start + _STEP, len(images))):
                result[at] = to_array(image_of(images[at]), framing, channels)
            advance(min(_STEP, len(images) - start))
    return result


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """A (1, H, W) or (3, H, W) array as a Pillow image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
