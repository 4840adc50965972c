"""Named model configurations, each with its source. Sizes that depend on the data (image size, channels,
number of classes) are the source's here, and the data's when training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from vitrail.configs import CNNConfig, ModelConfig, ViTConfig
from vitrail.errors import InputError, nearest

_of_cifar10 = partial(ViTConfig, image_size=32, patch_size=4, num_classes=10)
_of_digits = partial(ViTConfig, image_size=8, patch_size=2, in_channels=1, num_classes=10)


def vit_compare() -> ViTConfig:
    """A small ViT for 32-pixel images: patch 4, width 256, 6 layers, dropout 0.2.

    The ViT of a published comparison with the CNN of `cnn-compare` on CIFAR-10 (180 epochs: 77 % test). It does not
    say how positions start: 0.5 here, since 8,000 MNIST images for 3 epochs give 94.9 % with it, and 80.1 % with 0.02.
    """
    return _of_cifar10(embed_dim=256, depth=6, num_heads=8, mlp_dim=512, dropout=0.2, pos_init_std=0.5)


def cnn_compare() -> CNNConfig:
    """A plain six-convolution CNN for 32-pixel images with a hidden layer of 1024 and one of 512.

    The CNN of the same published comparison as `vit-compare` (89 % test on CIFAR-10).
    """
    widths = (32, 64, 128, 128, 256, 256)
    return CNNConfig(image_size=32, num_classes=10, widths=widths, blocks_per_stage=2, hidden=(1024, 512))


def vit_annotated() -> ViTConfig:
    """The CPU-sized ViT of a published annotated walk-through: patch 4, width 64, 7 layers.

    Attention dropout 0.1, class token and positions from N(0, 1), and scores scaled by the width of the model
    instead of the head's, as its listing has it.
    """
    return _of_cifar10(
        embed_dim=64, depth=7, num_heads=8, mlp_dim=256, attn_dropout=0.1, pos_init_std=1.0, attention_scale="model"
    )


def vit_annotated_listed() -> ViTConfig:
    """The parameters that the same walk-through lists: width 256, 12 layers, hidden 3072, dropout 0.1.

    With 8 heads, since the 12 that it lists do not divide 256.
    """
    return _of_cifar10(embed_dim=256, depth=12, num_heads=8, mlp_dim=3072, dropout=0.1)


def vit_b16_10() -> ViTConfig:
    """ViT-B/16 at 224 with 10 classes: MLP dropout 0.1, none in attention, 0.1 on the embeddings.

    Base of Dosovitskiy et al. (2021), table 1, with the regularisation of its table 3.
    """
    return replace(vit_b16(), num_classes=10, dropout=0.1, embed_dropout=0.1)


def vit_ti16() -> ViTConfig:
    """ViT-Ti/16 at 224: DeiT-Ti of Touvron et al. (2021), arXiv:2012.12877, table 1."""
    return ViTConfig(embed_dim=192, depth=12, num_heads=3, mlp_dim=768)


def vit_s16() -> ViTConfig:
    """ViT-S/16 at 224: DeiT-S of Touvron et al. (2021), arXiv:2012.12877, table 1."""
    return ViTConfig(embed_dim=384, depth=12, num_heads=6, mlp_dim=1536)


def vit_b16() -> ViTConfig:
    """ViT-B/16 at 224: Base of Dosovitskiy et al. (2021), arXiv:2010.11929, table 1."""
    return ViTConfig(embed_dim=768, depth=12, num_heads=12, mlp_dim=3072)


def vit_l16() -> ViTConfig:
    """ViT-L/16 at 224: Large of Dosovitskiy et al. (2021), arXiv:2010.11929, table 1."""
    return ViTConfig(embed_dim=1024, depth=24, num_heads=16, mlp_dim=4096)


def vit_h14() -> ViTConfig:
    """ViT-H/14 at 224: Huge of Dosovitskiy et al. (2021), arXiv:2010.11929, table 1."""
    return ViTConfig(patch_size=14, embed_dim=1280, depth=32, num_heads=16, mlp_dim=5120)


def vit_digits() -> ViTConfig:
    """What the demo trains: 8-pixel digits in 16 patches of 2, width 64, 4 layers.

    Vitrail's own. Positions start at a standard deviation of 1: patches of four pixels say little without them.
    """
    return _of_digits(embed_dim=64, depth=4, num_heads=4, mlp_dim=128, pos_init_std=1.0)


def cnn_digits() -> CNNConfig:
    """What the demo compares with: two stages of two convolutions and a hidden layer of 128. Vitrail's own."""
    return CNNConfig(image_size=8, in_channels=1, widths=(32, 32, 64, 64), blocks_per_stage=2, hidden=(128,))


def vit_32() -> ViTConfig:
    """The default for images of 9 to 36 pixels: patch 4 through four pooled convolutions, width 256, 3 layers.

    Vitrail's own, of the recipe `cifar10-90`: 90 % validation accuracy on CIFAR-10.
    """
    return _of_cifar10(
        embed_dim=256,
        depth=3,
        num_heads=4,
        mlp_dim=512,
        stem="pooled",
        readout=("mean",),
        pos_embed="sincos",
        qk_norm=True,
        attention_init="mimetic",
    )


def vit_photo() -> ViTConfig:
    """The default for photographs: `vit-32` at 64 pixels in patches of 8; minutes on a laptop, not hours."""
    return replace(vit_32(), image_size=64, patch_size=8)


def resnet18() -> CNNConfig:
    """ResNet-18 for 32-pixel images: a 3x3 stem without pooling, four stages of two basic blocks.

    He et al. (2016), arXiv:1512.03385, table 1, with the small-image stem that is customary on CIFAR-10.
    """
    widths = (64, 64, 128, 128, 256, 256, 512, 512)
    return CNNConfig(image_size=32, block="residual", widths=widths, blocks_per_stage=2, hidden=())


_BUILDERS: tuple[Callable[[], ModelConfig], ...] = (
    *(vit_compare, cnn_compare, vit_annotated, vit_annotated_listed, vit_b16_10),
    *(vit_ti16, vit_s16, vit_b16, vit_l16, vit_h14, vit_digits, cnn_digits, vit_32, vit_photo, resnet18),
)
PRESETS = {build.__name__.replace("_", "-"): build for build in _BUILDERS}


def preset(name: str) -> ModelConfig:
    """The configuration of that name. Raises InputError with the nearest names for an unknown one."""
    if name not in PRESETS:
        raise InputError(f"unknown model {name!r}: {nearest(name, PRESETS)}")
    return PRESETS[name]()
