"""From a configuration to a model."""

from __future__ import annotations

from vitrail.configs import CNNConfig, ModelConfig
from vitrail.models.cnn import CNN
from vitrail.models.vit import ViT

Model = ViT | CNN


def build_model(config: ModelConfig) -> Model:
    return CNN(config) if isinstance(config, CNNConfig) else ViT(config)


def count_parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
