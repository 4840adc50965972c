"""How alike the layers of two models are: linear centred kernel alignment, estimated in minibatches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.errors import InputError
from vitrail.inspection.batches import Images, Inspected, bare, forward, prepared
from vitrail.progress import track

_FEWEST = 4
"""The unbiased estimate divides by n - 3."""


@dataclass(frozen=True, eq=False)
class CKA:
    """Similarity of every layer of one model with every layer of another."""

    matrix: Float[Tensor, "layer_a layer_b"]
    """At most 1; about 0, on either side, for features that have nothing to do with each other. NaN where a layer is
    the same for all images."""
    names_a: tuple[str, ...]
    """Names of the tap: "embed", "blocks.0", "stages.0", "logits", ..."""
    names_b: tuple[str, ...]


def cka(
    a: Inspected,
    b: Inspected,
    images: Images | tuple[Tensor, Tensor],
    layers_a: Sequence[str] | None = None,
    layers_b: Sequence[str] | None = None,
    batch_size: int = 64,
) -> CKA:
    """Linear CKA (Kornblith et al. 2019, arXiv:1905.00414, section 3) between the layers of two models.

    Estimated as by Nguyen et al. (2021, arXiv:2010.15327, equations 2 and 3): unbiased HSIC of every minibatch, summed
    before it is divided; memory depends on the size of the batch alone. A layer's feature is all that it computed
    for an image, flattened: every token with every channel, or every pixel with every channel.

    Args:
        a: a classifier or a model; a ViT or a CNN.
        b: another one, or the same.
        images: at least 4, that each classifier prepares in its own way; or two float tensors (batch, channel,
            height, width), the inputs of `a` and of `b` for the same images.
        layers_a: names of the tap. By default the embedding, every block or stage, and the logits.
        layers_b: likewise, of `b`.
        batch_size: images together, at least 4; up to twice as many, so that no batch is small.

    Raises:
        InputError: fewer than four images, not as many for `a` as for `b`, or a layer that there is not.
    """
    for_a, for_b = images if isinstance(images, tuple) and _are_tensors(images) else (images, images)
    count = len(for_a)
    if count != len(for_b):
        raise InputError(f"{count} images for the one model and {len(for_b)} for the other: give both the same")
    if count < _FEWEST or batch_size < _FEWEST:
        raise InputError(f"CKA of {count} images in batches of {batch_size}: at least {_FEWEST} of each are needed")
    names_a = tuple(layers_a or (*bare(a).config.layers, "logits"))
    names_b = tuple(layers_b or (*bare(b).config.layers, "logits"))

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        with track("Comparing layers", count, "images") as advance:
            for indices in torch.arange(count).tensor_split(max(1, count // batch_size)):
                batch = slice(int(indices[0]), int(indices[-1]) + 1)
                yield _grams(a, for_a[batch], names_a), _grams(b, for_b[batch], names_b)
                advance(len(indices))

    return CKA(minibatch_cka(pairs()), names_a, names_b)


def minibatch_cka(
    batches: Iterable[tuple[Float[Tensor, "layer_a _ _"], Float[Tensor, "layer_b _ _"]]],
) -> Float[Tensor, "layer_a layer_b"]:
    """Sums of HSIC over batches, each pair of layers divided by what both have with themselves.

    Nguyen et al. (2021), equation 2. Every batch brings the `centred_gram` of each layer, of at least 4 images.
    """
    cross = own_a = own_b = torch.zeros((), dtype=torch.float64)
    for a, b in batches:
        scale = a.shape[-1] * (a.shape[-1] - 3)
        flat_a, flat_b = a.flatten(1), b.flatten(1)
        cross = cross + flat_a @ flat_b.mT / scale
        own_a = own_a + flat_a.square().sum(dim=1) / scale
        own_b = own_b + flat_b.square().sum(dim=1) / scale
    return (cross / (own_a[:, None] * own_b).sqrt()).float()


def centred_gram(features: Float[Tensor, "image ..."]) -> Float[Tensor, "image image"]:
    """Inner products of all images' features, U-centred, in float64.

    U-centring (Szekely & Rizzo 2014, arXiv:1310.2926, section 2) zeroes the diagonal and the sum of every row, so that
    the inner product of two such matrices is n (n - 3) times HSIC_1, the unbiased estimate of Song et al. (2012, JMLR
    13), and no layer's estimate with itself is negative.
    """
    flat = features.flatten(1).double()
    # The mean makes no difference but to the rounding.
    flat = flat - flat.mean(dim=0)
    gram = (flat @ flat.mT).fill_diagonal_(0)
    n = len(gram)
    rows = gram.sum(dim=1) / (n - 2)
    return (gram - rows[:, None] - rows + rows.sum() / (n - 1)).fill_diagonal_(0)


def _grams(model: Inspected, images: Images, names: Sequence[str]) -> Float[Tensor, "layer image image"]:
    taken: dict[str, Tensor] = {}
    seen: list[str] = []

    def tap(name: str, tensor: Tensor) -> Tensor:
        seen.append(name)
        if name in names:
            # Only the products are kept: the features of all layers would not fit.
            taken[name] = centred_gram(tensor.float().cpu())
        return tensor

    forward(bare(model), prepared(model, images), tap)
    missing = [name for name in names if name not in taken]
    if missing:
        raise InputError(f"the model has no layer {missing[0]!r}: it has {', '.join(seen)}")
    return torch.stack([taken[name] for name in names])


def _are_tensors(images: tuple[object, ...]) -> bool:
    return len(images) == 2 and all(isinstance(part, Tensor) and part.ndim == 4 for part in images)
