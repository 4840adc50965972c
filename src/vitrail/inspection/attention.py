"""What can be read from attention weights: how they add up over layers, and how far they reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.configs import Readout
from vitrail.errors import InputError
from vitrail.models.build import Model
from vitrail.models.grid import TokenGrid

_FUSIONS = ("mean", "max", "min")


def layer_weights(
    model: Model,
    layer: int,
    q: Float[Tensor, "batch head token dim"],
    k: Float[Tensor, "batch head token dim"],
    heads: list[int] | slice = slice(None),
    queries: slice = slice(None),
) -> Float[Tensor, "batch _ _ token"]:
    """How much these queries of an attention layer attend to every key, by q and k as tapped; rows sum to one."""
    attention: Any = model.get_submodule(f"blocks.{layer}.attn")
    return attention.weights(q, k, heads, queries)


def fuse(weights: Float[Tensor, "batch head query key"], fusion: str = "mean") -> Float[Tensor, "batch query key"]:
    """One attention of several heads: their mean, largest or smallest weight. Rows of the last two do not sum to one.

    Raises InputError for another name.
    """
    if fusion not in _FUSIONS:
        raise InputError(f"head fusion {fusion!r}: use one of {', '.join(_FUSIONS)}")
    return weights.mean(dim=1) if fusion == "mean" else getattr(weights, f"a{fusion}")(dim=1)


def rollout(
    layers: Iterable[Float[Tensor, "batch head query key"]], fusion: str = "mean", discard: float = 0.0
) -> Float[Tensor, "batch query key"]:
    """How much of every input token reaches every output token, if attention and residual were all there is.

    The product over layers of (A + I) / 2 with rows brought back to sum one (Abnar & Zuidema 2020,
    arXiv:2005.00928, section 3). Before that, the smallest weights of each image and layer, a share of `discard`,
    are set to zero. By choice different elsewhere: vit-explain divides columns, not rows, which matters for the largest
    weight over heads and for what is discarded; fast-vit-rollout discards after the identity was added. With the
    largest weight and a share of 0.9, LeRF - MoRF on digits is 0.41 here, 0.38 and 0.41 there.

    Raises InputError for a share outside 0 to 1, or an unknown fusion.
    """
    if not 0 <= discard < 1:
        raise InputError(f"the share of weights to discard is {discard}: it must be at least 0 and below 1")
    total: Tensor | None = None
    for weights in layers:
        # In double precision, so that rows still sum to one after many layers.
        fused = fuse(weights, fusion).cpu().double()
        if discard > 0:
            fused = _without_smallest(fused, discard)
        mixed = fused + torch.eye(fused.shape[-1]).to(fused)
        mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        total = mixed if total is None else mixed @ total
    if total is None:
        raise InputError("rollout needs at least one layer")
    return total.float()


def _without_smallest(weights: Float[Tensor, "batch query key"], share: float) -> Float[Tensor, "batch query key"]:
    flat = weights.flatten(1)
    smallest = flat.topk(int(share * flat.shape[1]), dim=1, largest=False).indices
    return flat.scatter(1, smallest, 0.0).view_as(weights)


def readout_row(
    mixed: Float[Tensor, "batch query key"], readout: Sequence[Readout], grid: TokenGrid
) -> Float[Tensor, "batch row column"]:
    """What the head's readout takes from every patch: the class token's row, the mean of the patches' rows, or the
    mean of several.
    """
    names = {"cls": "class", "dist": "distillation"}
    rows = [
        mixed[:, grid.num_prefix :].mean(dim=1) if token == "mean" else mixed[:, grid.prefix.index(names[token])]
        for token in readout
    ]
    return grid.patches(torch.stack(rows).mean(dim=0))


def attention_distance(weights: Float[Tensor, "batch head query key"], grid: TokenGrid) -> Float[Tensor, " head"]:
    """Mean distance in pixels between a patch and what it attends to (Dosovitskiy et al. 2021, figure 7 right).

    Class token and registers are dropped from queries and keys, the rest of each row brought to sum one (left as it is,
    as elsewhere, what goes to them counts as no distance: 3.7 instead of 3.9 pixels on digits); a patch's distance to
    itself, 0, is counted. Uniform attention gives the mean distance between patches. A patch that looks
    at none has no distance and is left out; NaN where that is so of all.
    """
    among = weights[..., grid.num_prefix :, grid.num_prefix :]
    far = (among * grid.distances().to(among)).sum(dim=-1)
    return (far / among.sum(dim=-1)).nanmean(dim=(0, 2))
