"""Images unlike those of training: how far from them what the model reads of an image lies, and what that tells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vitrail.runs.trust import Spread

_SHRINKAGE = 1e-3
"""Of the mean variance, added to every direction: a few images do not fill all of them."""


def fit_spread(features: Float[ndarray, "n d"]) -> Spread:
    """Where the features of training images lie: one Gaussian for all classes."""
    wide = features.astype(np.float64)
    covariance = np.atleast_2d(np.cov(wide.T))
    ridge = _SHRINKAGE * np.trace(covariance) / len(covariance) + np.finfo(np.float32).tiny
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return Spread(wide.mean(axis=0).astype(np.float32), np.linalg.cholesky(precision).astype(np.float32))


class Auroc(NamedTuple):
    """The chance that a score is higher for one of the second kind, ties counted half; and its 95 % interval."""

    value: float
    low: float
    high: float


def auroc(like: Float[ndarray, " n"], unlike: Float[ndarray, " m"]) -> Auroc:
    """Area under the ROC curve of scores, with the interval of DeLong et al. (1988). Both kinds have images."""
    below, above = np.sort(like), np.sort(unlike)
    # Of each image: the share of the other kind that it is on the right side of.
    of_unlike = (np.searchsorted(below, unlike) + np.searchsorted(below, unlike, "right")) / (2 * len(like))
    of_like = 1 - (np.searchsorted(above, like) + np.searchsorted(above, like, "right")) / (2 * len(unlike))
    value = float(of_unlike.mean())
    variance = sum(float(of.var(ddof=1)) / len(of) if len(of) > 1 else 0.0 for of in (of_unlike, of_like))
    half = 1.959964 * variance**0.5
    return Auroc(value, max(0.0, value - half), min(1.0, value + half))
