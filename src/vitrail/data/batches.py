"""Which images a training step sees: a pure function of seed and step, so that any step can be repeated."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=1)
def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of 0..count-1; models trained with the same seed see the same images in the same order."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random within a step: augmentation, dropout, stochastic depth."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
