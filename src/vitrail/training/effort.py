"""How much of a run's work lies in which of its steps: small images, which may come first, cost less."""

from __future__ import annotations

import dataclasses
import functools

from vitrail.configs import ModelConfig, TrainConfig
from vitrail.models.summary import summarize


@functools.lru_cache(maxsize=16)
def _multiply_adds(model: ModelConfig) -> int:
    return summarize(model).multiply_adds


def effort(share: float, model: ModelConfig, train: TrainConfig) -> float:
    """What the first `share` of the steps adds to the mean cost of a forward pass, in multiply-adds per image.

    It is 0 at 0, and at 1 the mean over the whole run.
    """
    full = _multiply_adds(model)
    if train.small_side is None:
        return share * full
    small = _multiply_adds(dataclasses.replace(model, image_size=train.small_side))
    until = min(share, train.small_until)
    return until * small + (share - until) * full
