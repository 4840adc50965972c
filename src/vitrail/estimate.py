"""What several values come to: a mean, how far they lie apart, and how well the mean is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vitrail.text import plural

MEAN_AND_STD = "mean ± standard deviation"
MEAN_AND_HALF = "mean ± half of the 95 % interval"
"""What is printed, in the words that stand wherever it is: the first of runs that are described (a comparison, a recipe
beside its source), the second where something is concluded from a mean (a study, a measure of faithfulness)."""


@dataclass(frozen=True)
class Estimate:
    """Of values over seeds or over images."""

    mean: float
    """NaN where no value is defined."""
    std: float | None = None
    """Sample standard deviation; None of fewer than two values."""
    half: float | None = None
    """Half the width of the 95 % interval of the mean; None of fewer than two values."""
    values: tuple[float, ...] = ()
    """NaN where undefined."""

    @property
    def known(self) -> bool:
        return math.isfinite(self.mean)

    @property
    def low(self) -> float:
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half or 0.0)

    def among(self, others: int) -> Estimate:
        """With an interval as wide as `others` of them need to hold together at 95 % (Bonferroni)."""
        count = int(np.isfinite(self.values).sum())
        if self.half is None or count < 2:
            return self
        return replace(self, half=self.half * (_quantile(0.025 / others, count) / _quantile(0.025, count)))


def estimate(values: Iterable[float | None]) -> Estimate:
    """Of a sample; values that are None or NaN (not defined) are left out.

    The interval is by Student's t with one degree of freedom less than there are values.
    """
    every = np.array(list(values), dtype=np.float64)
    known = every[~np.isnan(every)]
    stored = tuple(every.tolist())
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else math.nan, values=stored)
    std = known.std(ddof=1)
    half = _quantile(0.025, len(known)) * std / np.sqrt(len(known))
    return Estimate(float(known.mean()), float(std), float(half), stored)


def over_seeds(count: int, spread: str) -> str:
    """`3 seeds, mean ± standard deviation`, where `spread` is one of those above."""
    return plural(count, "seed") + (f", {spread}" if count > 1 else "")


def wilson_interval(fraction: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share measured on `images` images (Wilson 1927), as two fractions."""
    z2 = 1.959964**2
    middle = (fraction + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(z2 * (fraction * (1 - fraction) / images + z2 / (4 * images**2))) / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def balanced_interval(right: NDArray[np.int64], images: NDArray[np.int64]) -> tuple[float, float]:
    """The 95 % interval of balanced accuracy, from the images of each class and how many of them were right.

    By the distribution of the mean of the classes' shares, each with Jeffreys' prior (Brodersen et al. 2010, "The
    balanced accuracy and its posterior distribution"), drawn 4,000 times with a fixed seed.
    """
    draws = np.random.default_rng(0).beta(right + 0.5, images - right + 0.5, (4000, len(right))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _quantile(tail: float, count: int) -> float:
    # SciPy takes a while to load: what only shows estimates does without.
    from scipy.stats import t

    return float(t.ppf(1 - tail, count - 1))
