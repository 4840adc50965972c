"""A model with what changes its weights: all that one training step costs, without data, metrics and records."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vitrail.configs import TrainConfig
from vitrail.models.build import Model
from vitrail.training.objectives import Objective
from vitrail.training.optim import (
    build_optimizers,
    load_state_tensors,
    moving_average,
    set_learning_rate,
    state_tensors,
)


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
    """Forward, backward and update of a model and of its objective's modules, and the moving average of the model."""

    def __init__(self, model: Model, objective: Objective, train: TrainConfig) -> None:
        self.model, self.objective, self.train_config = model, objective, train
        self.device = torch.device(train.device)
        # Trained, and where a batch is skipped undone, together.
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

        self.average: AveragedModel | None = None
        if train.ema_decay is not None:
            average = functools.partial(moving_average, decay=train.ema_decay)
            self.average = AveragedModel(model, multi_avg_fn=average, use_buffers=True)

    @property
    def final_model(self) -> Model:
        """The weights to use: the moving average where it is on."""
        return self.average.module if self.average is not None else self.model  # type: ignore[return-value]

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
            if self.average is not None:
                self.average.update_parameters(self.model)
        else:
            # What the batch did to running statistics is undone.
            with torch.no_grad():
                for name, buffer in self.modules.named_buffers():
                    buffer.copy_(buffers[name])
        self.modules.zero_grad(set_to_none=True)
        return Stepped(value, outputs, finite, config.compile == "on" and len(self.compiled_for) > sizes)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """As a checkpoint has it: the weights to use, and all else that a step changes."""
        optimizer = {f"optimizer.{k}": v for k, v in state_tensors(self.optimizers).items()}
        optimizer |= {f"objective.{k}": v for k, v in self.objective.modules.state_dict().items()}
        if self.average is not None:
            optimizer |= {f"model.{k}": v for k, v in self.model.state_dict().items()}
            optimizer["n_averaged"] = self.average.n_averaged
        return {"model": dict(self.final_model.state_dict()), "optimizer": optimizer}

    def load_state(self, stored: dict[str, dict[str, Tensor]]) -> None:
        """Inverse of `state`. Raises RuntimeError, KeyError or IndexError where it is another model's."""
        tensors = stored["optimizer"]

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

        self.final_model.load_state_dict(stored["model"])
        if self.average is not None:
            self.model.load_state_dict(under("model."))
            self.average.n_averaged.copy_(tensors["n_averaged"])
        self.objective.modules.load_state_dict(under("objective."))
        load_state_tensors(self.optimizers, under("optimizer."))
