"""How a ViT knows where its patches are, for any grid of patches (Dosovitskiy et al. 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.configs import Size, ViTConfig


class Positions(nn.Module):
    """No positions, and what the other kinds have in common."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()

    def embeddings(self, grid: Size) -> Float[Tensor, "1 token dim"] | None:
        """What is added to the last tokens, the patches of a grid (height, width) among them; None adds nothing."""
        return None


class Learned(Positions):
    """A vector for each patch, and with `pos_prefix` for class and distillation token (section 3.1)."""

    undecayed = ("embed",)

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.grid, self.antialias = config.grid, config.pos_antialias
        self.num_prefix = config.num_placed_prefix if config.pos_prefix else 0
        self.embed = nn.Parameter(torch.zeros(1, self.num_prefix + config.num_patches, config.embed_dim))

    def embeddings(self, grid: Size) -> Float[Tensor, "1 token dim"]:
        return resample(self.embed, self.num_prefix, self.grid, grid, self.antialias)


class Learned2d(Positions):
    """A vector for each row and for each column (appendix D.4)."""

    undecayed = ("rows", "columns")

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.rows, self.columns = (nn.Parameter(torch.zeros(side, config.embed_dim // 2)) for side in config.grid)

    def embeddings(self, grid: Size) -> Float[Tensor, "1 patch dim"]:
        return rows_and_columns(self.rows, self.columns, grid)


class SinCos(Positions):
    """Fixed sines and cosines of row and column."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.grid, self.dim = config.grid, config.embed_dim

    def embeddings(self, grid: Size) -> Float[Tensor, "1 patch dim"]:
        return sincos_2d(grid, self.dim, spanning=self.grid)


POSITIONS: dict[str, type[Positions]] = {
    "learned": Learned,
    "learned2d": Learned2d,
    "sincos": SinCos,
    "none": Positions,
}


def sincos_2d(
    grid: Size, dim: int, base: float = 10_000.0, spanning: Size | None = None
) -> Float[Tensor, "1 patch dim"]:
    """Fixed sine and cosine embeddings of row and column, half of the channels each.

    The 2-D form of Vaswani et al. (2017, section 3.5), as in MoCo v3 (Chen et al. 2021, arXiv:2104.02057).
    `dim` must be a multiple of 4. Patches that span the image of another grid have that grid's embeddings at the
    points where they lie.
    """
    frequencies = base ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    coordinates = (
        (torch.arange(own, dtype=torch.float64) + 0.5) * (whole / own) - 0.5
        for own, whole in zip(grid, spanning or grid, strict=True)
    )
    rows, columns = torch.meshgrid(*coordinates, indexing="ij")
    angles = [position.flatten()[:, None] * frequencies for position in (columns, rows)]
    return torch.cat([wave(a) for a in angles for wave in (torch.sin, torch.cos)], dim=1)[None].float()


def rows_and_columns(
    rows: Float[Tensor, "height half"], columns: Float[Tensor, "width half"], grid: Size
) -> Float[Tensor, "1 patch dim"]:
    """Learned embeddings of row and column, half of the channels each (Dosovitskiy et al. 2021, appendix D.4).

    For a grid of another size they are interpolated linearly.
    """
    if (len(rows), len(columns)) != grid:
        rows, columns = (
            F.interpolate(side.mT[None].float(), size=length, mode="linear")[0].mT.to(side.dtype)
            for side, length in zip((rows, columns), grid, strict=True)
        )
    height, width = grid
    return torch.cat([repeat(rows, "h d -> 1 (h w) d", w=width), repeat(columns, "w d -> 1 (h w) d", h=height)], dim=-1)


def resample(
    pos_embed: Float[Tensor, "1 token dim"], num_prefix: int, old_grid: Size, new_grid: Size, antialias: bool = True
) -> Float[Tensor, "1 new_token dim"]:
    """Interpolate the patches' embeddings to another grid, bicubically (Dosovitskiy et al. 2021, section 3.2).

    The first `num_prefix` rows (class and distillation token) have no place in the grid and are kept. `antialias`
    smooths before a coarser grid is read off.
    """
    if old_grid == new_grid:
        return pos_embed
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    image = rearrange(patches, "1 (h w) d -> 1 d h w", h=old_grid[0], w=old_grid[1])
    image = F.interpolate(image.float(), size=new_grid, mode="bicubic", align_corners=False, antialias=antialias)
    return torch.cat([prefix, rearrange(image, "1 d h w -> 1 (h w) d").to(prefix.dtype)], dim=1)
