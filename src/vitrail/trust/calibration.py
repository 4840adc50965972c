"""Whether probabilities are as often right as they say, and the one number that mends it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

BINS = 15
_LEAST_IMAGES = 50
"""To fit a temperature on: of fewer, a few mistakes more or less change it much."""
_STEEPEST = 4.0
"""Of log temperature, either way."""


class Reliability(NamedTuple):
    """By equal bins of confidence, the probability of the predicted class."""

    images: Int[ndarray, " bin"]
    confidence: Float[ndarray, " bin"]
    """Mean; NaN in an empty bin."""
    accuracy: Float[ndarray, " bin"]
    """NaN in an empty bin."""


def reliability(probabilities: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> Reliability:
    """Confidence and accuracy over 15 bins: a confidence on the edge of two is in the upper one, as in torchmetrics."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = (np.bincount(bins, weights=values, minlength=BINS) / images for values in (confidence, correct))
        return Reliability(images, *means)


def calibration_error(probabilities: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over the bins.

    Guo et al. (2017), arXiv:1706.04599, equation 3.
    """
    images, confidence, accuracy = reliability(probabilities, labels)
    return float(np.nansum(images * np.abs(accuracy - confidence)) / len(labels))


def fit_temperature(logits: Float[ndarray, "n class"], labels: Int[ndarray, " n"]) -> float | None:
    """The temperature that makes labels most likely: Guo et al. (2017), arXiv:1706.04599, section 4.2.

    None where there is none (every prediction is right, so that the lower it is the better) or fewer than 50 images.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    if len(labels) < _LEAST_IMAGES or (logits.argmax(axis=1) == labels).all():
        return None
    wide = logits.astype(np.float64)
    gaps = wide - wide[np.arange(len(labels)), labels][:, None]

    def loss(log_temperature: float) -> float:
        return float(logsumexp(gaps / np.exp(log_temperature), axis=1).mean())

    found = minimize_scalar(loss, bounds=(-_STEEPEST, _STEEPEST), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
