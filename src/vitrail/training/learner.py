"""A model with what changes its weights: all that one training step costs, without data, metrics and records."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.configs import TrainConfig
from vitrail.models.build import Model
from vitrail.training.objectives import Objective
from vitrail.training.optim import build_optimizers, set_learning_rate


class Stepped(NamedTuple):
    """What a step found before it changed the weights."""

    loss: float
    outputs: Any
    """Of the objective's `forward`."""
    finite: bool
    """Whether loss and gradient were; where not, nothing was changed."""
    compiled: bool
    """Whether inputs had a size for which the model had to be compiled first."""


class Learner:
    """Forward, backward and update of a model and of its objective's modules."""

    def __init__(self, model: Model, objective: Objective, train: TrainConfig) -> None:
        self.model, self.objective, self.train_config = model, objective, train
        self.device = torch.device(train.device)
        # Together they are trained, undone and saved.
        self.modules = nn.ModuleList([model, objective.modules]).to(self.device)
        self.channels_last = model.config.channels_last
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.compiled: Any = torch.compile(model, dynamic=False) if train.compile == "on" else model
        self.compiled_for: set[torch.Size] = set()
        self.optimizers = build_optimizers(model, train)
        extra = [p for p in objective.modules.parameters() if p.requires_grad]
        for matrices in (True, False):
            group = {"params": [p for p in extra if (p.ndim >= 2) is matrices]}
            if group["params"]:
                decay = train.weight_decay if matrices else 0.0
                self.optimizers[-1].add_param_group({**group, "weight_decay": decay})

    def forward(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The model, compiled where the run is, on inputs laid out as it likes them."""
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.compiled_for.add(inputs.shape)
        return self.compiled(inputs, *args, **kwargs)

    def step(self, batch: Any, lr: float) -> Stepped:
        """One update at this learning rate, from a batch of the objective's."""
        config, objective = self.train_config, self.objective
        set_learning_rate(self.optimizers, lr)
        buffers = {name: buffer.clone() for name, buffer in self.modules.named_buffers()}
        sizes = len(self.compiled_for)
        self.modules.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            outputs = objective.forward(self.forward, batch)
        loss = objective.loss(outputs, batch)
        loss.backward()
        norm = torch.nn.utils.get_total_norm(p.grad for p in self.modules.parameters() if p.grad is not None)
        if config.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.modules.parameters(), config.clip_norm, norm)
        value = loss.item()
        finite = bool(np.isfinite(value)) and bool(torch.isfinite(norm))
        if finite:
            for optimizer in self.optimizers:
                optimizer.step()
            objective.after_step(self.model)
        else:
            # What the batch did to running statistics is undone.
            with torch.no_grad():
                for name, buffer in self.modules.named_buffers():
                    buffer.copy_(buffers[name])
        self.modules.zero_grad(set_to_none=True)
        return Stepped(value, outputs, finite, config.compile == "on" and len(self.compiled_for) > sizes)
