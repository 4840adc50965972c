"""Sets of classes with a promised coverage: split conformal prediction."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def least_probability(of_truth: Float[ndarray, " n"], coverage: float) -> float | None:
    """The probability from which on classes are in a set, that the true class be there in the share `coverage`.

    Of n images that the model has not seen and one more like them, the chance that the true class of the one more is
    at least as probable is from `coverage` to `coverage` + 1 / (n + 1), without ties: Vovk et al. (2005); Angelopoulos
    & Bates (2021), arXiv:2107.07511, theorem 1. None where n is too small for it.

    Args:
        of_truth: the probability of the true class of each of the n images.
        coverage: above 0 and below 1.
    """
    n = len(of_truth)
    # Rounded: 0.9 times 10 must not be a little over 9.
    rank = math.ceil(round((n + 1) * coverage, 9))
    return float(np.sort(of_truth)[n - rank]) if rank <= n else None


def probability_of_truth(probabilities: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> Float[ndarray, " n"]:
    return probabilities[np.arange(len(labels)), labels]
