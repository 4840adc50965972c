"""How an image becomes patch tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from vitrail.configs import Size
from vitrail.errors import InputError


def patchify(
    images: Shaped[Tensor, "batch channel height width"], patch_size: int
) -> Shaped[Tensor, "batch patch vector"]:
    """Cut images into patches, row by row, each flattened: N = HW/P^2 vectors of P^2 C numbers.

    Section 3.1 of Dosovitskiy et al. (2021). Within a vector the order is channel, row, column: that of a
    convolution's weights, so that a linear map of these vectors is a convolution with stride P.
    """
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch_size, q=patch_size)


def patch_grid(image_size: Sequence[int], patch_size: int) -> Size:
    """Height and width in patches of an image in pixels. Raises InputError where the patch size does not divide it."""
    height, width = image_size
    if height % patch_size or width % patch_size:
        raise InputError(
            f"an image of {height} x {width} cannot be cut into patches of {patch_size}: use multiples of {patch_size}"
        )
    return height // patch_size, width // patch_size


class LinearStem(nn.Module):
    """Patch embedding as the paper has it: flatten each patch and project it (equation 1)."""

    def __init__(self, patch_size: int, in_channels: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Linear(in_channels * patch_size**2, embed_dim)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        return self.proj(patchify(images, self.patch_size))


class ConvStem(nn.Sequential):
    """Convolutions of stride 2 down to one pixel per patch (Xiao et al. 2021, arXiv:2106.14881, section 4)."""

    def __init__(self, patch_size: int, in_channels: int, embed_dim: int) -> None:
        halvings = patch_size.bit_length() - 1
        widths = [in_channels, *(max(embed_dim >> (halvings - i), 8) for i in range(halvings))]
        layers = [layer for pair in pairwise(widths) for layer in _convolution(*pair, stride=2)]
        super().__init__(*layers, nn.Conv2d(widths[-1], embed_dim, kernel_size=1))
        self.hidden_matrices = _convolutions_but_the_first(self)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        *layers, last = self
        # On a CPU in bf16, a strided convolution's gradient takes ten times as long as soon as another program runs:
        # its threads wait for each other spinning. In float32, with a pixel's channels side by side, it does not.
        x, on_cpu = images, images.device.type == "cpu"
        if on_cpu:
            x = images.to(next(self.parameters()).dtype, memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
            for layer in layers:
                x = layer(x)
        return rearrange(last(x), "b d h w -> b (h w) d")


class PooledStem(nn.Sequential):
    """Convolutions whose results are halved by overlapping maxima, down to one pixel per patch.

    The tokenizer of Hassani et al. (2021), arXiv:2104.05704, "Convolutional Tokenizer", with batch norm, another
    convolution after every pooling, and a quarter of the channels where there are four times the pixels, but at least
    16. It is more of a convolutional network than `ConvStem` is, and learns more in a short time or of few images.
    """

    def __init__(self, patch_size: int, in_channels: int, embed_dim: int) -> None:
        halvings = patch_size.bit_length() - 1
        widths = [in_channels, *(max(embed_dim >> 2 * (halvings - i), 16) for i in range(1, halvings)), embed_dim]
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            layers += [*_convolution(width_in, width_out), pool, *_convolution(width_out, width_out)]
        super().__init__(*layers)
        self.hidden_matrices = _convolutions_but_the_first(self)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch patch dim"]:
        # Convolutions run faster when a pixel's channels lie side by side.
        x = images.to(next(self.parameters()).dtype, memory_format=torch.channels_last)
        return rearrange(super().forward(x), "b d h w -> b (h w) d")


def _convolution(width_in: int, width_out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(width_in, width_out, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
    )


def _convolutions_but_the_first(layers: nn.Sequential) -> dict[str, int]:
    """Every kernel is a row of a matrix. The first convolution sees pixels, and is not a hidden layer."""
    convolutions = [name for name, layer in layers.named_children() if isinstance(layer, nn.Conv2d)]
    return dict.fromkeys(convolutions[1:], 1)


STEMS = {"linear": LinearStem, "conv": ConvStem, "pooled": PooledStem}
