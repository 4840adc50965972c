"""The attention of a fixed image through training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.inspection import attention_history
from vitrail.models.build import Model
from vitrail.models.vit import ViT
from vitrail.training.data import TrainingData
from vitrail.training.recorders.recorder import Recorder


class AttentionRecorder(Recorder):
    """A ViT's class attention for the first validation image, after every epoch."""

    def __init__(self, directory: Path, data: TrainingData) -> None:
        self.directory, self.data = directory, data

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        if isinstance(model, ViT):
            image = self.data.dataset.read(self.data.val[:1])[0]
            attention_history.add_epoch(self.directory, row["epoch"], model, image, self.data.preprocessing)
