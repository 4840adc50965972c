"""How much a run's steps cost: small images, which may come first, cost less."""

from __future__ import annotations

import dataclasses

from vitrail.configs import ModelConfig, TrainConfig
from vitrail.models.summary import summarize


def cumulative_cost(share: float, model: ModelConfig, train: TrainConfig) -> float:
    """What the first `share` of the steps adds to the mean cost of a forward pass, in multiply-adds per image.

    It is 0 at 0, and at 1 the mean over the whole run.
    """
    full = summarize(model).multiply_adds
    assert train.small_side != "auto"
    if train.small_side is None:
        return share * full
    small = summarize(dataclasses.replace(model, image_size=train.small_side)).multiply_adds
    until = min(share, train.small_until)
    return until * small + (share - until) * full
