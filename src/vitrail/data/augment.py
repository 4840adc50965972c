"""Augmentation of whole batches on the device, with its own randomness for every image.

All randomness comes from torch's default generator, which the trainer seeds for every step.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from vitrail.configs import AugmentConfig
from vitrail.data.policies import apply_policy, color_jitter
from vitrail.data.preprocessing import Preprocessing


def crop_and_flip(
    images: UInt8[Tensor, "batch channel height width"], pad: int, flip: bool
) -> UInt8[Tensor, "batch channel height width"]:
    """Pad by reflection, crop back at random, mirror at random: one gather per batch, exact pixels."""
    batch, channels, height, width = images.shape
    device = images.device

    def places(length: int) -> Tensor:
        shift = torch.randint(-pad, pad + 1, (batch, 1), device=device)
        index = (torch.arange(length, device=device) + shift).abs()
        return (length - 1) - ((length - 1) - index).abs()

    rows, columns = places(height), places(width)
    if flip:
        mirrored = torch.rand(batch, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    which = rearrange(torch.arange(batch, device=device), "b -> b 1 1 1")
    channel = rearrange(torch.arange(channels, device=device), "c -> 1 c 1 1")
    return images[which, channel, rearrange(rows, "b h -> b 1 h 1"), rearrange(columns, "b w -> b 1 1 w")]


def cutout(images: Float[Tensor, "batch channel height width"], side: int) -> Tensor:
    """Zero (the mean, after normalisation) a square whose centre is uniform over the image.

    An odd side is kept, where the code of DeVries & Taylor (arXiv:1708.04552) covers a pixel less.
    """
    batch, _, height, width = images.shape

    def covered(length: int) -> Tensor:
        centre = torch.randint(length, (batch, 1), device=images.device)
        start = centre - side // 2
        index = torch.arange(length, device=images.device)
        return (index >= start) & (index < start + side)

    hole = rearrange(covered(height), "b h -> b 1 h 1") & rearrange(covered(width), "b w -> b 1 1 w")
    return images.masked_fill(hole, 0)


def mix(
    images: Float[Tensor, "batch channel height width"],
    targets: Float[Tensor, "batch class"],
    mixup: float,
    cutmix: float,
) -> tuple[Tensor, Tensor]:
    """Mix every image with another one of the batch, and the targets in the same proportion.

    Mixup (arXiv:1710.09412) blends; CutMix (arXiv:1905.04899) pastes a rectangle. With both, one is drawn per batch.
    """
    partner = torch.randperm(len(images), device=images.device)
    use_cutmix = cutmix > 0 and (mixup == 0 or bool(torch.rand(()) < 0.5))
    alpha = cutmix if use_cutmix else mixup
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    if use_cutmix:
        height, width = images.shape[-2:]
        cut_height, cut_width = (round(side * (1 - share) ** 0.5) for side in (height, width))
        y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
        rows = slice(max(y - cut_height // 2, 0), min(y - cut_height // 2 + cut_height, height))
        columns = slice(max(x - cut_width // 2, 0), min(x - cut_width // 2 + cut_width, width))
        mixed = images.clone()
        mixed[..., rows, columns] = images[partner][..., rows, columns]
        share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    else:
        mixed = torch.lerp(images[partner], images, share)
    return mixed, torch.lerp(targets[partner], targets, share)


def augment(
    images: UInt8[Tensor, "batch channel height width"], config: AugmentConfig, preprocessing: Preprocessing
) -> Float[Tensor, "batch channel height width"]:
    """Training images, each varied by itself, and normalised. To `mix` them changes what they show: it is not done."""
    if config.crop or config.flip:
        pad = min(config.crop or 0, *(side - 1 for side in images.shape[-2:]))
        images = crop_and_flip(images, pad, bool(config.flip))
    x = images
    policy = config.policy or "none"
    if policy != "none" or config.color_jitter > 0:
        x = images.float() / 255
        if policy != "none":
            x = apply_policy(x, policy, config.policy_version)
        if config.color_jitter > 0:
            x = color_jitter(x, config.color_jitter)
        x = x * 255
    normalized = preprocessing.normalize(x)
    return cutout(normalized, config.cutout) if config.cutout else normalized
