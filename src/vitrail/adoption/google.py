"""The `.npz` files that Google published: those of the ViT and AugReg papers, and those of big_vision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from vitrail.adoption.assembly import assemble, require_biases
from vitrail.adoption.conversion import Row, refuse_leftover, unknown
from vitrail.adoption.naming import joined, renamed, require_names
from vitrail.adoption.origin import Adopted, Origin, agreed_heads, arranged, native_size
from vitrail.adoption.pictures import HALF, preprocessing
from vitrail.configs import Readout, Size

_LAYER = r"Transformer/encoderblock_(\d+)/"
_ATTENTION = _LAYER + r"MultiHeadDotProductAttention_\d/"
_MLP = _LAYER + r"MlpBlock_\d/"
# In JAX's trees, numbers count the modules of a block by order of creation: of all kinds together in the first
# generation of files, of each kind in the second.
_RULES = {
    "cls": "cls_token",
    r"(?:Transformer/posembed_input/)?pos_embedding": "positions.embed",
    r"embedding/(kernel|bias)": r"patch_embed.proj.\1",
    _LAYER + r"LayerNorm_0/(scale|bias)": r"blocks.\1.norm1.\2",
    _LAYER + r"LayerNorm_[12]/(scale|bias)": r"blocks.\1.norm2.\2",
    _ATTENTION + r"(query|key|value)/(kernel|bias)": r"blocks.\1.attn.\2.\3",
    _ATTENTION + r"out/(kernel|bias)": r"blocks.\1.attn.proj.\2",
    _MLP + r"Dense_0/(kernel|bias)": r"blocks.\1.mlp.fc1.\2",
    _MLP + r"Dense_1/(kernel|bias)": r"blocks.\1.mlp.fc2.\2",
    r"Transformer/encoder_norm/(scale|bias)": r"norm.\1",
    r"(head|pre_logits)/(kernel|bias)": r"\1.\2",
}


def from_arrays(
    arrays: Mapping[str, NDArray[Any]], num_heads: int | None = None, image_size: Size | None = None
) -> Adopted:
    """The arrays of a `.npz` file, by name, with or without a prefix such as `params/`.

    A hidden layer before the head (`pre_logits`) is followed by tanh, as in the code that the files come from.
    `image_size` in pixels is needed where the patches do not form a square. Raises InputError, see `assemble`.
    """
    source = "this .npz"
    bare = {re.sub(r"^(?:opt/target/|params/(?:img/)?)", "", name): array for name, array in arrays.items()}
    if odd := [name for name, array in bare.items() if array.dtype.kind != "f"]:
        unknown(f"{source} has {odd[0]} as {bare[odd[0]].dtype}")
    flat = _one_per_block({name: torch.from_numpy(np.asarray(a, dtype=np.float32)) for name, a in bare.items()})
    named, rest = renamed(flat, _RULES)
    refuse_leftover(source, rest)
    require_names(source, named, "patch_embed.proj.kernel", "positions.embed", "blocks.0.attn.query.kernel")
    heads = named["blocks.0.attn.query.kernel"].shape[1]
    known = joined(dict(map(_as_torch, named.items())), ("attn.query", "attn.key", "attn.value"), "attn.qkv")

    require_biases(source, known, "take the file as it was published")
    patch_size, classed = known["patch_embed.proj.weight"].shape[-1], "cls_token" in known
    positions = known["positions.embed"].shape[1]
    # In the first generation the class token has a position too; in the second it has none.
    placed = classed and "pos_embedding" not in bare
    size = native_size(source, positions - placed, patch_size, image_size)
    readout: tuple[Readout, ...] = ("cls",) if classed else ("mean",)
    origin = Origin(
        source,
        image_size=size,
        num_heads=agreed_heads(heads, num_heads, source),
        norm_eps=1e-6,
        readout=readout,
        placed=("cls",) if placed else (),
    )
    pictures, rows = preprocessing(size, known["patch_embed.proj.weight"].shape[1], *HALF, fit="stretch")
    usual = Row(
        "assumed",
        "norm_eps 1e-06; exact GELU, where JAX has its tanh approximation; "
        f"{arranged(size, patch_size)}; pictures stretched to their size, pixels in -1..1",
    )
    return assemble(origin, known, [usual, *rows], pictures, None)


def _one_per_block(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Files of models whose blocks were one loop hold all blocks in one array."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("Transformer/encoderblock/"):
            result |= {name.replace("encoderblock/", f"encoderblock_{i}/"): part for i, part in enumerate(tensor)}
        else:
            result[name] = tensor
    return result


def _as_torch(item: tuple[str, Tensor]) -> tuple[str, Tensor]:
    """JAX multiplies from the right and keeps heads apart: our names and shapes."""
    name, tensor = item
    name = re.sub(r"\.(kernel|scale)$", ".weight", name)
    if re.search(r"attn\.(query|key|value)\.weight", name):
        return name, rearrange(tensor, "d head q -> (head q) d").contiguous()
    if re.search(r"attn\.(query|key|value)\.bias", name):
        return name, rearrange(tensor, "head q -> (head q)")
    if name.endswith("attn.proj.weight"):
        return name, rearrange(tensor, "head q d -> d (head q)").contiguous()
    if name == "patch_embed.proj.weight":
        return name, rearrange(tensor, "p q c d -> d c p q").contiguous()
    if re.search(r"(mlp\.fc[12]|head|pre_logits)\.weight", name):
        return name, tensor.T.contiguous()
    return name, tensor
