"""From any image to what a model is given: one object, used by training, prediction, adoption and export."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vitrail.configs import DataConfig, Size, as_size
from vitrail.data.dataset import ImageDataset
from vitrail.data.decoding import Fit, Framing, Interpolation, Rules, decode, to_array
from vitrail.data.tones import BY_TYPE, Tones
from vitrail.errors import InputError
from vitrail.progress import track

_CHUNK_BYTES = 32 * 2**20
_SMALLEST_STD = 1 / 255


@dataclass(frozen=True)
class Preprocessing:
    """Size and how it is reached, channels, mean and standard deviation."""

    image_size: Size
    """Height and width in pixels."""
    channels: int
    """1 or 3."""
    mean: tuple[float, ...]
    """Per channel, of pixels in 0..1."""
    std: tuple[float, ...]
    fit: Fit = "crop"
    crop: float = 1.0
    interpolation: Interpolation = "bilinear"
    """These three as in `Framing`; training uses their defaults, adopted models bring their own."""
    tones: Tones = BY_TYPE
    """Chosen for the images that train; adopted models have the default."""
    rules: Rules = "vitrail"
    """As in `Framing`; adopted models bring their own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", as_size(self.image_size))
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise InputError(
                    f"{name} is {values}: one finite number is needed for each of {self.channels} channels"
                )
        if self.channels not in (1, 3) or min(self.std) <= 0:
            raise InputError(f"{self.channels} channels with std {self.std}: 1 or 3 channels, std above 0")
        kinds = ((self.fit, Fit), (self.interpolation, Interpolation), (self.rules, Rules))
        if any(value not in get_args(kind) for value, kind in kinds) or not 0 < self.crop <= 1:
            raise InputError(
                f"fit {self.fit!r}, crop {self.crop!r}, interpolation {self.interpolation!r}, rules {self.rules!r}: "
                "known are crop or stretch, a share above 0 and at most 1, bilinear or bicubic, and those of "
                f"{', '.join(get_args(Rules))}"
            )

    @property
    def framing(self) -> Framing:
        return Framing(self.image_size, self.fit, self.crop, self.interpolation, self.tones, self.rules)

    def read(self, image: str | Path | Image.Image | NDArray[np.generic]) -> NDArray[np.uint8]:
        """One image as training sees it: upright, resized to cover, centre-cropped, in the right channels.

        Args:
            image: a path, a Pillow image, or a uint8 array (height, width) or (height, width, 1, 3 or 4). Where the
                training images were of more than 8 bits, also an array of such numbers, without a fourth channel.

        Returns:
            uint8 array (channels, height, width).

        Raises:
            InputError: the file is missing or no image, or the array has another type or shape.
        """
        if isinstance(image, str | Path):
            return decode(image, self.framing, self.channels)
        if isinstance(image, np.ndarray):
            image = Image.fromarray(self._of_8_bits(image))
        try:
            # A copy, because a file that is not loaded yet would be.
            return to_array(image.copy(), self.framing, self.channels)
        except (OSError, ValueError) as error:
            raise InputError(f"the image cannot be read: {error}") from error

    def _of_8_bits(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        wide = self.tones.pixel_range is not None and image.dtype != np.uint8 and image.dtype.kind in "uif"
        channels = (1, 3) if wide else (1, 3, 4)
        known = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in channels)
        if not known or not (wide or image.dtype == np.uint8):
            raise InputError(
                f"an array of {image.dtype} {image.shape}: images are uint8 (height, width) or "
                "(height, width, channels) with 1, 3 or 4 channels"
            )
        return self.tones.to_8_bits(np.ascontiguousarray(image[..., 0] if image.shape[2:] == (1,) else image))

    def normalize(
        self, images: UInt8[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """(pixels / 255 - mean) / std, in float32, on the device of `images`."""
        statistics = torch.tensor((self.mean, self.std), dtype=torch.float32, device=images.device)
        mean, std = statistics[..., None, None]
        return (images.to(torch.float32) / 255 - mean) / std

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Preprocessing:
        """Raises InputError for a stored object that is not complete."""
        try:
            return Preprocessing(
                image_size=as_size(tuple(stored["image_size"])),
                channels=int(stored["channels"]),
                mean=tuple(stored["mean"]),
                std=tuple(stored["std"]),
                **{name: stored[name] for name in ("fit", "crop", "interpolation", "rules") if name in stored},
                # What earlier versions trained had the range of each type of file.
                tones=Tones.from_json(stored["tones"]) if "tones" in stored else BY_TYPE,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the stored preprocessing is incomplete: {error}") from error


def preprocessing_for(config: DataConfig, channels: int, tones: Tones = BY_TYPE) -> Preprocessing:
    """The preprocessing of a configuration that names size, mean and standard deviation.

    Raises InputError for numbers that are neither one nor one per channel.
    """
    assert config.image_size is not None
    mean, std = (_per_channel(name, getattr(config, name) or (), channels) for name in ("mean", "std"))
    return Preprocessing(as_size(config.image_size), channels, mean, std, tones=tones)


def measure(dataset: ImageDataset, indices: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in 0..1, over the images at `indices`.

    Exact (integer sums), so the same in whatever pieces they are read. A standard deviation below one grey level is
    given as one, so that constant images can be normalised. Raises InputError where there are no images.
    """
    if len(indices) == 0:
        raise InputError("there are no training images to measure mean and standard deviation on")
    _, channels, height, width = dataset.images.shape
    step = max(1, _CHUNK_BYTES // (channels * height * width))
    ordered = np.sort(np.asarray(indices))
    sums, squares = [0] * channels, [0] * channels
    table = np.arange(256, dtype=np.int64)
    with track("Measuring mean and standard deviation", len(ordered), "images") as advance:
        for start in range(0, len(ordered), step):
            images = dataset.read(ordered[start : start + step])
            for channel in range(channels):
                histogram = np.bincount(images[:, channel].ravel(), minlength=256)
                sums[channel] += int(histogram @ table)
                squares[channel] += int(histogram @ table**2)
            advance(len(images))
    count = len(ordered) * height * width
    mean = tuple(total / count / 255 for total in sums)
    variances = [(count * square - total * total) / count**2 for square, total in zip(squares, sums, strict=True)]
    return mean, tuple(max(math.sqrt(variance) / 255, _SMALLEST_STD) for variance in variances)


def _per_channel(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise InputError(
            f"{name} has {len(values)} numbers, but the images have {channels} channels: give 1 or {channels}"
        )
    return values * channels if len(values) == 1 else values
