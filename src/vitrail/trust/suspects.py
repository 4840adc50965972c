"""Training images whose label is likely wrong: while it learns, the model keeps preferring another class."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def margins(logits: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> Float[ndarray, " n"]:
    """The label's logit less the highest other one: below 0 where the model prefers another class."""
    own = np.arange(logits.shape[1]) == labels[:, None]
    return logits[own] - np.where(own, -np.inf, logits).max(axis=1)


def suspects(mean_margins: Float[ndarray, " n"], most: int) -> Int[ndarray, " s"]:
    """The images whose mean margin over the epochs is below 0, lowest first.

    The area under the margin of Pleiss et al. (2020), arXiv:2001.10528, equation 1. NaN is of an image never seen.
    """
    order = np.argsort(mean_margins, kind="stable")
    return order[mean_margins[order] < 0][:most]
