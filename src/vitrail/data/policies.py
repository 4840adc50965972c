"""RandAugment and TrivialAugment on whole batches: every image gets its own operation and strength.

Images are float tensors (N, C, H, W) in 0..1. Randomness comes from torch's default generator. Operations are Pillow's
but for its rounding to whole levels. Moved images differ from the published code's by choice: what comes into view is
the image's reflection (there black), pixels are interpolated (there the nearest is taken), and a shear leaves the
middle in its place (there the upper left corner).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Operation = Callable[[Tensor, Tensor], Tensor]


def _per_image(strength: Tensor) -> Tensor:
    return strength[:, None, None, None]


def blend(a: Tensor, b: Tensor, factor: Tensor) -> Tensor:
    """a + factor (b - a), one factor per image, clipped to 0..1."""
    return torch.lerp(a, b, _per_image(factor)).clamp(0, 1)


def grayscale(x: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) of RGB images in every channel; grey images as they are."""
    if x.shape[1] != 3:
        return x
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device, dtype=x.dtype)
    return (x * weights[:, None, None]).sum(1, keepdim=True).expand_as(x)


def brightness(x: Tensor, change: Tensor) -> Tensor:
    return blend(torch.zeros_like(x), x, 1 + change)


def contrast(x: Tensor, change: Tensor) -> Tensor:
    return blend(grayscale(x).mean((1, 2, 3), keepdim=True).expand_as(x), x, 1 + change)


def saturation(x: Tensor, change: Tensor) -> Tensor:
    return blend(grayscale(x), x, 1 + change)


def _smooth(x: Tensor) -> Tensor:
    kernel = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], device=x.device, dtype=x.dtype) / 13
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel.expand(x.shape[1], 1, 3, 3), groups=x.shape[1])


def _sharpness(x: Tensor, change: Tensor) -> Tensor:
    """Away from, or towards, the smoothed image; the outermost pixels stay."""
    smooth = x.clone()
    smooth[..., 1:-1, 1:-1] = _smooth(x)[..., 1:-1, 1:-1]
    return blend(smooth, x, 1 + change)


def _autocontrast(x: Tensor, change: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1e-6), x)


def _levels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every pixel's level of 256, (N, C, pixel), and how many pixels of a channel have each, (N, C, 256)."""
    levels = (x * 255).round().long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, device=x.device).scatter_add_(2, levels, torch.ones_like(x.flatten(2)))
    return levels, counts


def _equalize(x: Tensor, change: Tensor) -> Tensor:
    """Spread the levels of every channel evenly: each becomes about the share of pixels below it.

    `ImageOps.equalize` to the level: shares are counted in steps of a 255th of the pixels that are not of the highest
    level, rounded down; a channel with fewer than 255 of them stays as it is.
    """
    levels, counts = _levels(x)
    step = ((levels.shape[2] - counts.gather(2, levels.amax(2, keepdim=True))) / 255).floor()
    below = counts.cumsum(2) - counts
    table = ((below + (step / 2).floor()) / step.clamp(min=1)).floor().clamp(max=255) / 255
    return torch.where((step > 0)[..., None], table.gather(2, levels).view_as(x), x)


def _posterize(x: Tensor, strength: Tensor) -> Tensor:
    """Keep 8 bits at strength 0 and 2 at strength 1."""
    step = _per_image(2.0 ** (6 * strength).round())
    return (x * 255 / step + 1e-4).floor() * step / 255


def _solarize(x: Tensor, strength: Tensor) -> Tensor:
    return torch.where(x >= 1 - _per_image(strength), 1 - x, x)


def _affine(x: Tensor, **entries: Tensor) -> Tensor:
    """By a matrix (a b tx, c d ty) for each image, the identity but for what is given of it."""
    one, zero = x.new_ones(len(x)), x.new_zeros(len(x))
    entries = {"a": one, "b": zero, "tx": zero, "c": zero, "d": one, "ty": zero} | entries
    theta = torch.stack(list(entries.values()), 1).view(-1, 2, 3).to(x.dtype)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _rotate(x: Tensor, degrees: Tensor) -> Tensor:
    ratio = x.shape[2] / x.shape[3]
    sin, cos = torch.sin(torch.deg2rad(degrees)), torch.cos(torch.deg2rad(degrees))
    return _affine(x, a=cos, b=-sin * ratio, c=sin / ratio, d=cos)


def _shear_x(x: Tensor, amount: Tensor) -> Tensor:
    return _affine(x, b=amount * (x.shape[2] / x.shape[3]))


def _shear_y(x: Tensor, amount: Tensor) -> Tensor:
    return _affine(x, c=amount * (x.shape[3] / x.shape[2]))


def _translate_x(x: Tensor, pixels: Tensor) -> Tensor:
    return _affine(x, tx=2 * pixels.trunc() / x.shape[3])


def _translate_y(x: Tensor, pixels: Tensor) -> Tensor:
    return _affine(x, ty=2 * pixels.trunc() / x.shape[2])


def _identity(x: Tensor, strength: Tensor) -> Tensor:
    return x


Row = tuple[Operation, float, float, bool]

# Operation, its range in RandAugment, its range in TrivialAugment's wide space, and whether the sign is drawn.
_OPERATIONS: tuple[Row, ...] = (
    (_identity, 0.0, 0.0, False),
    (_shear_x, 0.3, 0.99, True),
    (_shear_y, 0.3, 0.99, True),
    (_translate_x, 150 / 331, 32.0, True),
    (_translate_y, 150 / 331, 32.0, True),
    (_rotate, 30.0, 135.0, True),
    (brightness, 0.9, 0.99, True),
    (saturation, 0.9, 0.99, True),
    (contrast, 0.9, 0.99, True),
    (_sharpness, 0.9, 0.99, True),
    (_posterize, 0.67, 1.0, False),
    (_solarize, 1.0, 1.0, False),
    (_autocontrast, 0.0, 0.0, False),
    (_equalize, 0.0, 0.0, False),
)
# RandAugment's range is a share of the side, TrivialAugment's in pixels, of which a side has to have as many.
_SIDES = {_translate_x: 3, _translate_y: 2}


def _first_equalize(x: Tensor, change: Tensor) -> Tensor:
    """Every value becomes the share of pixels that are not higher, of those that are not of the lowest level.

    In tiles of 32 pixels of photographs it is 14 of 255 levels from Pillow's, on average.
    """
    levels, counts = _levels(x)
    cumulative = counts.cumsum(2)
    lowest = counts.gather(2, levels.amin(2, keepdim=True))
    share = (cumulative - lowest) / (levels.shape[2] - lowest).clamp(min=1)
    equal = share.gather(2, levels).view_as(x).clamp(0, 1)
    return torch.where((levels.shape[2] > lowest)[..., None], equal, x)


# What version 1 has instead; translations are in units of half an image.
_FIRST: dict[Operation, Row] = {
    _translate_x: (lambda x, amount: _affine(x, tx=amount), 0.9, 1.0, True),
    _translate_y: (lambda x, amount: _affine(x, ty=amount), 0.9, 1.0, True),
    _sharpness: (lambda x, change: blend(_smooth(x), x, 1 + change), 0.9, 0.99, True),
    _equalize: (_first_equalize, 0.0, 0.0, False),
}

_RANDAUGMENT_OPERATIONS = 2
_RANDAUGMENT_STRENGTH = 9 / 30
_TRIVIAL_LEVELS = 31


def apply_policy(x: Tensor, policy: Literal["randaugment", "trivialaugment"], version: Literal[1, 2] = 2) -> Tensor:
    """RandAugment with 2 operations at magnitude 9 of 30 (Cubuk et al. 2020, arXiv:1909.13719, algorithm 1), or
    TrivialAugment with one operation at a random one of 31 magnitudes in the wide space (Mueller & Hutter 2021,
    arXiv:2103.10158, table 6). Version 1 is for runs that began with it: an equalize of its own, a sharpness that
    changes the outermost pixels, and translations that reach half an image, whatever its size."""
    for _ in range(_RANDAUGMENT_OPERATIONS if policy == "randaugment" else 1):
        choice = torch.randint(len(_OPERATIONS), (len(x),), device=x.device)
        sign = torch.randint(2, (len(x),), device=x.device) * 2.0 - 1
        level = torch.randint(_TRIVIAL_LEVELS, (len(x),), device=x.device) / (_TRIVIAL_LEVELS - 1)
        out = x.clone()
        for i, row in enumerate(_OPERATIONS):
            chosen = (choice == i).nonzero().flatten()
            if len(chosen) == 0:
                continue
            operation, moderate, wide, signed = _FIRST.get(row[0], row) if version == 1 else row
            if operation in _SIDES:
                side = x.shape[_SIDES[operation]]
                moderate, wide = moderate * side, min(wide, side)
            strength = moderate * _RANDAUGMENT_STRENGTH if policy == "randaugment" else wide * level[chosen]
            strength = torch.as_tensor(strength, device=x.device, dtype=x.dtype).expand(len(chosen))
            out[chosen] = operation(x[chosen], strength * sign[chosen] if signed else strength).clamp(0, 1)
        x = out
    return x


def color_jitter(x: Tensor, amount: float) -> Tensor:
    """Scale brightness, contrast and saturation of every image by factors in 1 - amount .. 1 + amount."""
    for operation in (brightness, contrast, saturation):
        x = operation(x, (torch.rand(len(x), device=x.device) * 2 - 1) * min(amount, 1.0))
    return x
