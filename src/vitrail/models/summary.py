"""What a model consists of and costs, without allocating its weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vitrail.configs import ModelConfig
from vitrail.models.build import build_model, count_parameters

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
    parts, shapes = _parts(model), dict[str, tuple[Shape, Shape]]()

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        shapes[name] = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])

    for name, module in parts:
        module.register_forward_hook(functools.partial(note, name))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    # Tokens and positions: of parts that no input passes through.
    called = tuple(f"{name}." for name in shapes)
    tokens = [
        Row(name, "Parameter", (), tuple(parameter.shape[1:]), parameter.numel())
        for name, parameter in model.named_parameters()
        if not name.startswith(called)
    ]
    first, *others = [
        Row(name, type(module).__name__, *shapes[name], sum(p.numel() for p in module.parameters()))
        for name, module in parts
        if name in shapes
    ]
    return Summary(
        rows=(first, *tokens, *others),
        parameters=count_parameters(model),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        megabytes=sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6,
        multiply_adds=counter.get_total_flops() // 2,
    )


def _parts(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The rows people know: lists of blocks, stages and layers opened, everything else whole."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        opened = type(child) in (nn.ModuleList, nn.Sequential) and name != "pool"
        parts += _parts(child, f"{prefix}{name}.") if opened else [(f"{prefix}{name}", child)]
    return parts
