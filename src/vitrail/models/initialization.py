"""Initial weights that are nearer to trained ones than random: attention to near patches, decorrelated pixels."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

_QUERY_KEY_IDENTITY, _QUERY_KEY_NOISE = 0.7, 0.7
_VALUE_IDENTITY, _VALUE_NOISE = -0.4, 0.4
# Two minutes of CIFAR-10, one seed each: 63.5 % with 0.01, 64.8 % with 0.1, 65.3 % with 0.4 at a slightly higher rate.
_ADDED_VARIANCE = 0.3
_TINY = 1e-12


@torch.no_grad()
def mimetic(qkv: nn.Linear, proj: nn.Linear, num_heads: int) -> None:
    """Start queries and keys so that like attends to like, and values so that their projection subtracts the mean.

    In every head W_Q^T W_K is the best approximation, of the head's rank, to noise plus 0.7 times the identity;
    W_proj W_V is noise minus 0.4 times it (Trockman & Kolter 2023, arXiv:2305.09828). Where position embeddings are
    alike for near patches (`sincos`), heads therefore begin by attending to near patches.
    """
    if qkv.weight.is_meta:
        return
    queries, keys, values = qkv.weight.chunk(3)
    dim, width = len(queries), len(queries) // num_heads
    for q, k in zip(queries.split(width), keys.split(width), strict=True):
        u, s, v = torch.svd_lowrank(_near_identity(dim, _QUERY_KEY_IDENTITY, _QUERY_KEY_NOISE), q=width, niter=6)
        q.copy_((u * s.sqrt()).mT)
        k.copy_((v * s.sqrt()).mT)
    u, s, vt = torch.linalg.svd(_near_identity(dim, _VALUE_IDENTITY, _VALUE_NOISE))
    values.copy_(s.sqrt()[:, None] * vt)
    proj.weight.copy_(u * s.sqrt())


def _near_identity(dim: int, diagonal: float, noise: float) -> Float[Tensor, "dim dim"]:
    return noise * torch.randn(dim, dim) / math.sqrt(dim) + diagonal * torch.eye(dim)


@torch.no_grad()
def whiten(proj: nn.Linear, patches: Float[Tensor, "patch vector"]) -> None:
    """Start a patch embedding so that it sees the details of patches as well as their brightness.

    Neighbouring pixels are alike, so that a random embedding sees little else than the mean of a patch. Patches are
    turned to their principal axes, an axis of variance v is scaled to the variance v / (v + 0.3 mean(v)), and the whole
    is turned at random (after the patch-whitening layer of Jordan 2024, arXiv:2404.00498, section 3.2, with more added
    to v). A token narrower than a patch keeps the axes that vary most. `patches` are normalised, as the model sees
    them; there should be several times as many as numbers in one.
    """
    dim, length = proj.weight.shape
    variances, axes = torch.linalg.eigh(torch.cov(patches.mT).double())
    scale = (variances.clamp(min=0) + _ADDED_VARIANCE * variances.mean()).clamp(min=_TINY).rsqrt()
    kept = min(dim, length)
    white = (scale[:, None] * axes.mT)[-kept:]
    turned = torch.linalg.qr(torch.randn(dim, kept, dtype=white.dtype)).Q
    weight = math.sqrt(dim / kept) * turned @ white
    proj.weight.copy_(weight)
    proj.bias.copy_(-weight @ patches.mean(dim=0).double())
