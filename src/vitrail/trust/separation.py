"""How well a score tells two kinds of images apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


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
