"""What the Transformer of Vaswani et al. (2017), "Attention Is All You Need", has and a Vision Transformer has not.

A translation is written word by word, so its tokens must not see the words that come after them (a mask), and
must see the sentence that is translated (cross-attention). An image is there at once, and one stack that sees
everything does: a ViT is the left half of the paper's figure 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.models.vit import attention_weights


def causal_mask(length: int) -> Float[Tensor, "query key"]:
    """Zero where a token may look, at itself and back; minus infinity at every later token (section 3.2.3)."""
    return torch.full((length, length), -torch.inf).triu(diagonal=1)


def masked_attention_weights(
    q: Float[Tensor, "batch head query dim"],
    k: Float[Tensor, "batch head key dim"],
    scale: float,
    mask: Float[Tensor, "query key"],
) -> Float[Tensor, "batch head query key"]:
    """`attention_weights` with a mask on the scores: softmax(q k^T scale + mask).

    The mask goes inside the softmax: exp(-inf) is 0, and the keys that are left share the whole weight.
    """
    return ((q * scale) @ k.mT + mask).softmax(dim=-1)


class MultiHeadAttention(nn.Module):
    """Queries from one sequence, keys and values from another, which may be the same (section 3.2.2).

    `attention(x, x)` is self-attention, as in a ViT. `attention(x, memory)` is cross-attention: every token of `x`
    asks, the tokens of `memory` answer. A mask serves either.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def split(self, x: Float[Tensor, "batch token dim"]) -> Float[Tensor, "batch head token head_dim"]:
        return rearrange(x, "batch token (head dim) -> batch head token dim", head=self.heads)

    def weights(
        self,
        x: Float[Tensor, "batch query dim"],
        memory: Float[Tensor, "batch key dim"],
        mask: Float[Tensor, "query key"] | None = None,
    ) -> Float[Tensor, "batch head query key"]:
        """How much every token of `x` attends to every token of `memory`: rows that sum to one."""
        q, k = self.split(self.query(x)), self.split(self.key(memory))
        if mask is None:
            return attention_weights(q, k, self.scale)
        return masked_attention_weights(q, k, self.scale, mask)

    def forward(
        self,
        x: Float[Tensor, "batch query dim"],
        memory: Float[Tensor, "batch key dim"],
        mask: Float[Tensor, "query key"] | None = None,
    ) -> Float[Tensor, "batch query dim"]:
        z = self.weights(x, memory, mask) @ self.split(self.value(memory))
        return self.proj(rearrange(z, "batch head token dim -> batch token (head dim)"))


class DecoderBlock(nn.Module):
    """Masked self-attention, cross-attention to the encoder's output, then the feed-forward network (section 3.1).

    The paper normalises after each sum, LN(x + f(x)). `norm_first` normalises before, x + f(LN(x)), as a ViT does.
    """

    def __init__(self, dim: int, heads: int, mlp_dim: int, norm_first: bool = False) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.self_attention = MultiHeadAttention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attention = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        # Equation 2 of the paper: max(0, x W1 + b1) W2 + b2.
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, dim))
        self.norm3 = nn.LayerNorm(dim)

    def residual(
        self, norm: nn.LayerNorm, f: Callable[[Tensor], Tensor], x: Float[Tensor, "batch token dim"]
    ) -> Float[Tensor, "batch token dim"]:
        return x + f(norm(x)) if self.norm_first else norm(x + f(x))

    def forward(
        self, x: Float[Tensor, "batch token dim"], memory: Float[Tensor, "batch source dim"]
    ) -> Float[Tensor, "batch token dim"]:
        mask = causal_mask(x.shape[1]).to(x)
        x = self.residual(self.norm1, lambda x: self.self_attention(x, x, mask), x)
        x = self.residual(self.norm2, lambda x: self.cross_attention(x, memory), x)
        return self.residual(self.norm3, self.mlp, x)
