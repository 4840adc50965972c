"""The whole training loop against its bare step: what data, augmentation, metrics, progress and checkpoints cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.speed import timing
from benchmarks.speed.timing import Row
from vitrail.configs import DataConfig, TrainConfig
from vitrail.runs import Run, prepare
from vitrail.training.learner import Learner
from vitrail.training.trainer import Trainer, TrainingData

_BARE_STEPS = 10


def measure(everything: bool, data: str = "shapes") -> Iterator[list[Row]]:
    prepared = prepare(DataConfig(data), "vit-compare", TrainConfig(epochs=1))
    config, splits = prepared.config, prepared.splits
    train = config.train
    assert train.batch_size is not None
    bare = Learner(config.model, train)
    images = torch.randn(train.batch_size, config.model.in_channels, *config.model.size, device=timing.device())
    labels = torch.arange(train.batch_size, device=timing.device()) % config.model.num_classes
    step = {"bare": lambda: bare.step(images, labels, lr=1e-4)}
    before = timing.alternate(step, repeats=_BARE_STEPS, warm=2)["bare"]
    with tempfile.TemporaryDirectory() as directory:
        of_run = TrainingData(prepared.dataset, splits.train, splits.val, prepared.preprocessing)
        trainer = Trainer(config, of_run, Path(directory), check=lambda: None)
        started = time.perf_counter()
        trainer.fit()
        whole = time.perf_counter() - started
        passed = Run(Path(directory)).metrics[0]["images_per_second"]
    after = timing.alternate(step, repeats=_BARE_STEPS, warm=0)["bare"]
    group = f"training loop, vit-compare, {data}, {len(splits.train):,} images"
    steps = len(splits.train) // train.batch_size
    rows = timing.rates(group, {"bare step": before + after}, train.batch_size, "images/s")
    rows.append(Row(group, "training pass", passed, "images/s"))
    rows.append(Row(group, "whole epoch: also validation, checkpoint", steps * train.batch_size / whole, "images/s"))
    yield rows
