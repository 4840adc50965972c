"""From a configuration to a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from vitrail.configs import CNNConfig, ModelConfig
from vitrail.models.cnn import CNN
from vitrail.models.vit import ViT

Model = ViT | CNN
"""Every model says what it has: its configuration by `kind`, `has`, `layers`, `feature_layer`, `heads` and more, itself
by `token_grid`, `positions` and `classify`. The type checker refuses what only one of them has."""


def build_model(config: ModelConfig) -> Model:
    return CNN(config) if isinstance(config, CNNConfig) else ViT(config)


def count_parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def uncompiled(model: Model) -> Model:
    """The model itself, where it may be wrapped by `torch.compile`; both share their weights."""
    return getattr(model, "_orig_mod", model)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every part is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
