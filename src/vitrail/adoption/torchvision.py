"""torchvision's VisionTransformer (`vit_b_16` and its like): an object, or a state dict alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vitrail.adoption.assembly import assemble
from vitrail.adoption.conversion import Row, refuse_leftover, unknown
from vitrail.adoption.naming import renamed, require_names
from vitrail.adoption.origin import Adopted, Origin, Tensors, agreed_heads, arranged, native_size, standard_heads
from vitrail.adoption.pictures import IMAGENET, preprocessing
from vitrail.configs import Size

_LAYER = r"encoder\.layers\.encoder_layer_(\d+)\."
_ENDS = r"\.(weight|bias)"
_RULES = {
    "class_token": "cls_token",
    r"encoder\.pos_embedding": "positions.embed",
    r"conv_proj" + _ENDS: r"patch_embed.proj.\1",
    _LAYER + r"ln_([12])" + _ENDS: r"blocks.\1.norm\2.\3",
    _LAYER + r"self_attention\.in_proj_(weight|bias)": r"blocks.\1.attn.qkv.\2",
    _LAYER + r"self_attention\.out_proj" + _ENDS: r"blocks.\1.attn.proj.\2",
    _LAYER + r"mlp\.(?:0|linear_1)" + _ENDS: r"blocks.\1.mlp.fc1.\2",
    _LAYER + r"mlp\.(?:3|linear_2)" + _ENDS: r"blocks.\1.mlp.fc2.\2",
    r"encoder\.ln" + _ENDS: r"norm.\1",
    r"heads\.pre_logits" + _ENDS: r"pre_logits.\1",
    # People put a linear layer of their own in the place of all heads.
    r"heads\.(?:head\.|\d\.)?(weight|bias)": r"head.\1",
}


def recognises(tensors: Mapping[str, Tensor]) -> bool:
    return "class_token" in tensors and any(name.startswith("conv_proj.") for name in tensors)


def from_model(model: nn.Module, num_heads: int | None = None) -> Adopted:
    """A torchvision VisionTransformer. Raises InputError where our ViT lacks a part of it."""
    net: Any = model
    source = "torchvision's VisionTransformer"
    if not isinstance(net.conv_proj, nn.Conv2d):
        unknown(f"{source} has convolutions before the patches (conv_stem_configs)")
    norms = [net.encoder.ln, *(norm for layer in net.encoder.layers for norm in (layer.ln_1, layer.ln_2))]
    kinds = {(type(norm).__name__, getattr(norm, "eps", None)) for norm in norms}
    if len(kinds) > 1 or type(norms[0]).__name__ != "LayerNorm":
        unknown(f"{source} has the norms {sorted(kinds, key=str)}")
    activations = {type(layer.mlp[1]).__name__ for layer in net.encoder.layers}
    if activations != {"GELU"}:
        unknown(f"{source} has the activation {' and '.join(sorted(activations))}")
    heads = agreed_heads(net.encoder.layers[0].num_heads, num_heads, source)
    adopted = _adopted(source, net.state_dict(), heads, (net.image_size, net.image_size), norms[0].eps, [])
    return dataclasses.replace(adopted, original=model)


def from_tensors(
    tensors: Mapping[str, Tensor], num_heads: int | None = None, image_size: Size | None = None
) -> Adopted:
    """A state dict by torchvision's names.

    `num_heads` is needed where the width is not a standard one. Raises InputError, see `assemble`.
    """
    source = "this state dict (by torchvision's names)"
    known = _known(source, tensors)
    patches = known["patch_embed.proj.weight"]
    size = native_size(source, known["positions.embed"].shape[1] - 1, patches.shape[-1], image_size)
    heads = standard_heads(len(patches), num_heads)
    assumed = f"{heads} heads, norm_eps 1e-06, {arranged(size, patches.shape[-1])}"
    rows = [Row("assumed", f"{assumed}, as in torchvision's: tensors do not say it")]
    return _adopted(source, tensors, heads, size, 1e-6, rows)


def _known(source: str, tensors: Mapping[str, Tensor]) -> Tensors:
    known, rest = renamed(tensors, _RULES)
    refuse_leftover(source, rest)
    require_names(source, known, "patch_embed.proj.weight", "positions.embed")
    return known


def _adopted(
    source: str, tensors: Mapping[str, Tensor], num_heads: int, size: Size, norm_eps: float, rows: list[Row]
) -> Adopted:
    known = _known(source, tensors)
    channels = known["patch_embed.proj.weight"].shape[1]
    # Those of more than 224 pixels (SWAG, end to end) see whole pictures.
    crop, method = (0.875, "bilinear") if max(size) <= 224 else (1.0, "bicubic")
    pictures, picture_rows = preprocessing(size, channels, *IMAGENET, crop=crop, interpolation=method)
    usual = Row("assumed", f"torchvision's usual preprocessing: crop {crop:g}, {method}, mean and std of ImageNet")
    origin = Origin(source, size, num_heads, norm_eps, readout=("cls",), placed=("cls",))
    return assemble(origin, known, [*rows, usual, *picture_rows], pictures, None)
