"""Which model a run is of: a Vision Transformer or a CNN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vitrail.configs.validation import (
    Size,
    as_size,
    check_kinds,
    nearest_divisors,
    nearest_multiples,
    require,
    require_fractions,
    require_not_negative,
    require_positive,
)

Readout = Literal["cls", "dist", "mean"]


@dataclass(frozen=True)
class ViTConfig:
    """A Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929). The defaults are ViT-Ti/16's."""

    kind = "ViT"
    description = "A Vision Transformer"
    has = frozenset({"tokens", "attention"})
    """What an attribution method or a figure may need of a model; see `CNNConfig.has`."""
    channels_last = False

    image_size: int | Size = 224
    """Height and width in pixels."""
    patch_size: int = 16
    """Height and width of a patch in pixels (P)."""
    in_channels: int = 3
    """As the images have; the data decides."""
    num_classes: int = 1000
    """The data decides."""
    embed_dim: int = 192
    """Width of a token (D in the paper)."""
    depth: int = 12
    """Number of encoder blocks (L)."""
    num_heads: int = 3
    """Heads of every attention (k)."""
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
    """Start of a learned scale on every residual branch (Touvron et al. 2021, arXiv:2103.17239) [off]"""
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
    """Added to the variance in every layer norm."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", as_size(self.image_size))
        object.__setattr__(self, "readout", tuple(self.readout))
        check_kinds(self)
        require_positive(self, "patch_size", "in_channels", "num_classes", "embed_dim", "depth", "num_heads", "mlp_dim")
        require_positive(self, "norm_eps", "layer_scale")
        require_fractions(self, "dropout", "attn_dropout", "embed_dropout", "drop_path")
        require_not_negative(self, "num_registers", "pos_init_std")
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
    def cuts_patches(self) -> bool:
        """Whether a token is embedded from its patch alone; convolutions mix in what lies around it."""
        return self.stem == "linear"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the tap from input to output, of all that has a place in the image."""
        return ("embed", *(f"blocks.{i}" for i in range(self.depth)))

    @property
    def feature_layer(self) -> str:
        """The one of `layers` for Grad-CAM: what enters the last block, after which a class token has no gradient by
        the patches."""
        return self.layers[-2]

    @property
    def heads(self) -> tuple[int, ...]:
        """How many every attention layer has."""
        return (self.num_heads,) * self.depth

    @property
    def prefix_tokens(self) -> tuple[str, ...]:
        """Names of the tokens before the patches."""
        names = {"cls": "class", "dist": "distillation"}
        registers = (f"register {i + 1}" for i in range(self.num_registers))
        return (*(name for token, name in names.items() if token in self.readout), *registers)

    @property
    def num_placed_prefix(self) -> int:
        """Class and distillation token: those before the patches that can have a position; registers have none."""
        return sum(token in self.readout for token in ("cls", "dist"))

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

    kind = "CNN"
    description = "A convolutional network"
    has = frozenset({"stages"})
    """"stages" of feature maps that grow coarser; no "tokens", of which the head could read those of any layer, and no
    "attention" between them."""
    channels_last = True
    """Convolutions run faster when a pixel's channels lie side by side."""
    patch_size, embed_dim, cuts_patches = None, None, False
    heads, readout = (), ()

    image_size: int | Size = 32
    """Height and width in pixels."""
    in_channels: int = 3
    """As the images have; the data decides."""
    num_classes: int = 10
    """The data decides."""
    block: Literal["plain", "residual"] = "plain"
    """Plain: a 3x3 convolution and ReLU, then per stage max-pooling and batch norm. Residual: a basic block."""
    widths: tuple[int, ...] = (32, 64, 128, 128, 256, 256)
    """Channels after each block."""
    blocks_per_stage: int = 2
    """Blocks before the image is halved."""
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
    def layers(self) -> tuple[str, ...]:
        """As `ViTConfig.layers`."""
        return tuple(f"stages.{i}" for i in range(self.num_stages))

    @property
    def feature_layer(self) -> str:
        """As `ViTConfig.feature_layer`: the last stage."""
        return self.layers[-1]

    @property
    def num_stages(self) -> int:
        return len(self.widths) // self.blocks_per_stage

    @property
    def num_halvings(self) -> int:
        return self.num_stages if self.block == "plain" else self.num_stages - 1


ModelConfig = ViTConfig | CNNConfig
