"""Optimizers, which parameters they take, and learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.configs import TrainConfig
from vitrail.models.build import Model
from vitrail.training.muon import Muon

MUON_MOMENTUM = 0.95


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """The rate of step 0..total-1: a linear rise over the warm-up, then constant, or falling to 0 at `total`."""
    peak, warmup_share = config.lr, config.warmup
    assert peak is not None
    assert warmup_share is not None
    warmup = round(total * warmup_share)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return peak
    progress = (step - warmup) / max(total - warmup, 1)
    return peak * (0.5 * (1 + math.cos(math.pi * progress)) if config.schedule == "cosine" else 1 - progress)


def moving_average(averages: list[Tensor], latest: list[Tensor], count: Tensor, decay: float) -> None:
    """Move averages of `count` models towards one more, in place: the `multi_avg_fn` of `AveragedModel`.

    They keep min(decay, (1 + count) / (10 + count)) of themselves (as tf.train.ExponentialMovingAverage with
    `num_updates`): with `decay` from the start, a short run would end with much of its first weights.
    """
    if not averages[0].is_floating_point():
        torch._foreach_copy_(averages, latest)
        return
    kept = min(decay, (1 + int(count)) / (10 + int(count)))
    torch._foreach_lerp_(averages, latest, 1 - kept)


def _hidden_matrices(model: nn.Module) -> dict[Tensor, int]:
    """Weights between hidden layers, each with how many matrices it holds, one above the other.

    A module names its layers that have such weights, with these numbers, in `hidden_matrices`.
    """
    return {
        module.get_parameter(f"{layer}.weight"): parts
        for module in model.modules()
        for layer, parts in getattr(module, "hidden_matrices", {}).items()
    }


def _undecayed(model: nn.Module) -> set[Tensor]:
    """Biases, norms and scales, and the tokens and positions that modules name in `undecayed`."""
    named = {getattr(module, name) for module in model.modules() for name in getattr(module, "undecayed", ())}
    return named | {parameter for parameter in model.parameters() if parameter.ndim < 2}


def build_optimizers(model: Model, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """One optimizer, or Muon on the matrices between hidden layers and AdamW on the rest.

    Muon's rate is adjusted to match AdamW's RMS, so that both share one schedule; a CNN has AdamW alone. Matrices
    that are stored as one are orthogonalised each by itself. Plain Adam decays every parameter, as torch's own does.
    """
    parameters, undecayed = list(model.parameters()), _undecayed(model)
    decay, lr = config.weight_decay, config.lr
    assert decay is not None
    assert lr is not None
    if config.optimizer == "adam":
        return [torch.optim.Adam(parameters, lr=lr, betas=config.betas, weight_decay=decay, fused=True)]
    optimizers: list[torch.optim.Optimizer] = []
    if config.optimizer == "muon":
        hidden, by_parts = _hidden_matrices(model), dict[int, list[Tensor]]()
        for parameter, parts in hidden.items():
            by_parts.setdefault(parts, []).append(parameter)
        if by_parts:
            together = [{"params": params, "parts": parts} for parts, params in sorted(by_parts.items())]
            optimizers.append(Muon(together, lr, decay, MUON_MOMENTUM))
            parameters = [p for p in parameters if p not in hidden]
    groups = [
        {"params": [p for p in parameters if p not in undecayed], "weight_decay": decay},
        {"params": [p for p in parameters if p in undecayed], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "sgd":
        return [torch.optim.SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=True)]
    return [*optimizers, torch.optim.AdamW(groups, lr=lr, betas=config.betas, fused=True)]


def set_learning_rate(optimizers: list[torch.optim.Optimizer], lr: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


def state_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The optimizers' state as flat tensors, named `<optimizer>.<parameter>.<key>`."""
    tensors: dict[str, Tensor] = {}
    for i, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state_dict()["state"].items():
            tensors |= {
                f"{i}.{parameter}.{key}": torch.as_tensor(value) for key, value in state.items() if value is not None
            }
    return tensors


def load_state_tensors(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Inverse of `state_tensors`."""
    states: list[dict[int, dict[str, Any]]] = [{} for _ in optimizers]
    parameters = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in optimizers]
    for name, tensor in tensors.items():
        which, number, key = name.split(".", 2)
        like = parameters[int(which)][int(number)]
        if tensor.ndim and tensor.shape != like.shape:
            raise RuntimeError(f"state {name} has shape {tuple(tensor.shape)}, its parameter {tuple(like.shape)}")
        if tensor.ndim:
            # Fused optimizers walk through memory: the state must have the parameter's strides.
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        states[int(which)].setdefault(int(number), {})[key] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
