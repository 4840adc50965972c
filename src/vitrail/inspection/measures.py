"""The measures of faithfulness, from arrays to one number for each image."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

_MARGIN = 0.04


def widened(masks: Bool[Tensor, "batch height width"]) -> Bool[Tensor, "batch height width"]:
    """Masks with the margin within which pointing counts as a hit: 4 % of the shorter side.

    Zhang et al. (2018, section 4.2) allow 15 pixels in photographs of mostly 375 x 500.
    """
    margin = round(_MARGIN * min(masks.shape[-2:]))
    if margin == 0:
        return masks
    return F.max_pool2d(masks[:, None].float(), 2 * margin + 1, stride=1, padding=margin)[:, 0] > 0


def pointing(maps: Float[Tensor, "batch row column"], masks: Bool[Tensor, "batch height width"]) -> NDArray[np.float64]:
    """(batch,) how far the middle of the map's highest cell lies in the widened mask, 0 or 1 but for its edge.

    The mean over equally high cells. A map without a highest cell, as one that is zero everywhere, points by chance: it
    scores the share of the image that the widened mask covers (0.31 on `shapes` of 16 pixels; in Quantus, where any of
    the highest points may hit, 1). Maps come at their own resolution: enlarged, their peaks
    would be lowered by their neighbours everywhere but at the border of the image.
    """
    wide = widened(masks).double()
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    # Without antialiasing, the value in the middle of every cell.
    inside = F.interpolate(wide[:, None], size=maps.shape[-2:], mode="bilinear")[:, 0]
    hits = (highest * inside).sum(dim=(1, 2)) / highest.sum(dim=(1, 2))
    return torch.where(highest.flatten(1).all(dim=1), wide.mean(dim=(1, 2)), hits).numpy()


def inside_mass(
    maps: Float[Tensor, "batch height width"], masks: Bool[Tensor, "batch height width"]
) -> NDArray[np.float64]:
    """(batch,) share of the map's positive part that lies in the mask; NaN where there is no positive part."""
    positive = maps.double().clamp(min=0)
    return ((positive * masks).sum(dim=(1, 2)) / positive.sum(dim=(1, 2))).numpy()


def response(before: Float[Tensor, "batch cell"], after: Float[Tensor, "batch cell"]) -> NDArray[np.float64]:
    """(batch,) 1 - |Spearman's rank correlation| over cells, equal ones sharing their mean rank; NaN for a flat map."""
    a, b = (rankdata(values.double().numpy(), axis=-1) for values in (before, after))
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return 1 - np.abs(np.divide((a * b).sum(axis=-1), size, out=np.full(len(a), np.nan), where=size > 0))


def area_under(curves: NDArray[np.float64], hidden: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean height of curves (batch, point) over the share of cells hidden at every point (trapezoidal rule)."""
    widths = np.diff(hidden) / hidden[-1]
    return (curves[:, 1:] + curves[:, :-1]) / 2 @ widths


def saco(salience: NDArray[np.float64], drops: NDArray[np.float64]) -> NDArray[np.float64]:
    """The salience-guided faithfulness coefficient: whether what is called more salient matters more, in [-1, 1].

    Every pair of groups weighs the difference of their salience, with a plus where the more salient one's absence
    lowers the probability more and a minus where it lowers it less (Wu et al. 2024, arXiv:2404.01415, algorithm 1).
    Equal drops count neither way: the paper counts them as a plus, which would reward any map of a model that does not
    care.

    Args:
        salience: (batch, group) mean over the cells of a group; not their sum as in the paper, since sizes may differ
            by one: of 16 cells in 10 groups, random maps would have 0.13 on digits instead of 0.03.
        drops: (batch, group) fall of the target's probability when only this group is hidden.

    Returns:
        (batch,); NaN where all groups are equally salient.
    """
    first, second = np.triu_indices(salience.shape[-1], k=1)
    weights = salience[:, first] - salience[:, second]
    total = np.abs(weights).sum(axis=-1)
    agreed = (weights * np.sign(drops[:, first] - drops[:, second])).sum(axis=-1)
    return np.divide(agreed, total, out=np.full(len(total), np.nan), where=total > 0)
