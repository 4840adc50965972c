"""Parts of a block that a first reader can skip: dropout, scaled or dropped residual branches, another MLP."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from vitrail.configs import ViTConfig
from vitrail.models.tap import Tap, untapped


def dropout(x: Shaped[Tensor, "..."], probability: float) -> Shaped[Tensor, "..."]:
    """Zero elements at random and divide the others by the probability of keeping (Srivastava et al. 2014).

    On a CPU, torch draws a random number for every element, which takes a quarter of a small model's step. Here one
    64-bit number decides on four elements; the generator is seeded by torch's. The probability is rounded to
    2^-16, and what is kept is scaled for the rounded one: the expectation is exact.
    """
    if probability == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    dropped = min(round(probability * 2**16), 2**16 - 1)
    drawn = np.random.SFC64(int(torch.randint(2**62, ()))).random_raw(x.numel() // 4 + 1)
    numbers = torch.from_numpy(drawn).view(torch.int16)
    kept = (numbers[: x.numel()] >= dropped - 2**15).view(x.shape)
    return (x * kept).mul_(2**16 / (2**16 - dropped))


class Dropout(nn.Module):
    """`dropout`, in training only."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        return dropout(x, self.probability if self.training else 0.0)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016, arXiv:1603.09382): drop a residual branch for whole samples.

    Kept branches are divided by the probability of keeping, so that their expectation is unchanged.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Float[Tensor, "batch token dim"]) -> Float[Tensor, "batch token dim"]:
        if not self.training or self.probability == 0:
            return branch
        keep = 1 - self.probability
        mask = torch.rand(branch.shape[0], *[1] * (branch.ndim - 1), device=branch.device) < keep
        return branch * (mask.to(branch.dtype) / keep)


class QKNorm(nn.LayerNorm):
    """Layer norm of queries or keys per head, without bias (Dehghani et al. 2023, arXiv:2302.05442, section 2.1)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, bias=False)


class SwiGLU(nn.Module):
    """An MLP whose hidden layer is a product: SiLU(x W1) * (x W2), then W3 (Shazeer 2020, arXiv:2002.05202, eq. 6).

    `fc1` holds W1 and W2, in this order.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_dim, 2 * config.mlp_dim)
        self.fc2 = nn.Linear(config.mlp_dim, config.embed_dim)
        self.hidden_matrices = {"fc1": 2, "fc2": 1}
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "batch token dim"], tap: Tap = untapped) -> Float[Tensor, "batch token dim"]:
        gate, value = self.fc1(x).chunk(2, dim=-1)
        hidden = tap("hidden", F.silu(gate) * value)
        return self.dropout(self.fc2(self.dropout(hidden)))


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch (Touvron et al. 2021, arXiv:2103.17239, section 2)."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, branch: Float[Tensor, "batch token dim"]) -> Float[Tensor, "batch token dim"]:
        return branch * self.gamma.to(branch.dtype)


def residual_branch(dim: int, layer_scale: float | None, drop_path: float) -> nn.Module:
    """What a block's output passes through before it is added: nothing, unless configured."""
    parts: list[nn.Module] = []
    if layer_scale is not None:
        parts.append(LayerScale(dim, layer_scale))
    if drop_path > 0:
        parts.append(DropPath(drop_path))
    return nn.Sequential(*parts)
