"""What a model's filters, tokens and feature maps look like, and what its head would make of them on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitrail.configs import Size
from vitrail.errors import InputError
from vitrail.inspection.batches import Images, Inspected, bare, forward, in_batches
from vitrail.models.build import Model, evaluating
from vitrail.models.grid import TokenGrid

_BATCH = 64
_CLIPPED = 0.01
"""The share of patches at either end that get the end of the colour scale, so that outliers do not set it."""
_DEVIATIONS = 8.0
_LEAST_RATIO = 2.0


@dataclass(frozen=True, eq=False)
class PatchFilters:
    """What the first layer looks for, the most important first."""

    filters: Float[Tensor, "filter channel height width"]
    """Each of length one; of a principal component, whose sign is arbitrary, the largest weight is positive."""
    explained: Float[Tensor, " filter"]
    """The share of the layer's squared weights that is along each; all of them sum to one."""


def patch_filters(model: Inspected, count: int | None = None) -> PatchFilters:
    """Principal components of the patch embedding (Dosovitskiy et al. 2021, figure 7 left), or a CNN's first kernels.

    The components are the right singular vectors of the embedding's matrix (token channels, pixels of a patch): the
    orthogonal patterns that patches are compared with, in the order of how strongly they drive the token. The mean
    filter is not taken off, because a filter and its negative tell the layers behind the same. Of a convolutional
    stem or a CNN they are the kernels of the first convolution, by length, with their signs: what follows is not
    linear. A kernel of all zeros stays so.

    Raises:
        InputError: a count below 1. A count above what there is gives all.
    """
    if count is not None and count < 1:
        raise InputError(f"{count} patch filters were asked for: at least 1")
    net = bare(model)
    first = next(module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    weight = first.weight.detach().cpu().double()
    if net.config.cuts_patches:
        _, strength, components = torch.linalg.svd(weight, full_matrices=False)
        largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        components = torch.where(largest < 0, -components, components)
        filters = rearrange(components, "n (c p q) -> n c p q", p=net.config.patch_size, q=net.config.patch_size)
    else:
        strength, order = weight.flatten(1).norm(dim=1).sort(descending=True, stable=True)
        filters = weight[order] / strength.clamp_min(torch.finfo(torch.float64).tiny)[:, None, None, None]
    explained = strength.square() / strength.square().sum()
    return PatchFilters(filters[:count].float(), explained[:count].float())


def token_pca(
    tokens: Float[Tensor, "batch layer token dim"], grid: TokenGrid
) -> Float[Tensor, "batch layer height width 3"]:
    """Patch tokens as colours: their first three principal components as red, green and blue, in 0..1.

    Components, scale and so colours are shared by all images of a layer: like colours are like tokens. The lowest
    and the highest 1 % of a layer's patches have the ends of the scale. A component's sign is arbitrary; from layer
    to layer it is chosen such that the same patches are bright (in the first: that its largest weight is positive).
    A component that there is not, where all tokens of a layer are alike, is 0.5.
    """
    colours = []
    before: Tensor | None = None
    for layer in tokens.unbind(dim=1):
        patches = rearrange(layer[:, grid.num_prefix :], "b n d -> (b n) d").double()
        scores = _principal_scores(patches - patches.mean(dim=0))
        if before is not None:
            scores = torch.where((scores * before).sum(dim=0) < 0, -scores, scores)
        before = scores
        low, high = scores.quantile(torch.tensor([_CLIPPED, 1 - _CLIPPED], dtype=torch.float64), dim=0)
        scaled = torch.where(high > low, (scores - low) / (high - low), 0.5).clamp(0, 1)
        colours.append(rearrange(scaled, "(b h w) c -> b h w c", h=grid.height, w=grid.width))
    return torch.stack(colours, dim=1).float()


def _principal_scores(centred: Float[Tensor, "patch dim"]) -> Float[Tensor, "patch 3"]:
    values, vectors = torch.linalg.eigh(centred.mT @ centred)
    first = vectors[:, -3:].flip(1)
    # What is left by rounding alone is not a component.
    exists = values[-3:].flip(0) > torch.finfo(torch.float32).eps ** 2 * max(float(values[-1]), 0)
    largest = first.gather(0, first.abs().argmax(dim=0, keepdim=True))
    scores = centred @ torch.where(largest < 0, -first, first) * exists
    return nn.functional.pad(scores, (0, 3 - scores.shape[1]))


def token_norms(tokens: Float[Tensor, "batch layer token dim"]) -> Float[Tensor, "batch layer token"]:
    """Euclidean length of every token."""
    return tokens.norm(dim=-1)


class Outlier(NamedTuple):
    """A token by its place in (batch, layer, token)."""

    image: int
    layer: int
    token: int


def outlier_mask(
    norms: Float[Tensor, "batch layer token"], grid: TokenGrid, deviations: float = _DEVIATIONS
) -> Bool[Tensor, "batch layer token"]:
    """Patch tokens far longer than the others of their layer, as those that ViTs keep global information in.

    Darcet et al. (2024), arXiv:2309.16588, section 2.1, who cut at a length read off a histogram. Here a patch is an
    outlier above median + `deviations` * MAD, the median absolute deviation, both over the patches of all images in
    that layer, and above twice the median. 8 MAD are 5.4 standard deviations of a normal distribution: of 30 million
    normally distributed lengths, one is beyond. Where most patches are blank, the MAD is nearly 0 and all others are
    beyond, so that it alone says little. Class token and registers neither count nor are outliers.
    """
    patches = norms[..., grid.num_prefix :]
    by_layer = rearrange(patches, "b l n -> l (b n)")
    median = by_layer.median(dim=1).values
    deviation = (by_layer - median[:, None]).abs().median(dim=1).values
    limit = torch.maximum(median + deviations * deviation, _LEAST_RATIO * median)
    return nn.functional.pad(patches > limit[:, None], (grid.num_prefix, 0), value=False)


def outlier_tokens(
    norms: Float[Tensor, "batch layer token"], grid: TokenGrid, deviations: float = _DEVIATIONS
) -> list[Outlier]:
    """The tokens of `outlier_mask`, by image, layer and token, each counted from 0."""
    return [Outlier(*place) for place in outlier_mask(norms, grid, deviations).nonzero().tolist()]


def feature_maps(model: Inspected, images: Images) -> dict[str, Float[Tensor, "batch _ _ _"]]:
    """Feature maps by depth, float32: a CNN's stages, or a ViT's patch tokens as embedded and after every block.

    Keys are the names of the tap ("stages.0"; "embed", "blocks.0", ...), in order. Maps of all images are returned, so
    their number is limited by memory.

    Raises:
        InputError: images that the model cannot take, or none.
    """
    parts = [_maps(bare(model), batch) for batch in in_batches(model, images, _BATCH, "Computing feature maps")]
    if not parts:
        raise InputError("no images were given")
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _maps(model: Model, images: Float[Tensor, "batch channel height width"]) -> dict[str, Tensor]:
    wanted = model.config.layers
    taken: dict[str, Tensor] = {}

    def tap(name: str, tensor: Tensor) -> Tensor:
        if name in wanted:
            taken[name] = tensor.float().cpu()
        return tensor

    forward(model, images, tap)
    height, width = images.shape[-2:]
    return {name: as_map(model, features, (height, width)) for name, features in taken.items()}


def as_map(model: Model, features: Tensor, image_size: Size) -> Float[Tensor, "batch _ _ _"]:
    """One of the model's `layers` as (batch, channel, height, width): patch tokens laid out, a stage as it is."""
    return model.token_grid(image_size).patches(features.mT) if "tokens" in model.config.has else features


def logit_lens(model: Inspected, tokens: Float[Tensor, "batch layer token dim"]) -> Float[Tensor, "batch layer class"]:
    """The final norm, readout and head applied to the tokens of every depth: what the model would say there.

    As of language models (nostalgebraist 2020) and ViTs (Vilas et al. 2023, arXiv:2310.18969). For tokens as
    a `Capture` has them, the first are as embedded and the last give the logits. The head has learned to read the
    last layer only: what it cannot read earlier may still be there.

    Raises:
        InputError: a CNN.
    """
    net = bare(model)
    if "tokens" not in net.config.has:
        raise InputError(f"a {net.config.kind}'s head reads its last stage only: logit_lens needs a ViT")
    device = next(net.parameters()).device
    with evaluating(net), torch.no_grad():
        return torch.stack([net.classify(layer.to(device)).float().cpu() for layer in tokens.unbind(dim=1)], dim=1)
