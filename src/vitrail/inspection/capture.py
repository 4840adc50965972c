"""One forward pass with everything that happened in it, for as many images as there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.classifier import Picture, Precision
from vitrail.errors import InputError
from vitrail.inspection import attention
from vitrail.inspection.batches import Inspected, model_and_input
from vitrail.models.build import Model, evaluating, uncompiled
from vitrail.models.grid import TokenGrid

Chosen = SupportsIndex | Sequence[SupportsIndex] | None
"""Which layers or heads: one, several (negative ones count from the end), or all."""

_NO_TOKENS = "tokens and no attention: its feature maps are in .features"
_MISSING = {"tokens": _NO_TOKENS, "attention": _NO_TOKENS, "stages": "stages: its tokens are in .tokens"}


@dataclass(frozen=True, eq=False)
class Capture:
    """What a model computed for a batch of images. All results are detached float32 tensors on the CPU.

    ```
    logits                       (batch, class)
    tokens                       (batch, depth + 1, token, embed_dim)   as embedded, then after every block
    q, k, v                      (batch, layer, head, token, head_dim)  normalised where qk_norm is on
    z                            (batch, layer, head, token, head_dim)  every head's output, before the projection
    hidden                       (batch, layer, token, mlp_dim)         with inspect(..., hidden=True) alone
    attention(layers, heads)     (batch, layer, head, query, key)       rows sum to one
    class_attention(...)         (batch, layer, head, height, width)    in patches
    rollout(...)                 (batch, query, key)                    all tokens; rows sum to one
    attention_distance()         (layer, head)                          pixels
    features                     per stage (batch, channel, height, width); CNNs alone
    ```

    `grid` names the tokens before the patches and gives the patches their places. Attention weights are computed
    from q and k when asked for, for the layers and heads asked for, and are not kept.
    """

    model: Model
    images: Float[Tensor, "batch channel height width"]
    """The model's input."""
    taken: dict[str, Tensor]
    """What passed through `tap`, by its name, as the model made it."""

    @property
    def grid(self) -> TokenGrid:
        """Raises InputError for a CNN, as all that is about tokens does."""
        self._require("tokens")
        height, width = self.images.shape[-2:]
        return self.model.token_grid((height, width))

    @property
    def logits(self) -> Float[Tensor, "batch class"]:
        return _plain(self.taken["logits"])

    @property
    def tokens(self) -> Float[Tensor, "batch layer token dim"]:
        self._require("tokens")
        return _stack([self.taken[name] for name in self.model.config.layers])

    @property
    def q(self) -> Float[Tensor, "batch layer head token dim"]:
        return self._layers("attn.q")

    @property
    def k(self) -> Float[Tensor, "batch layer head token dim"]:
        return self._layers("attn.k")

    @property
    def v(self) -> Float[Tensor, "batch layer head token dim"]:
        return self._layers("attn.v")

    @property
    def z(self) -> Float[Tensor, "batch layer head token dim"]:
        return self._layers("attn.z")

    @property
    def hidden(self) -> Float[Tensor, "batch layer token dim"]:
        """Raises InputError where it was not asked for."""
        if "blocks.0.mlp.hidden" not in self.taken:
            raise InputError("the hidden layers of the MLPs were not captured: use inspect(..., hidden=True)")
        return self._layers("mlp.hidden")

    @property
    def features(self) -> tuple[Float[Tensor, "batch _ _ _"], ...]:
        """Feature maps (batch, channel, height, width) after every stage. Raises InputError for a ViT."""
        self._require("stages")
        return tuple(_plain(self.taken[name]) for name in self.model.config.layers)

    def attention(self, layers: Chosen = None, heads: Chosen = None) -> Float[Tensor, "batch layer head query key"]:
        """The model's attention weights (Dosovitskiy et al. 2021, equation 6), in float32."""
        chosen, in_heads = self._chosen(layers, heads)
        first = self.taken["blocks.0.attn.q"]
        batch, tokens = len(first), first.shape[-2]
        every = torch.empty(len(chosen), batch, len(in_heads), tokens, tokens, device=first.device)
        for out, layer in zip(every, chosen, strict=True):
            out.copy_(self._weights(layer, in_heads))
        return _plain(every.transpose(0, 1))

    def class_attention(
        self, layers: Chosen = None, heads: Chosen = None
    ) -> Float[Tensor, "batch layer head height width"]:
        """The class token's attention to every patch; without a class token, the mean over the patches' queries.

        A share of each query's attention: what goes to the class token itself and to registers is missing from
        the sum over patches.
        """
        chosen, in_heads = self._chosen(layers, heads)
        grid = self.grid
        rows = []
        for layer in chosen:
            if "class" in grid.prefix:
                rows.append(self._weights(layer, in_heads, slice(0, 1))[:, :, 0])
            else:
                rows.append(self._weights(layer, in_heads, slice(grid.num_prefix, None)).mean(dim=-2))
        return _plain(grid.patches(torch.stack(rows, dim=1)))

    def rollout(self, fusion: str = "mean", discard: float = 0.0) -> Float[Tensor, "batch query key"]:
        """Attention rollout over all layers; see `attention.rollout`."""
        return _plain(attention.rollout(self.attention_by_layer(), fusion, discard))

    def attention_distance(self) -> Float[Tensor, "layer head"]:
        """Mean distance in pixels that each head looks, over the batch; see `attention.attention_distance`."""
        grid = self.grid
        return torch.stack([_plain(attention.attention_distance(w, grid)) for w in self.attention_by_layer()])

    def attention_by_layer(self) -> Iterator[Float[Tensor, "batch head query key"]]:
        """The weights of one layer after another, so that only one layer's are in memory."""
        chosen, in_heads = self._chosen(None, None)
        return (self._weights(layer, in_heads) for layer in chosen)

    def _require(self, part: str) -> None:
        config = self.model.config
        if part not in config.has:
            raise InputError(f"a {config.kind} has no {_MISSING[part]}")

    def _layers(self, name: str) -> Tensor:
        self._require("attention")
        return _stack([self.taken[f"blocks.{i}.{name}"] for i in range(len(self.model.config.heads))])

    def _chosen(self, layers: Chosen, heads: Chosen) -> tuple[list[int], list[int]]:
        self._require("attention")
        of_layers = self.model.config.heads
        return choose("layer", layers, len(of_layers)), choose("head", heads, min(of_layers))

    def _weights(self, layer: int, heads: list[int], queries: slice = slice(None)) -> Tensor:
        q, k = (self.taken[f"blocks.{layer}.attn.{name}"].float() for name in "qk")
        chosen = slice(None) if heads == [*range(q.shape[1])] else heads
        return attention.layer_weights(self.model, layer, q, k, chosen, queries)


def inspect(
    model: Inspected,
    images: Picture | Tensor | Sequence[Picture],
    *,
    hidden: bool = False,
    precision: Precision = "fp32",
) -> Capture:
    """Run images through a model and keep what happens inside. The logits are those of a plain forward pass.

    Args:
        model: a classifier, a ViT or a CNN (compiled or not). It is left as it was.
        images: for a classifier all that `Classifier.prepare` takes; for a model its float input
            (batch, channel, height, width). A ViT takes any height and width that its patch size divides.
        hidden: also keep the hidden layers of the MLPs.
        precision: bf16 runs the model under autocast.

    Raises:
        InputError: images that cannot be used.
    """
    net, inputs = model_and_input(model, images)
    taken: dict[str, Tensor] = {}

    def tap(name: str, tensor: Tensor) -> Tensor:
        if hidden or not name.endswith("mlp.hidden"):
            taken[name] = tensor
        return tensor

    device = next(net.parameters()).device
    inputs = inputs.to(device)
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    # Not inference_mode: what is kept may be used in later computations with gradients.
    with evaluating(net), torch.no_grad(), bf16:
        net(inputs, tap)
    return Capture(uncompiled(net), inputs, taken)


def choose(what: str, wanted: Chosen, count: int) -> list[int]:
    """Numbers of layers or heads, from 0. Raises InputError naming one that there is not."""
    every = range(count)
    try:
        numbers = list(every) if wanted is None else [index(number) for number in np.atleast_1d(np.asarray(wanted))]
    except TypeError as error:
        raise InputError(f"no {what} is called {wanted!r}: they are whole numbers from 0 to {count - 1}") from error
    for number in numbers:
        if not -count <= number < count:
            raise InputError(f"there is no {what} {number}: the model has {count}, counted from 0 to {count - 1}")
    return [every[number] for number in numbers]


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().cpu()


def _stack(tensors: list[Tensor]) -> Tensor:
    return torch.stack([_plain(tensor) for tensor in tensors], dim=1)
