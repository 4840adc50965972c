"""What a model consists of and costs, without allocating its weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vitrail.configs import CNNConfig, ModelConfig, ViTConfig
from vitrail.models.build import Model, build_model, count_parameters

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One part of the model; shapes are those of one image, without the batch."""

    name: str
    type: str
    input: Shape
    output: Shape
    parameters: int


@dataclass(frozen=True)
class Summary:
    """Multiply-adds are of one image's forward pass, in matrix products and convolutions alone."""

    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    megabytes: float
    multiply_adds: int


@functools.cache
def summarize(config: ModelConfig) -> Summary:
    """Run one image through a model that has shapes but no weights (torch's meta device)."""
    with torch.device("meta"):
        model = build_model(config).eval()
        image = torch.empty(1, config.in_channels, *config.size)
    shapes: dict[str, tuple[Shape, Shape]] = {}

    def note(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            shapes[name] = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])

        module.register_forward_hook(hook)

    for name, module in model.named_modules():
        note(name, module)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    parts = _parts(model)
    # Tokens and positions: of parts that no input passes through.
    called = tuple(f"{name}." for name, _ in parts if name in shapes)
    tokens = [
        Row(name, "Parameter", (), tuple(parameter.shape[1:]), parameter.numel())
        for name, parameter in model.named_parameters()
        if not name.startswith(called)
    ]
    rows = [
        Row(name, type(module).__name__, *shapes[name], sum(p.numel() for p in module.parameters()))
        for name, module in parts
        if name in shapes
    ]
    first = rows[:1] if isinstance(config, ViTConfig) else []
    rows = [*first, *tokens, *rows[len(first) :]]
    return Summary(
        rows=tuple(rows),
        parameters=count_parameters(model),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        megabytes=sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6,
        multiply_adds=counter.get_total_flops() // 2,
    )


def _parts(model: Model) -> list[tuple[str, nn.Module]]:
    """The rows people know: stages or blocks opened one level, other children whole."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            parts += [
                (f"{name}.{place}", module)
                for place, module in child.named_children()
                if isinstance(model.config, ViTConfig)
            ]
            if isinstance(model.config, CNNConfig):
                parts += [
                    (f"{name}.{stage}.{place}", module)
                    for stage, layers in child.named_children()
                    for place, module in layers.named_children()
                ]
        elif isinstance(child, nn.Sequential) and name == "head":
            parts += [(f"{name}.{place}", module) for place, module in child.named_children()]
        else:
            parts.append((name, child))
    return parts
