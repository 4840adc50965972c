"""Learning the labels, by cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from vitrail.classifier import Precision, predict_logits
from vitrail.configs import RunConfig
from vitrail.data.augment import augment, mix
from vitrail.metrics import EPOCH_METRICS
from vitrail.models.build import Model
from vitrail.training import metrics
from vitrail.training.data import TrainingData


class Batch(NamedTuple):
    inputs: Float[Tensor, "batch channel height width"]
    targets: Tensor
    """Labels, or (batch, class) shares where images are mixed."""


class Classification:
    """Cross-entropy between logits and labels, which may be smoothed and, with the images, mixed."""

    def __init__(self, config: RunConfig, data: TrainingData) -> None:
        self.data, self.augmentation = data, config.train.augment
        self.num_classes = config.model.num_classes
        self.label_smoothing = config.train.objective.label_smoothing
        self.precision: Precision = "bf16" if config.train.precision == "bf16" else "fp32"
        self.modules = nn.ModuleDict()

    def batch(
        self,
        images: UInt8[Tensor, "batch channel height width"],
        indices: NDArray[np.int64],
        side: int | None,
    ) -> Batch:
        varied, mixup, cutmix = self.augmentation, self.augmentation.mixup, self.augmentation.cutmix or 0.0
        inputs = augment(images, varied, self.data.preprocessing)
        targets = torch.from_numpy(self.data.dataset.labels[indices]).to(images.device)
        if mixup or cutmix:
            inputs, targets = mix(inputs, F.one_hot(targets, self.num_classes).float(), mixup, cutmix)
        if side:
            inputs = F.interpolate(inputs, size=(side, side), mode="bilinear", antialias=True)
        return Batch(inputs, targets)

    def forward(self, model: Callable[..., Tensor], batch: Batch) -> Float[Tensor, "batch class"]:
        return model(batch.inputs)

    def loss(self, outputs: Float[Tensor, "batch class"], batch: Batch) -> Float[Tensor, ""]:
        return F.cross_entropy(outputs.float(), batch.targets, label_smoothing=self.label_smoothing)

    def after_step(self, model: Model) -> None:
        pass

    def results(self, outputs: Float[Tensor, "batch class"], batch: Batch) -> dict[str, Tensor]:
        # Of mixed images, the class that they show most of.
        labels = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(dim=1)
        return {"logits": outputs.detach().float().cpu(), "labels": labels.cpu()}

    def step_metrics(self, results: dict[str, Tensor]) -> dict[str, float]:
        correct = results["logits"].argmax(dim=1) == results["labels"]
        return {"accuracy": correct.float().mean().item()}

    def epoch_metrics(self, results: dict[str, Tensor]) -> dict[str, float | None]:
        if not results:
            return dict.fromkeys(EPOCH_METRICS)
        return metrics.measure(results["logits"].numpy(), results["labels"].numpy())

    def validate(self, model: Model, advance: Callable[[int], None]) -> dict[str, float | None]:
        data = self.data
        logits = predict_logits(model, data.dataset, data.val, data.preprocessing, self.precision, advance)
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model's outputs")
        return metrics.measure(logits, data.dataset.labels[data.val])
