"""Frozen configurations: every choice that affects a result is a field here, and is validated here.

`None` in a field means "chosen automatically, and said". A `RunConfig` has no such field left: it is what
`run.json` stores and all that `resume` needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from vitrail.errors import InputError
from vitrail.validation import (
    check_kinds,
    nearest_divisors,
    nearest_multiples,
    require,
    require_fractions,
    require_positive,
    require_seed,
)

Size = tuple[int, int]
Readout = Literal["cls", "dist", "mean"]

_MOST_THREADS = 1024


def as_size(size: int | Size | list[int]) -> Size:
    """`32` or `(32, 48)` (height, width), as a pair."""
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise InputError(f"image size {size!r}: one or two whole numbers of at least 1 are needed")
    return pair


@dataclass(frozen=True)
class DataConfig:
    """Which images, which of them, and how they become arrays."""

    source: str
    """A name (digits, shapes, mnist, fashion-mnist, cifar10, cifar100) or the path of a folder, .zip or .tar."""
    train_subset: int | None = None
    """Train on this many of the training images."""
    test_subset: int | None = None
    """Test on this many of the test images."""
    subset_order: Literal["stratified", "first"] = "stratified"
    """How a subset is taken: a seeded sample with every class in proportion, or the first images."""
    val_split: Literal["train", "test"] = "train"
    """Validate each epoch on images held out of the training set, or on the test images (the run then says so)."""
    val_fraction: float = 0.1
    """The share of the training set that validates; of all images where they come without a split."""
    split_seed: int = 0
    """Moves subsets and splits; --seed never does."""
    image_size: int | Size | None = None
    """Height and width given to the model. Larger or smaller images: shorter side resized, then centre crop."""
    mean: tuple[float, ...] | None = None
    """Mean per channel of pixels in 0..1 (one number serves all channels); measured on the training images."""
    std: tuple[float, ...] | None = None
    """Standard deviation per channel; measured on the training images."""

    def __post_init__(self) -> None:
        if self.image_size is not None:
            object.__setattr__(self, "image_size", as_size(self.image_size))
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, int | float) else tuple(value))
        check_kinds(self)
        require_positive(self, "train_subset", "test_subset")
        require_seed("split_seed", self.split_seed)
        require(0 < self.val_fraction < 1, f"val_fraction is {self.val_fraction}: it must lie between 0 and 1")
        require(self.mean != () and self.std != (), "mean and std: at least one number is needed for each")
        require(self.std is None or min(self.std) > 0, f"std is {self.std}: every entry must be above 0")


@dataclass(frozen=True)
class ViTConfig:
    """A Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929). The defaults are ViT-Ti/16's."""

    image_size: int | Size = 224
    patch_size: int = 16
    in_channels: int = 3
    num_classes: int = 1000
    embed_dim: int = 192
    """Width of a token (D in the paper)."""
    depth: int = 12
    """Number of encoder blocks (L)."""
    num_heads: int = 3
    mlp_dim: int = 768
    """Width of the MLP's hidden layer."""
    mlp: Literal["gelu", "swiglu"] = "gelu"
    """One hidden layer with GELU, or two that are multiplied, one through SiLU (Shazeer 2020, arXiv:2002.05202)."""
    readout: tuple[Readout, ...] = ("cls",)
    """What the head reads: class token, distillation token, mean of the patches; several are concatenated."""
    pos_embed: Literal["learned", "learned2d", "sincos", "none"] = "learned"
    """One learned vector for each patch, for each row and each column, fixed sines of both, or nothing."""
    pos_init_std: float = 0.02
    """Standard deviation of the position embeddings and the class token at the start."""
    pos_prefix: bool = True
    """Class and distillation token have learned positions too, as the paper has it."""
    pos_antialias: bool = True
    """Smooth learned positions before they are resampled to a coarser grid; checkpoints differ in this."""
    num_registers: int = 0
    """Extra tokens without a position (Darcet et al. 2024, arXiv:2309.16588)."""
    stem: Literal["linear", "conv", "pooled"] = "linear"
    """How patches are embedded: linearly, by strided 3x3 convolutions (Xiao et al. 2021, arXiv:2106.14881), or by
    3x3 convolutions whose results are pooled (Hassani et al. 2021, arXiv:2104.05704)."""
    dropout: float = 0.0
    """Dropout in the MLP, after each of its two layers."""
    attn_dropout: float = 0.0
    """Dropout of the attention weights."""
    embed_dropout: float = 0.0
    """Dropout of the embedded tokens."""
    drop_path: float = 0.0
    """Stochastic depth at the last block, rising linearly from 0 (Huang et al. 2016, arXiv:1603.09382)."""
    layer_scale: float | None = None
    """Start of a learned scale on every residual branch (Touvron et al. 2021, arXiv:2103.17239)."""
    qk_norm: bool = False
    """Normalise queries and keys per head (Dehghani et al. 2023, arXiv:2302.05442)."""
    final_norm: Literal["tokens", "readout"] = "tokens"
    """Normalise every token before the readout (equation 4), or only what the head reads."""
    head: Literal["linear", "tanh", "none"] = "linear"
    """One linear layer, the paper's pre-training head with a hidden tanh layer, or the readout itself."""
    attention_scale: Literal["head", "model"] = "head"
    """Scores are divided by the square root of this width. "model" only reproduces one published listing."""
    attention_init: Literal["xavier", "mimetic"] = "xavier"
    """How attention starts: at random, or near what training leads to (Trockman & Kolter 2023, arXiv:2305.09828)."""
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", as_size(self.image_size))
        object.__setattr__(self, "readout", tuple(self.readout))
        check_kinds(self)
        require_positive(
            self, "patch_size", "in_channels", "num_classes", "embed_dim", "depth", "num_heads", "mlp_dim", "norm_eps"
        )
        require_positive(self, "layer_scale")
        require_fractions(self, "dropout", "attn_dropout", "embed_dropout", "drop_path")
        require(self.num_registers >= 0, f"num_registers is {self.num_registers}: it must be at least 0")
        require(self.pos_init_std >= 0, f"pos_init_std is {self.pos_init_std}: it must be at least 0")
        for side, length in zip(("height", "width"), self.size, strict=True):
            require(
                length % self.patch_size == 0,
                f"image {side} {length} is not a multiple of patch_size {self.patch_size}: use an image {side} of "
                f"{nearest_multiples(length, self.patch_size)}, or a patch_size of "
                f"{nearest_divisors(math.gcd(*self.size), self.patch_size)}",
            )
        require(
            self.embed_dim % self.num_heads == 0,
            f"num_heads {self.num_heads} does not divide embed_dim {self.embed_dim}: use "
            f"{nearest_divisors(self.embed_dim, self.num_heads)} heads, or an embed_dim of "
            f"{nearest_multiples(self.embed_dim, self.num_heads)}",
        )
        require(
            len(self.readout) > 0
            and len(set(self.readout)) == len(self.readout)
            and set(self.readout) <= set(get_args(Readout)),
            f"readout {self.readout}: name one or more of cls, dist, mean, each once",
        )
        require(
            self.head != "none" or self.num_classes == self.readout_dim,
            f"without a head the outputs are the readout: num_classes must be {self.readout_dim}",
        )
        require(
            self.pos_embed != "sincos" or self.embed_dim % 4 == 0,
            f"sincos position embeddings need an embed_dim that 4 divides, not {self.embed_dim}: use "
            f"{nearest_multiples(self.embed_dim, 4)}",
        )
        require(
            self.pos_embed != "learned2d" or self.embed_dim % 2 == 0,
            f"learned2d position embeddings need an even embed_dim, not {self.embed_dim}",
        )
        require(
            self.stem == "linear" or (self.patch_size > 1 and self.patch_size & (self.patch_size - 1) == 0),
            f"the {self.stem} stem halves the image until a patch is one pixel: patch_size {self.patch_size} must be a "
            "power of 2 above 1",
        )

    @property
    def size(self) -> Size:
        """Height and width of the image in pixels."""
        return as_size(self.image_size)

    @property
    def grid(self) -> Size:
        """Height and width of the image in patches."""
        return self.size[0] // self.patch_size, self.size[1] // self.patch_size

    @property
    def num_patches(self) -> int:
        """N = HW / P^2 (section 3.1 of the paper)."""
        return self.grid[0] * self.grid[1]

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def attention_width(self) -> int:
        """Scores are divided by the square root of this."""
        return self.head_dim if self.attention_scale == "head" else self.embed_dim

    @property
    def readout_dim(self) -> int:
        """Width of what the head reads."""
        return self.embed_dim * len(self.readout)


@dataclass(frozen=True)
class CNNConfig:
    """A CNN in stages that each halve the image: plain (VGG-like) or residual (He et al. 2016, arXiv:1512.03385)."""

    image_size: int | Size = 32
    in_channels: int = 3
    num_classes: int = 10
    block: Literal["plain", "residual"] = "plain"
    """Plain: a 3x3 convolution and ReLU, then per stage max-pooling and batch norm. Residual: a basic block."""
    widths: tuple[int, ...] = (32, 64, 128, 128, 256, 256)
    """Channels after each block."""
    blocks_per_stage: int = 2
    hidden: tuple[int, ...] = (1024, 512)
    """Hidden linear layers after the convolutions; none (the residual CNNs) means a global average first."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", as_size(self.image_size))
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_kinds(self)
        require_positive(self, "in_channels", "num_classes", "blocks_per_stage")
        require(
            len(self.widths) > 0 and len(self.widths) % self.blocks_per_stage == 0,
            f"{len(self.widths)} widths do not fill stages of {self.blocks_per_stage} blocks",
        )
        require(min(self.widths + self.hidden) > 0, f"widths {self.widths} and hidden {self.hidden} must be above 0")
        require(
            min(self.size) >= 2**self.num_halvings,
            f"an image of {self.size[0]} x {self.size[1]} cannot be halved {self.num_halvings} times: use at least "
            f"{2**self.num_halvings} pixels, or fewer stages",
        )

    @property
    def size(self) -> Size:
        """Height and width of the image in pixels."""
        return as_size(self.image_size)

    @property
    def num_stages(self) -> int:
        return len(self.widths) // self.blocks_per_stage

    @property
    def num_halvings(self) -> int:
        return self.num_stages if self.block == "plain" else self.num_stages - 1


ModelConfig = ViTConfig | CNNConfig


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training images, drawn per image (mixup and CutMix: one share per batch)."""

    crop: int | None = None
    """Pad by this many pixels (reflecting) and crop back at random; an eighth of images of 16 pixels or more,
    from 5 epochs on."""
    flip: bool | None = None
    """Mirror left and right, half of the time; on for colour images from 5 epochs on."""
    cutout: int = 0
    """Side in pixels of a random square set to the mean (DeVries & Taylor 2017, arXiv:1708.04552)."""
    color_jitter: float = 0.0
    """Brightness, contrast and saturation are each scaled by up to this fraction."""
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    """RandAugment (Cubuk et al. 2020, arXiv:1909.13719) or TrivialAugment (Mueller & Hutter 2021, arXiv:2103.10158)."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (Zhang et al. 2018, arXiv:1710.09412); 0 is off."""
    cutmix: float = 0.0
    """Alpha of CutMix's Beta distribution (Yun et al. 2019, arXiv:1905.04899); 0 is off."""

    def __post_init__(self) -> None:
        check_kinds(self)
        for f in fields(self):
            value = getattr(self, f.name)
            require(
                value is None or isinstance(value, str) or value >= 0,
                f"augment.{f.name} is {value}: it must be at least 0",
            )


NO_AUGMENTATION = AugmentConfig(crop=0, flip=False)


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained. Every `None` is resolved, from configuration and data, before the first step."""

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["adam", "adamw", "sgd", "muon"] | None = None
    """Adam adds the decay to the gradient (L2); AdamW decouples it; Muon takes the weights between a ViT's
    hidden layers and AdamW the rest."""
    lr: float | None = None
    """Peak learning rate."""
    weight_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    """Of SGD; Muon uses 0.95."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """The learning rate after the warm-up: constant, or falling to 0."""
    warmup: float | None = None
    """The share of all steps over which the learning rate rises from 0."""
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    """Scale gradients down to this norm."""
    ema_decay: float | None = None
    """Keep an exponential moving average of the weights, and evaluate and save it."""
    whiten_patches: bool = False
    """A linear stem starts by decorrelating the training images' patches (Jordan 2024, arXiv:2404.00498)."""
    augment: AugmentConfig = AugmentConfig()
    small_side: int | None = None
    """A ViT's first steps see images of this height and width: fewer tokens, more images in the same time (progressive
    resizing, Tan & Le 2021, arXiv:2104.00298, section 4)."""
    small_until: float = 0.5
    """The share of all steps that do, where `small_side` is given."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware multiplies it faster; strided convolutions of a stem stay in float32 on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """auto: where the run is long enough to repay it."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps or xpu; auto: the first CUDA GPU, else the CPU."""
    threads: int | None = None
    """CPU threads; all cores, or one where a step is too small to share."""
    seed: int = 0
    """Moves initialisation, order, dropout and augmentation, never the split."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; one is saved after every epoch in any case."""
    track: Literal["none", "tensorboard"] = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        check_kinds(self)
        require_seed("seed", self.seed)
        require(
            self.threads is None or self.threads <= _MOST_THREADS,
            f"threads is {self.threads}: it must be at most {_MOST_THREADS}",
        )
        require_positive(self, "epochs", "batch_size", "lr", "clip_norm", "threads", "checkpoint_every", "small_side")
        require(
            self.weight_decay is None or self.weight_decay >= 0,
            f"weight_decay is {self.weight_decay}: it must be at least 0",
        )
        require_fractions(self, "label_smoothing", "momentum", "small_until")
        require(
            self.warmup is None or 0 <= self.warmup < 1,
            f"warmup is {self.warmup}: it must be a share of the steps, below 1",
        )
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            f"ema_decay is {self.ema_decay}: it must lie between 0 and 1",
        )
        require(
            len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas),
            f"betas is {self.betas}: it must be two numbers below 1",
        )


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's weights, with nothing left to choose."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    model_name: str = "custom"

    def __post_init__(self) -> None:
        unresolved = [
            name
            for name in ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup", "threads")
            if getattr(self.train, name) is None
        ]
        unresolved += [name for name in ("crop", "flip") if getattr(self.train.augment, name) is None]
        unresolved += [name for name in ("precision", "compile", "device") if getattr(self.train, name) == "auto"]
        require(not unresolved, f"the run configuration leaves {', '.join(unresolved)} open")
        linear = isinstance(self.model, ViTConfig) and self.model.stem == "linear"
        require(
            linear or not self.train.whiten_patches,
            "whiten_patches needs a ViT with a linear stem: use --train.no-whiten-patches",
        )
        small, model = self.train.small_side, self.model
        if small is not None:
            if not isinstance(model, ViTConfig):
                raise InputError(f"small_side is {small}: it needs a ViT; use --train.small-side None")
            require(
                small % model.patch_size == 0 and small < min(model.size),
                f"small_side is {small}: it must be a multiple of the patch size ({model.patch_size}) below the image "
                f"size ({min(model.size)}): use larger images (--image-size), or another --train.small-side",
            )
        require(
            linear or self.train.batch_size != 1,
            "batch norm needs at least two images in a batch: use --batch-size 2 or more",
        )
