"""What the tokens of a ViT stand for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TokenGrid:
    """The token axis: some named tokens, then the patches row by row."""

    prefix: tuple[str, ...]
    """Tokens before the patches: "class", "distillation", "register 1", ..."""
    height: int
    width: int
    """In patches."""
    patch_size: int
    """Pixels along the side of a patch."""

    @property
    def num_prefix(self) -> int:
        return len(self.prefix)

    @property
    def num_patches(self) -> int:
        return self.height * self.width

    @property
    def num_tokens(self) -> int:
        return self.num_prefix + self.num_patches

    def patches(self, x: Tensor, dim: int = -1) -> Tensor:
        """Drop the named tokens along `dim` and lay its patches out as (height, width)."""
        dim = dim % x.ndim
        return x.narrow(dim, self.num_prefix, self.num_patches).unflatten(dim, (self.height, self.width))

    def distances(self) -> Float[Tensor, "query key"]:
        """Pixels between the centres of every two patches."""
        rows, columns = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        centres = self.patch_size * torch.stack([rows.flatten(), columns.flatten()], dim=1).float()
        return torch.cdist(centres, centres)
