"""What a model still says when cells of an image are hidden: the raw material of deletion, insertion and SaCo.

A cell is a patch of a ViT, or a tile of about that size for a CNN. Maps are averaged over cells, and cells are what is
hidden, so that methods with one value per patch, per pixel or none at all are treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from vitrail.configs import Size
from vitrail.inspection.batches import each_on_one_thread
from vitrail.inspection.measures import area_under, saco

Baseline = Literal["mean", "blur"]
"""What stands in for a hidden cell: the data set's mean colour, or the image so blurred that no detail is left."""
BASELINES: tuple[Baseline, ...] = get_args(Baseline)

Predict = Callable[[Float[Tensor, "row channel height width"], Int[Tensor, " row"]], Float[Tensor, " row"]]
"""From normalised images and one class for each to the probabilities of these classes."""

Advance = Callable[[int], None]

STEPS = 16
"""Points of a curve, less one, where there are as many cells."""
GROUPS = 10
"""Of cells in SaCo, where there are as many: the paper's K."""

_BLUR = 1 / 8
# On a CPU, what fits its caches; a GPU wants more.
_PIXELS_AT_ONCE = 32 * 32 * 32
_ON_GPU = 16


def cell_means(maps: Float[Tensor, "batch height width"], cells: Size) -> Float[Tensor, "batch cell"]:
    """Maps averaged over a grid (rows, columns) of cells, row by row; a map that is coarser is enlarged first.

    Cells overlap where they do not divide the map.
    """
    if maps.shape[1] < cells[0] or maps.shape[2] < cells[1]:
        maps = F.interpolate(maps[:, None], size=cells, mode="bilinear")[:, 0]
    return F.adaptive_avg_pool2d(maps[:, None], cells).flatten(1)


def cell_along(side: int, cells: int) -> Int[Tensor, " side"]:
    """The row (or column) of cells that each row (or column) of pixels lies in; they differ by a pixel at most."""
    return torch.arange(side) * cells // side


def stand_in(
    images: Float[Tensor, "batch channel height width"], baseline: Baseline
) -> Float[Tensor, "batch channel height width"]:
    """What normalised images are replaced by where they are hidden.

    "mean" is 0, the mean of the data set; "blur" is a Gaussian blur whose standard deviation is an eighth of the side,
    the image mirrored at its edges.
    """
    if baseline == "mean":
        return torch.zeros_like(images)
    for dim in (-2, -1):
        sigma = _BLUR * images.shape[dim]
        reach = min(math.ceil(3 * sigma), images.shape[dim] - 1)
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
        lines = images.movedim(dim, -1)
        padded = F.pad(lines.flatten(0, 1), (reach, reach), mode="reflect")
        blurred = F.conv1d(padded.flatten(0, 1)[:, None], (weights / weights.sum())[None, None])
        images = blurred.view(lines.shape).movedim(-1, dim)
    return images


def ranks(salience: Float[Tensor, "batch cell"], seed: int = 0) -> NDArray[np.int64]:
    """(batch, cell) places of the cells, 0 the most salient; equal ones take places at random.

    At random because many maps are zero over large parts, and the order of the cells in the image must not decide.
    """
    values = salience.numpy()
    lots = np.random.default_rng(seed).random(values.shape)
    return np.lexsort((lots, -values)).argsort(axis=-1)


def curve_points(num_cells: int) -> NDArray[np.int64]:
    """How many cells are hidden at every point of a curve, from none to all."""
    return np.rint(np.linspace(0, num_cells, min(STEPS, num_cells) + 1)).astype(np.int64)


def groups(ranked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every cell's group for SaCo, 0 the most salient, by its rank.

    Sizes differ by one at most, and read the same from both ends as far as can be: if the larger groups came first, a
    larger drop would seem to go with salience.
    """
    num_cells = ranked.shape[-1]
    bounds = np.rint(np.linspace(0, num_cells, min(GROUPS, num_cells) + 1)).astype(np.int64)[1:]
    return np.searchsorted(bounds, ranked, side="right")


def num_passes(num_cells: int) -> int:
    """How many forward passes `MaskedImages.measured` takes for one image."""
    return 2 * (min(STEPS, num_cells) - 1) + min(GROUPS, num_cells)


@dataclass(frozen=True, eq=False)
class MaskedImages:
    """Images whose cells can be hidden, and what a model predicts then."""

    predict: Predict
    images: Float[Tensor, "batch channel height width"]
    """Normalised."""
    stand_ins: Float[Tensor, "batch channel height width"]
    """What their hidden cells are replaced by; see `stand_in`."""
    targets: Int[Tensor, " batch"]
    """The class whose probability is followed."""
    cells: Size
    """Rows and columns of the grid."""

    @cached_property
    def ends(self) -> NDArray[np.float64]:
        """(batch, 2) probability of the target with nothing hidden and with all: the ends of every curve."""
        hidden = torch.tensor([False, True])[:, None].expand(len(self.images), 2, self.cells[0] * self.cells[1])
        return self.probabilities(hidden)

    def measured(
        self, salience: Float[Tensor, "batch cell"], seed: int = 0, advance: Advance = lambda n: None
    ) -> dict[str, NDArray[np.float64]]:
        """Deletion, insertion, LeRF - MoRF and SaCo of one map (by `cell_means`) for each image, each (batch,).

        `seed` orders equally salient cells; `advance` is told how many forward passes were made.
        """
        ranked = ranks(salience, seed)
        morf, lerf = self.curves(ranked, advance)
        group_of = groups(ranked)
        alone = group_of[:, None] == np.arange(group_of.max() + 1)[:, None]
        drops = self.ends[:, :1] - self.probabilities(torch.from_numpy(alone), advance)
        points = curve_points(ranked.shape[-1])
        deletion, insertion = area_under(morf, points), area_under(lerf, points)
        of_groups = (alone * salience.double().numpy()[:, None]).sum(axis=-1) / alone.sum(axis=-1)
        return {
            "deletion": deletion,
            "insertion": insertion,
            "lerf_minus_morf": insertion - deletion,
            "saco": saco(of_groups, drops),
        }

    def curves(
        self, ranked: NDArray[np.int64], advance: Advance = lambda n: None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The target's probability at `curve_points`, each (batch, point): hiding the most salient cells first (MoRF)
        and the least salient first (LeRF).

        The second, read backwards, is insertion: the most salient cells are put back first.
        """
        num_cells = ranked.shape[-1]
        between = curve_points(num_cells)[1:-1, None]
        most_first, least_first = ranked[:, None] < between, ranked[:, None] >= num_cells - between
        found = self.probabilities(torch.from_numpy(np.concatenate([most_first, least_first], axis=1)), advance)
        start, end = self.ends[:, :1], self.ends[:, 1:]
        morf, lerf = (np.concatenate([start, part, end], axis=1) for part in np.split(found, 2, axis=1))
        return morf, lerf

    def probabilities(
        self, hidden: Bool[Tensor, "batch way cell"], advance: Advance = lambda n: None
    ) -> NDArray[np.float64]:
        """(batch, way) probability of the target with these cells hidden.

        Many images and ways go through the model together, on a CPU in several threads.
        """
        device, (height, width) = self.images.device, self.images.shape[-2:]
        row_of, column_of = (cell_along(*along).to(device) for along in zip((height, width), self.cells, strict=True))
        rows = rearrange(hidden, "batch way (row column) -> (batch way) row column", row=self.cells[0]).to(device)
        image_of = torch.arange(len(self.images), device=device).repeat_interleave(hidden.shape[1])
        room = _PIXELS_AT_ONCE * (1 if device.type == "cpu" else _ON_GPU)
        at_once = max(1, room // (height * width))

        def with_hidden(some: Tensor, at: Tensor) -> Tensor:
            pixels = some[:, row_of][:, :, column_of][:, None]
            return self.predict(torch.where(pixels, self.stand_ins[at], self.images[at]), self.targets[at]).cpu()

        parts = []
        with each_on_one_thread(device) as spread:
            for part in spread(with_hidden, rows.split(at_once), image_of.split(at_once)):
                parts.append(part)
                advance(len(part))
        return torch.cat(parts).double().numpy().reshape(hidden.shape[:2])
