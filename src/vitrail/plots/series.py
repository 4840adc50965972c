"""Curves as arrays, before they are drawn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def smooth(values: Float[ndarray, " n"], window: int) -> Float[ndarray, " n"]:
    """Mean over the `window` entries centred on each one; fewer at both ends, and NaN is left out."""
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    totals = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(values))
    start = np.maximum(at - (window - 1) // 2, 0)
    stop = np.minimum(at + window // 2 + 1, len(values))
    number = counts[stop] - counts[start]
    return np.where(number > 0, (totals[stop] - totals[start]) / np.maximum(number, 1), np.nan)


def thin(values: Float[ndarray, " n"], most: int) -> Int[ndarray, " m"]:
    """Indices of at most `most` entries that keep the ends and every stretch's lowest and highest value."""
    n = len(values)
    if n <= most:
        return np.arange(n)
    edges = np.linspace(0, n, max(1, (most - 2) // 2) + 1).astype(int)
    kept = {0, n - 1}
    filled = np.where(np.isfinite(values), values, np.nan)
    for start, stop in pairwise(edges):
        stretch = filled[start:stop]
        if not np.all(np.isnan(stretch)):
            kept |= {start + int(np.nanargmin(stretch)), start + int(np.nanargmax(stretch))}
    return np.array(sorted(kept))


def mean_and_std(values: Float[ndarray, "seed e"]) -> tuple[Float[ndarray, " e"], Float[ndarray, " e"]]:
    """Mean and sample standard deviation over the seeds that have a value; NaN where there are too few."""
    known = np.isfinite(values)
    number = known.sum(axis=0)
    mean = np.where(number > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(number, 1), np.nan)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.where(number > 1, np.sqrt(squares / np.maximum(number - 1, 1)), np.nan)
