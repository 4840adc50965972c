"""What each attention head specialises in: how widely it looks, where to, whether the class moves it, which are alike.

All of it is computed from attention weights, and `profile_heads` adds it up over any number of images. A query stands
for a patch here; the queries of class token and registers count in `head_similarity` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.errors import InputError
from vitrail.inspection.attention import attention_distance
from vitrail.inspection.batches import Images, Inspected, Labels, bare, in_batches, prepared
from vitrail.inspection.capture import inspect
from vitrail.models.grid import TokenGrid

Attention = Float[Tensor, "batch layer head query key"]

UNNAMED = "mixed"
"""What a head is called that does nothing mainly."""
_FARTHEST = 4
_CONSTANT = 1e-6
"""A row, which sums to one, that is nearer to uniform than this (Euclidean distance) has no shape to compare."""
_MOST_PER_BATCH = 2**24
"""Attention weights in memory at a time."""

_EVERYWHERE = 0.95
"""From this share of the largest possible entropy on, a head "looks everywhere": of 64 tokens, at 52 or more."""
_MAINLY = 0.5
"""From this share of its attention on, and twice what uniform attention gives, a head "looks at" something; from this
share of variance on, it "depends on class"."""
_COMMON = 0.25
"""An offset that a smaller share of the patches has does not tell what a head does."""
_COPY = 0.9
"""From this correlation on, a head is a copy of an earlier one."""


@dataclass(frozen=True, eq=False)
class HeadProfile:
    """What every head does, as a mean over images; float32. See the functions of the same names."""

    grid: TokenGrid
    images: int
    """How many the means are over."""
    entropy: Float[Tensor, "layer head"]
    """Nats."""
    distance: Float[Tensor, "layer head"]
    """Pixels; see `attention.attention_distance`."""
    offsets: Float[Tensor, "layer head row column"]
    prefix: Float[Tensor, "layer head token"]
    similarity: Float[Tensor, "every_head every_head"]
    class_dependence: Float[Tensor, "layer head"] | None
    """None without labels."""


def entropy(attention: Attention, grid: TokenGrid) -> Float[Tensor, "layer head"]:
    """Entropy in nats of the patches' attention over all keys, mean over patches and images.

    Uniform attention gives log(number of keys), a single key 0.
    """
    return torch.special.entr(attention[..., grid.num_prefix :, :]).sum(dim=-1).mean(dim=(0, 3))


def prefix_attention(attention: Attention, grid: TokenGrid) -> Float[Tensor, "layer head token"]:
    """The share of the patches' attention that goes to each token of `grid.prefix`, mean over patches and images."""
    return attention[..., grid.num_prefix :, : grid.num_prefix].mean(dim=(0, 3))


def offset_profile(
    attention: Attention, grid: TokenGrid, radius: int | None = None
) -> Float[Tensor, "layer head row column"]:
    """Which neighbour a head looks at: mean attention of a patch to the patch so many rows and columns away.

    Entry [radius + r, radius + c] is the mean over all pairs of patches, r rows down and c columns to the right of
    each other, that both lie in the grid: a patch at the border is left out where it has no such neighbour. So a head
    that looks left wherever there is a left has 1 at (0, -1), and uniform attention has 1 / number of keys everywhere;
    the entries do not sum to one. Attention to class token and registers is left out.

    Args:
        attention: weights whose rows sum to one.
        grid: what its tokens are.
        radius: the farthest offset. By default 4, or what the shorter side of the grid has. Offsets that no two
            patches of the grid have are NaN.

    Raises:
        InputError: a negative radius.
    """
    if radius is None:
        radius = min(_FARTHEST, grid.height - 1, grid.width - 1)
    if radius < 0:
        raise InputError(f"the radius of an offset profile is {radius}: it must be at least 0 patches")
    mean = attention.mean(dim=0)[..., grid.num_prefix :, grid.num_prefix :]
    places = torch.arange(grid.num_patches, device=mean.device).view(grid.height, grid.width)
    profile = mean.new_full((*mean.shape[:2], 2 * radius + 1, 2 * radius + 1), math.nan)
    for row in range(-min(radius, grid.height - 1), min(radius, grid.height - 1) + 1):
        for column in range(-min(radius, grid.width - 1), min(radius, grid.width - 1) + 1):
            queries = places[max(0, -row) : grid.height - max(0, row), max(0, -column) : grid.width - max(0, column)]
            pairs = mean[..., queries.flatten(), queries.flatten() + row * grid.width + column]
            profile[..., radius + row, radius + column] = pairs.mean(dim=-1)
    return profile


def head_similarity(attention: Attention) -> Float[Tensor, "every_head every_head"]:
    """Correlation of two heads' attention: Pearson's over keys, mean over all queries and images.

    Heads are ordered layer by layer: head h of layer l is at l * heads + h. A copy has 1. A uniform row has no
    shape: it counts as 1 against another uniform row and as 0 against any other.
    """
    centred = attention - attention.mean(dim=-1, keepdim=True)
    length = centred.norm(dim=-1, keepdim=True)
    uniform = length < _CONSTANT
    # One more coordinate, in which uniform rows have length one and agree.
    directions = torch.cat([torch.where(uniform, 0.0, centred / length), uniform.to(centred)], dim=-1)
    flat = rearrange(directions, "image layer head query key -> (layer head) (image query key)")
    return flat @ flat.mT / (attention.shape[0] * attention.shape[3])


def class_dependence(
    attention: Attention, grid: TokenGrid, labels: Int[Tensor, " batch"]
) -> Float[Tensor, "layer head"]:
    """How much of a head's attention map is decided by the image's class: a share of its variance over images.

    The map is the class token's attention to the patches, or without a class token the mean over the patches'
    queries. Its squared distances from the mean map are split into those between and those within classes; the
    share between classes is corrected for what chance would give (epsilon squared, Kelley 1935, PNAS 21(9)) and
    at least 0: about 0 for a head that the class does not move, 1 for one that it decides. A head whose map is the
    same for all images has 0.

    Raises:
        InputError: fewer than two classes, or no more images than classes.
    """
    return _explained(_class_sums(attention, grid, *_numbered(labels)))


def profile_attention(
    batches: Iterable[Float[Tensor, "_ layer head query key"]],
    grid: TokenGrid,
    labels: Int[Tensor, " image"] | None = None,
    radius: int | None = None,
) -> HeadProfile:
    """`HeadProfile` of attention that comes in batches of a few images; memory does not grow with their number.

    Without the `labels` of all images, in order, `class_dependence` is left out. Raises InputError where there are no
    images or not one label for each, and as the functions for one batch do.
    """
    numbers, classes = (None, 0) if labels is None else _numbered(labels)
    means: list[Tensor] = []
    sums: _ClassSums | None = None
    images = 0
    for attention in batches:
        new = len(attention)
        parts = (
            entropy(attention, grid),
            torch.stack([attention_distance(layer, grid) for layer in attention.unbind(dim=1)]),
            offset_profile(attention, grid, radius),
            prefix_attention(attention, grid),
            head_similarity(attention),
        )
        weighted = [new * part.double() for part in parts]
        means = [a + b for a, b in zip(means, weighted, strict=True)] if means else weighted
        if numbers is not None:
            if images + new > len(numbers):
                raise InputError(f"{len(numbers)} labels for more images than that: give one for each")
            added = _class_sums(attention, grid, numbers[images : images + new], classes)
            sums = added if sums is None else _ClassSums(*(a + b for a, b in zip(sums, added, strict=True)))
        images += new
    if images == 0:
        raise InputError("no images were given")
    if numbers is not None and images < len(numbers):
        raise InputError(f"{len(numbers)} labels for {images} images: give one for each")
    entropies, distance, offsets, prefix, similarity = ((mean / images).float() for mean in means)
    dependence = None if sums is None else _explained(sums)
    return HeadProfile(grid, images, entropies, distance, offsets, prefix, similarity, dependence)


def profile_heads(
    model: Inspected, images: Images, labels: Labels | None = None, radius: int | None = None
) -> HeadProfile:
    """What every head of a ViT does, over as many images as there are; see `profile_attention`.

    Raises:
        InputError: a CNN, images that the model cannot take, or labels that do not suffice for `class_dependence`.
    """
    net = bare(model)
    if "attention" not in net.config.has:
        raise InputError(f"a {net.config.kind} has no attention heads: profile_heads needs a ViT")
    if len(images) == 0:
        raise InputError("no images were given")
    first = prepared(model, images[:1])
    height, width = first.shape[-2:]
    grid = net.token_grid((height, width))
    size = max(1, _MOST_PER_BATCH // (sum(net.config.heads) * grid.num_tokens**2))
    batches = in_batches(model, images, size, "Profiling attention heads")
    given = None if labels is None else torch.as_tensor(labels)
    return profile_attention((inspect(net, batch).attention() for batch in batches), grid, given, radius)


def name_heads(profile: HeadProfile) -> tuple[tuple[str, ...], ...]:
    """A few words for every head, by layer: what it mainly does, if that is one thing.

    The first of these that holds:

    - "looks everywhere": its entropy is at least 95 % of the largest possible;
    - "looks at class token" (or another token before the patches): half of its attention goes there;
    - "looks at itself", "looks left", "looks up and 2 right": half of it, at one offset (see `offset_profile`) that
      at least a quarter of the patches have;
    - "looks around itself": half of it, at the patch and its eight neighbours together;
    - "depends on class": the class explains half of its map's variance (see `class_dependence`);
    - "mixed".

    Half of the attention means also at least twice what uniform attention has there. " (copy of 2.3)" is added, or
    stands instead of the last two, where the correlation with an earlier head, here head 3 of layer 2 (both counted
    from 0), is at least 0.9; of several, the earliest is named. Heads that look everywhere are all alike, and it is
    not said.
    """
    layers, heads = profile.entropy.shape
    return tuple(tuple(_name(profile, layer, head) for head in range(heads)) for layer in range(layers))


def _name(profile: HeadProfile, layer: int, head: int) -> str:
    tokens, heads = profile.grid.num_tokens, profile.entropy.shape[1]
    if profile.entropy[layer, head] >= _EVERYWHERE * math.log(tokens):
        return "looks everywhere"
    pattern = _pattern(profile, layer, head)
    index = layer * heads + head
    earlier = (profile.similarity[index, :index] >= _COPY).nonzero()
    if len(earlier):
        copy = "copy of {}.{}".format(*divmod(int(earlier[0]), heads))
        return f"{pattern} ({copy})" if pattern else copy
    if pattern:
        return pattern
    by_class = profile.class_dependence is not None and profile.class_dependence[layer, head] >= _MAINLY
    return "depends on class" if by_class else UNNAMED


def _pattern(profile: HeadProfile, layer: int, head: int) -> str | None:
    def mainly(share: Tensor, places: int = 1) -> bool:
        return bool(share >= max(_MAINLY, 2 * places / profile.grid.num_tokens))

    prefix, offsets = profile.prefix[layer, head], profile.offsets[layer, head].nan_to_num(0)
    if len(prefix) and mainly(prefix.max()):
        name = profile.grid.prefix[int(prefix.argmax())]
        return f"looks at {name}" if name.startswith("register") else f"looks at {name} token"
    radius = len(offsets) // 2
    away = torch.arange(-radius, radius + 1).abs()
    pairs = (profile.grid.height - away).clamp(min=0)[:, None] * (profile.grid.width - away).clamp(min=0)
    common = torch.where(pairs >= _COMMON * profile.grid.num_patches, offsets, 0.0)
    if mainly(common.max()):
        row, column = divmod(int(common.argmax()), len(offsets))
        return f"looks {_direction(row - radius, column - radius)}"
    around = common[radius - 1 : radius + 2, radius - 1 : radius + 2] if radius else common
    return "looks around itself" if mainly(around.sum(), around.numel()) else None


def _direction(down: int, right: int) -> str:
    steps = ((down, "up", "down"), (right, "left", "right"))
    words = [f"{f'{abs(n)} ' if abs(n) > 1 else ''}{minus if n < 0 else plus}" for n, minus, plus in steps if n]
    return " and ".join(words) or "at itself"


class _ClassSums(NamedTuple):
    """What the variance between and within classes is computed from; sums over images, in float64."""

    images: Float[Tensor, " class"]
    maps: Float[Tensor, "class layer head patch"]
    squares: Float[Tensor, "layer head"]


def _numbered(labels: Int[Tensor, " image"]) -> tuple[Int[Tensor, " image"], int]:
    """The labels counted from 0 without gaps, and how many different ones there are."""
    present, numbers = labels.unique(return_inverse=True)
    if not 2 <= len(present) < len(labels):
        raise InputError(
            f"{len(labels)} images of {len(present)} classes: dependence on the class needs two classes or more, and "
            "more images than classes"
        )
    return numbers, len(present)


def _class_sums(attention: Attention, grid: TokenGrid, labels: Int[Tensor, " batch"], classes: int) -> _ClassSums:
    if "class" in grid.prefix:
        maps = attention[..., grid.prefix.index("class"), grid.num_prefix :].double()
    else:
        maps = attention[..., grid.num_prefix :, grid.num_prefix :].mean(dim=-2).double()
    zeros = maps.new_zeros(classes, *maps.shape[1:])
    count = torch.bincount(labels, minlength=classes).double()
    return _ClassSums(count, zeros.index_add(0, labels, maps), maps.square().sum(dim=(0, 3)))


def _explained(sums: _ClassSums) -> Float[Tensor, "layer head"]:
    images, classes = sums.images.sum(), len(sums.images)
    of_mean = sums.maps.sum(dim=0).square().sum(dim=-1) / images
    of_class_means = (sums.maps.square().sum(dim=-1) / sums.images[:, None, None]).sum(dim=0)
    total, within = sums.squares - of_mean, sums.squares - of_class_means
    between = total - within - (classes - 1) * within / (images - classes)
    # The attention of a head that never changes differs by rounding alone.
    varies = total > _CONSTANT**2 * sums.squares
    return torch.where(varies, between / total, 0.0).clamp(0, 1).float()
