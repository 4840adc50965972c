"""How other libraries say what is done to a picture before a model sees it, as our `Preprocessing`."""

from __future__ import annotations

from collections.abc import Sequence

from vitrail.adoption.conversion import Row, unknown
from vitrail.configs import Size
from vitrail.data.decoding import Fit, Interpolation, Rules
from vitrail.data.preprocessing import Preprocessing

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation per channel of ImageNet's training images."""
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Pixels in -1..1, as Google trains."""

# Pillow's names; the place of a name is the number that stands for it in Hugging Face's files.
PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_NEAR_BILINEAR = ("bilinear", "nearest", "box", "hamming", "random")


def preprocessing(
    size: Size,
    channels: int,
    mean: Sequence[float],
    std: Sequence[float],
    fit: Fit = "crop",
    crop: float = 1.0,
    interpolation: str = "bilinear",
    rules: Rules = "torchvision",
) -> tuple[Preprocessing, list[Row]]:
    """With what had to be replaced: an interpolation that there is not, or three channels' numbers for grey images.

    Raises:
        InputError: a model for other than 1 or 3 channels.
    """
    if channels not in (1, 3):
        unknown(f"the model takes images of {channels} channels, where pictures have 1 or 3")
    rows = []
    method: Interpolation = "bilinear" if interpolation in _NEAR_BILINEAR else "bicubic"
    if method != interpolation:
        rows.append(Row("assumed", f"{method} interpolation of pictures, the nearest to {interpolation}"))
    if len(mean) != channels:
        mean, std = ([sum(values) / len(values)] * channels for values in (mean, std))
        rows.append(Row("assumed", f"the average of the channels' mean and std, for {channels} channels"))
    return Preprocessing(size, channels, tuple(mean), tuple(std), fit, crop, method, rules=rules), rows
