"""What tensors by timm's names cannot say, and where the published models that have these names agree on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

from vitrail.adoption.conversion import unknown
from vitrail.configs import Readout
from vitrail.errors import InputError

CHOOSE = "give the one that it is like (--like timm:NAME), or load it into its model and give that object"


def ask(source: str, doubt: str) -> NoReturn:
    """Raises InputError for weights that could be wired in several ways."""
    raise InputError(f"{source} {doubt}: {CHOOSE}")


def readout_of(source: str, names: Iterable[str]) -> tuple[Readout, ...]:
    """What the head reads, where every published model of timm with these names is wired alike: pre-norm, exact GELU.

    Raises InputError, which names the possible ones, where they are not, and where no published model has these names.
    """
    has = frozenset(re.sub(r"blocks\.\d+\.", "", name) for name in names).__contains__
    classed, scaled = has("cls_token"), has("ls1.gamma") or has("gamma_1")
    registers, outer = has("reg_token") or has("register_tokens"), has("fc_norm.weight")
    if not has("pos_embed"):
        unknown(f"{source} has no positions, so that they are probably rotary, as in DINOv3")
    if not has("attn.qkv.bias"):
        ask(
            source,
            "has no attn.qkv.bias: it may have been without one (like timm:vit_base_patch16_224_miil or "
            "timm:vit_medium_patch16_gap_256), have its norms behind the blocks (like timm:vit_base_patch16_rpn_224), "
            "or be incomplete",
        )
    if has("gamma_1"):
        ask(
            source,
            "may have learned positions alone (like timm:deit3_base_patch16_224), or rotary ones too (like "
            "timm:vit_base_patch16_rope_ape_224)",
        )
    if has("mlp.fc1_g.weight"):
        ask(source, "has a gated MLP in three parts, whose gate may have any activation")
    if classed:
        if has("dist_token") and not (outer or scaled or registers):
            return ("cls", "dist")
        if not (outer or has("dist_token")) and (scaled or not registers):
            return ("cls",)
        if outer and not (scaled or registers or has("dist_token")):
            return ("mean",)
    elif has("reg_token") and (outer or not scaled):
        return ("mean",)
    elif not outer and not scaled:
        ask(
            source,
            "may have 12 or 16 heads, and GELU or its tanh approximation (like timm:vit_base_patch16_gap_224, "
            "timm:vit_base_patch16_siglip_gap_224 or timm:vit_base_patch32_siglip_gap_256)",
        )
    ask(source, "has tensors as no published model of timm: it may read the class token or the mean of the patches")
