"""What a foreign model is, and what it becomes: the common form of all converters.

A converter renames the tensors it finds to these names and describes the rest in an `Origin`:

```
cls_token, dist_token   (1, 1, embed_dim)
registers               (1, register, embed_dim)
positions.embed         (1, placed + patch, embed_dim), in the order cls, dist, registers, patches
patch_embed.proj.*      (embed_dim, channel, height, width), a convolution
blocks.{i}.*, norm.*    as in `models.vit`
head.*, head_dist.*     linear heads; with both, the logits are their average
pre_logits.*            a linear layer before the head, with tanh after it
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from vitrail.adoption.conversion import Row, counted
from vitrail.configs import Readout, Size, ViTConfig
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError

PrefixToken = Literal["cls", "dist", "registers"]
Tensors = dict[str, Tensor]

TOKENS: dict[PrefixToken, str] = {"cls": "cls_token", "dist": "dist_token", "registers": "registers"}
"""By kind, in their order: the names of the tokens before the patches."""

# Of the published ViTs, by width.
_STANDARD_HEADS = {
    **{width: width // 64 for width in (192, 256, 320, 384, 448, 512, 640, 768, 832, 896, 1024, 1536)},
    **{1152: 16, 1280: 16, 1408: 16, 1664: 16},
}


@dataclass(frozen=True)
class Origin:
    """What a foreign model is, beyond its tensors."""

    source: str
    """What messages call it."""
    image_size: Size
    num_heads: int
    norm_eps: float
    readout: tuple[Readout, ...]
    placed: tuple[PrefixToken, ...]
    """The tokens before the patches that have a row in `positions.embed`."""
    final_norm: Literal["tokens", "readout"] = "tokens"
    mlp: Literal["gelu", "swiglu"] = "gelu"
    pos_antialias: bool = True


@dataclass(frozen=True)
class Adopted:
    """A foreign model as ours, before it is built: configuration, weights under our names, and the report."""

    config: ViTConfig
    tensors: Tensors
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    source: str
    rows: tuple[Row, ...]
    """What happened to the tensors that are not plain copies."""
    touched: frozenset[str]
    """Names of the tensors that are not plain copies."""
    original: nn.Module | None = None
    """The foreign model itself, where it is in memory, to compare with."""

    @property
    def wiring(self) -> Literal["verified", "assumed"]:
        return "verified" if any(row.kind == "verified" for row in self.rows) else "assumed"

    @property
    def report(self) -> tuple[Row, ...]:
        """What was copied, resampled, summed, newly initialised, dropped, or assumed because nothing said it."""
        plain = [tensor for name, tensor in self.tensors.items() if name not in self.touched]
        return counted("copied", "as they are", *plain), *self.rows


def standard_heads(width: int, num_heads: int | None) -> int:
    """The number of heads by the width: state dicts do not say it. Raises InputError if the width is not standard."""
    if num_heads is None and width not in _STANDARD_HEADS:
        raise InputError(
            f"these tensors do not say how many attention heads there are, and a width of {width} is not a standard "
            f"one ({', '.join(map(str, sorted(_STANDARD_HEADS)))}): give num_heads (--num-heads)"
        )
    return num_heads or _STANDARD_HEADS[width]


def agreed_heads(found: int, wanted: int | None, source: str) -> int:
    """Raises InputError where another head count was asked for than the source has."""
    if wanted not in (None, found):
        raise InputError(f"{source} has {found} attention heads, not {wanted}: leave num_heads out")
    return found


def native_size(source: str, num_patches: int, patch_size: int, wanted: Size | None) -> Size:
    """The wanted size in pixels where it has this many patches, or else that of a square image of as many.

    Raises:
        InputError: it can be neither.
    """
    if wanted is not None and (wanted[0] // patch_size) * (wanted[1] // patch_size) == num_patches:
        return wanted
    side = math.isqrt(max(num_patches, 0))
    if side and side * side == num_patches:
        return side * patch_size, side * patch_size
    raise InputError(
        f"{source} has positions for {num_patches} patches of {patch_size} pixels, which do not form a square, and "
        "does not say how they are arranged: give the image_size (--image-size) that it was trained for"
    )


def arranged(size: Size, patch_size: int) -> str:
    """How positions are taken to lie, in words, since tensors say only how many there are."""
    return f"positions of {size[0] // patch_size} x {size[1] // patch_size} patches"
