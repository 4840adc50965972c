"""A model with what changes its weights: all that one training step costs, without data, metrics and records."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vitrail.configs import ModelConfig, TrainConfig
from vitrail.models.build import Model, build_model
from vitrail.training.optim import build_optimizers, set_learning_rate


class Stepped(NamedTuple):
    """What a step found before it changed the weights."""

    loss: float
    logits: Float[Tensor, "batch class"]
    """float32, on the CPU."""
    finite: bool
    """Whether loss and gradient were; where not, nothing was changed."""


class Learner:
    """Forward, backward and update, as a resolved configuration has it."""

    def __init__(self, model: ModelConfig, train: TrainConfig) -> None:
        self.train_config = train
        self.device = torch.device(train.device)
        if train.threads:
            torch.set_num_threads(train.threads)
        if self.device.type == "cuda":
            # cuBLAS adds up in a fixed order only with this workspace, set before its first product.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        torch.manual_seed(train.seed)
        self.model: Model = build_model(model).to(self.device)
        self.channels_last = model.channels_last
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.compiled: Any = torch.compile(self.model, dynamic=False) if train.compile == "on" else self.model
        self.optimizers = build_optimizers(self.model, train)

    def step(self, inputs: Float[Tensor, "batch channel height width"], targets: Tensor, lr: float) -> Stepped:
        """One update at this learning rate, from labels or (batch, class) shares."""
        config, model = self.train_config, self.model
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        set_learning_rate(self.optimizers, lr)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = self.compiled(inputs)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        loss.backward()
        norm = torch.nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)
        if config.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(model.parameters(), config.clip_norm, norm)
        value = loss.item()
        finite = bool(np.isfinite(value)) and bool(torch.isfinite(norm))
        if finite:
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            # What the batch did to running statistics is undone.
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
        model.zero_grad(set_to_none=True)
        return Stepped(value, logits.detach().float().cpu(), finite)
