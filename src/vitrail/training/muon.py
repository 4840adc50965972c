"""Muon, with all matrices of one shape orthogonalised together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Jordan et al. (2024): steep at zero, and never far from one for singular values between zero and one.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_TINY = 1e-7
# Elements of the matrices that are stacked: the stack and its products are memory beside the model's own.
_MOST_TOGETHER = 2**25


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is orthogonalised (Jordan et al. 2024), decayed and scaled as AdamW's is.

    The scale is 0.2 sqrt(max(rows, columns)), which matches AdamW's RMS (Liu et al. 2025, arXiv:2502.16982, equation
    4). It computes what `torch.optim.Muon(..., adjust_lr_fn="match_rms_adamw")` does, and keeps the same state. A
    model has few shapes and many matrices of each: one batched product instead of many small ones takes a fifth
    less time on a CPU.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for alike in _of_one_shape([p for p in group["params"] if p.grad is not None]):
                stacked = torch.stack([_wide(self._momentum(p, momentum)).bfloat16() for p in alike])
                for p, update in zip(alike, orthogonalize(stacked), strict=True):
                    p.mul_(1 - lr * group["weight_decay"])
                    p.add_(update if p.shape == update.shape else update.mT, alpha=-lr * 0.2 * math.sqrt(max(p.shape)))

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """The gradient mixed with its moving average, which it moves: Nesterov's form."""
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)


def orthogonalize(matrices: Float[Tensor, "matrix row column"]) -> Float[Tensor, "matrix row column"]:
    """U S' V^T for every matrix U S V^T, with S' near one, by five Newton-Schulz iterations; rows at most columns."""
    x = matrices / torch.linalg.matrix_norm(matrices, keepdim=True).clamp(min=_TINY)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x


def _wide(matrix: Tensor) -> Tensor:
    """With at least as many columns as rows."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _of_one_shape(params: list[Tensor]) -> Iterator[list[Tensor]]:
    """Groups of matrices that have one shape, wide or tall, none with too many elements."""
    shapes: dict[torch.Size, list[Tensor]] = {}
    for p in params:
        shapes.setdefault(_wide(p).shape, []).append(p)
    for shape, alike in shapes.items():
        at_once = max(_MOST_TOGETHER // shape.numel(), 1)
        yield from (alike[start : start + at_once] for start in range(0, len(alike), at_once))
