"""What a ViT knows of where its patches are: its position embeddings, and what moving the patches does to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from vitrail.configs import Size
from vitrail.configs.validation import nearest_divisors
from vitrail.errors import InputError
from vitrail.inspection.batches import Images, Inspected, Labels, bare, forward, in_batches, prepared
from vitrail.models.stems import patchify

_BATCH = 64


def position_embeddings(model: Inspected) -> Float[Tensor, "patch dim"] | None:
    """What is added to every patch of an image of the configured size; None where nothing is."""
    net = bare(model)
    if net.positions is None:
        return None
    grid = net.token_grid()
    positions = net.positions.embeddings((grid.height, grid.width))
    return None if positions is None else positions[0, -grid.num_patches :]


def position_similarity(model: Inspected) -> Float[Tensor, "height width height width"]:
    """Cosine similarity of every patch's position embedding with every other's (Dosovitskiy et al. 2021, figure 7).

    Entry [r, c] is a map over the grid: how alike each patch's position is to that of row r, column c, itself 1.
    Embeddings are compared as they are, without their mean taken off.

    Raises:
        InputError: a model without position embeddings.
    """
    patches = position_embeddings(model)
    if patches is None:
        raise InputError("the model has no position embeddings to compare: it is a CNN, or its pos_embed is none")
    directions = F.normalize(patches.detach().cpu().double(), dim=-1).float()
    grid = bare(model).token_grid()
    height, width = grid.height, grid.width
    return rearrange(directions @ directions.mT, "(h w) (r c) -> h w r c", h=height, r=height, w=width, c=width)


@dataclass(frozen=True)
class PositionStructure:
    """Mean similarity over pairs of different patches; NaN where the grid has no such pair."""

    same_row: float
    same_column: float
    apart: float
    """Of patches that share neither row nor column."""

    @property
    def recovered(self) -> float:
        """How far the embeddings know that the patches form a grid: about 0 for none, or for rows or columns alone.

        What sharing a row and what sharing a column adds to the similarity, the smaller of the two.
        """
        return min(self.same_row, self.same_column) - self.apart


def position_structure(similarity: Float[Tensor, "height width height width"]) -> PositionStructure:
    """Whether patches of one row, and of one column, have embeddings more alike than other patches."""
    height, width = similarity.shape[:2]
    rows, columns = torch.eye(height, dtype=torch.bool), torch.eye(width, dtype=torch.bool)
    in_row = rearrange(rows, "a b -> a 1 b 1")
    in_column = rearrange(columns, "a b -> 1 a 1 b")

    def mean(pairs: Tensor) -> float:
        return float(similarity[pairs.expand(similarity.shape)].double().mean())

    return PositionStructure(mean(in_row & ~in_column), mean(~in_row & in_column), mean(~in_row & ~in_column))


def patch_orders(images: int, grid: Size, moved: int | Literal["all"], seed: int = 0) -> Int[Tensor, "image patch"]:
    """For every image an order of its patches in which exactly `moved` of them have another place.

    They are drawn at random and go round in one random cycle. With one seed, the patches drawn for a smaller number
    are among those drawn for a larger.

    Raises:
        InputError: more patches than there are, or one alone, which has no other place to go.
    """
    patches = grid[0] * grid[1]
    number = patches if moved == "all" else moved
    if number == 1 or not 0 <= number <= patches:
        raise InputError(f"{number} of {patches} patches cannot change places: move 0, or 2 to {patches}, or all")
    return _cycled(_drawn(images, patches, seed), number)


def reorder_patches(
    images: Shaped[Tensor, "batch channel height width"], patch_size: int, orders: Int[Tensor, "batch patch"]
) -> Shaped[Tensor, "batch channel height width"]:
    """Images whose i-th patch, row by row, is the one at place `orders[image, i]` of the original.

    Raises:
        InputError: the patch size does not divide the image.
    """
    height, width = patch_grid(images.shape[-2:], patch_size)
    patches = patchify(images, patch_size)
    index = rearrange(orders.to(images.device), "b n -> b n 1").expand_as(patches)
    return rearrange(
        patches.gather(1, index), "b (h w) (c p q) -> b c (h p) (w q)", h=height, w=width, p=patch_size, q=patch_size
    )


def shuffle_patches(
    images: Shaped[Tensor, "batch channel height width"],
    patch_size: int,
    moved: int | Literal["all"] = "all",
    seed: int = 0,
) -> Shaped[Tensor, "batch channel height width"]:
    """Images in which all or `moved` random patches have exchanged places, none staying; others for each image.

    All patches: as in Naseer et al. 2021, arXiv:2105.10497. Raises InputError as `patch_orders` and `reorder_patches`.
    """
    grid = patch_grid(images.shape[-2:], patch_size)
    return reorder_patches(images, patch_size, patch_orders(len(images), grid, moved, seed))


@dataclass(frozen=True, eq=False)
class PositionEffect:
    """Images, their altered copies, and what the model makes of both."""

    images: Float[Tensor, "batch channel height width"]
    """As the model takes them."""
    altered: Float[Tensor, "batch channel height width"]
    before: Float[Tensor, "batch class"]
    """Probabilities."""
    after: Float[Tensor, "batch class"]


def position_effect(
    model: Inspected,
    images: Images,
    moved: int | Literal["all"] = "all",
    patch_size: int | None = None,
    seed: int = 0,
) -> PositionEffect:
    """What becomes of the predictions when patches change places.

    Args:
        model: a classifier or a model; a ViT or a CNN.
        images: see `batches.Images`. All are kept.
        moved: how many patches exchange places, or "all".
        patch_size: in pixels; that of the ViT by default. A CNN has none.
        seed: which patches go where.

    Raises:
        InputError: as `patch_orders` and `reorder_patches`, or no patch size for a CNN.
    """
    net = bare(model)
    size, grid = _patches(model, images, patch_size)
    orders = patch_orders(len(images), grid, moved, seed)
    parts = []
    for batch, order in zip(in_batches(model, images, _BATCH, "Moving patches"), orders.split(_BATCH), strict=True):
        altered = reorder_patches(batch, size, order)
        parts.append((batch.cpu(), altered.cpu(), forward(net, batch), forward(net, altered)))
    originals, copies, before, after = (torch.cat(part) for part in zip(*parts, strict=True))
    return PositionEffect(originals, copies, before.softmax(dim=-1), after.softmax(dim=-1))


@dataclass(frozen=True, eq=False)
class MovedAccuracy:
    """Which images are classified rightly with so many of their patches moved."""

    moved: Int[Tensor, " share"]
    """How many patches."""
    correct: Bool[Tensor, "share image"]

    @property
    def accuracy(self) -> Float[Tensor, " share"]:
        return self.correct.float().mean(dim=1)


def accuracy_by_moved(
    model: Inspected,
    images: Images,
    labels: Labels,
    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    patch_size: int | None = None,
    seed: int = 0,
) -> MovedAccuracy:
    """Accuracy against the share of patches that have changed places with each other.

    Args:
        model: a classifier or a model; a ViT or a CNN.
        images: see `batches.Images`; a few are in memory at a time.
        labels: the true classes.
        shares: from 0 to 1, each brought to the nearest number of patches (of 1, to 2).
        patch_size: in pixels; that of the ViT by default. A CNN has none.
        seed: which patches go where. A larger share moves the patches of a smaller one, and more.

    Raises:
        InputError: a share outside 0 to 1, not one label for each image, a patch size that does not divide the
            image or is all of it, or none for a CNN.
    """
    net = bare(model)
    size, grid = _patches(model, images, patch_size)
    truth = torch.as_tensor(labels).cpu()
    if len(truth) != len(images):
        raise InputError(f"{len(truth)} labels for {len(images)} images: give one for each")
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise InputError(f"shares of patches to move {tuple(shares)}: one or more, each from 0 to 1")
    patches = grid[0] * grid[1]
    moved = [2 if round(share * patches) == 1 else round(share * patches) for share in shares]
    drawn = _drawn(len(images), patches, seed).split(_BATCH)
    correct = []
    batches = in_batches(model, images, _BATCH, "Moving patches")
    for batch, order, right in zip(batches, drawn, truth.split(_BATCH), strict=True):
        altered = (reorder_patches(batch, size, _cycled(order, number)) for number in moved)
        correct.append(torch.stack([forward(net, inputs).argmax(dim=1) == right for inputs in altered]))
    return MovedAccuracy(torch.tensor(moved), torch.cat(correct, dim=1))


def patch_grid(image_size: Sequence[int], patch_size: int) -> Size:
    """Height and width in patches. Raises InputError where the patch size does not divide the image."""
    height, width = image_size
    if patch_size < 1 or height % patch_size or width % patch_size:
        fits = nearest_divisors(math.gcd(height, width), patch_size)
        raise InputError(f"patches of {patch_size} pixels do not tile an image of {height} x {width}: use {fits}")
    return height // patch_size, width // patch_size


def _patches(model: Inspected, images: Images, patch_size: int | None) -> tuple[int, Size]:
    """The size of a patch in pixels, and the grid of an image in patches."""
    config = bare(model).config
    if len(images) == 0:
        raise InputError("no images were given")
    if patch_size is None:
        if config.patch_size is None:
            raise InputError(f"a {config.kind} has no patches: say with patch_size what size of pieces to move")
        patch_size = config.patch_size
    grid = patch_grid(prepared(model, images[:1]).shape[-2:], patch_size)
    if grid == (1, 1):
        raise InputError("the image is one patch, which has no other to change places with: use a smaller patch size")
    return patch_size, grid


def _drawn(images: int, patches: int, seed: int) -> Int[Tensor, "image patch"]:
    """For every image its patches in random order."""
    return torch.rand(images, patches, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)


def _cycled(drawn: Int[Tensor, "image patch"], number: int) -> Int[Tensor, "image patch"]:
    """The order of patches in which the first `number` of those drawn take each other's places."""
    first = drawn[:, :number]
    return torch.arange(drawn.shape[1]).repeat(len(drawn), 1).scatter(1, first, first.roll(1, dims=1))
