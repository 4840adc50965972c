"""What a recipe is."""

from __future__ import annotations

from dataclasses import dataclass

from vitrail.configs import DataConfig, ModelConfig, TrainConfig


@dataclass(frozen=True)
class Recipe:
    """Data, model and training that belong together. What none of them fixes is chosen when it runs, and said."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    model_name: str
    """What the model goes by in runs and reports."""
    seeds: int = 3
    """How many runs make a record."""
