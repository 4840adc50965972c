"""The whole training loop against its bare step: what data, augmentation, metrics, progress and checkpoints cost.

And how long a process takes to its first step when the data, and what was compiled, are there from an earlier one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.speed import timing
from benchmarks.speed.timing import Action, Row
from vitrail import hardware
from vitrail.configs import DataConfig, TrainConfig
from vitrail.data.argument import shown_source
from vitrail.experiments.resolve import Loader, resolve
from vitrail.runs.directory import Run
from vitrail.training.recorders import run_recorders
from vitrail.training.trainer import Trainer

_BARE_STEPS = 10
_STARTS = 3
_FIRST_STEP = """
import sys, tempfile
from pathlib import Path
from vitrail.configs import DataConfig, TrainConfig
from vitrail.data.argument import shown_source
from vitrail.experiments.resolve import Loader, resolve
from vitrail.training.recorders import run_recorders
from vitrail.training.trainer import Trainer

def leave():
    sys.exit()

made = Loader().load(resolve(DataConfig({data!r}), "vit-compare", TrainConfig(epochs=10, compile={compile!r})))
with tempfile.TemporaryDirectory() as directory:
    data = made.training_data
    recorders = run_recorders(made.config, data, Path(directory))
    Trainer(made.config, data, Path(directory), leave, recorders).fit()
"""


def measure(everything: bool, data: str = "shapes") -> Iterator[list[Row]]:
    prepared = Loader().load(resolve(DataConfig(data), "vit-compare", TrainConfig(epochs=1)))
    config, splits = prepared.config, prepared.splits
    train = config.train
    assert train.batch_size is not None
    images = torch.randn(train.batch_size, config.model.in_channels, *config.model.size, device=timing.device())
    labels = torch.arange(train.batch_size, device=timing.device()) % config.model.num_classes
    step = {"bare": timing.our_step(config.model, train, images, labels)}
    before = timing.alternate(step, repeats=_BARE_STEPS, warm=2)["bare"]
    with tempfile.TemporaryDirectory() as directory:
        of_run = prepared.training_data
        recorders = run_recorders(config, of_run, Path(directory))
        trainer = Trainer(config, of_run, Path(directory), lambda: None, recorders)
        started = time.perf_counter()
        trainer.fit()
        whole = time.perf_counter() - started
        passed = Run(Path(directory)).metrics[0]["images_per_second"]
    after = timing.alternate(step, repeats=_BARE_STEPS, warm=0)["bare"]
    group = f"training loop, vit-compare, {shown_source(data)}, {len(splits.train):,} images"
    steps = len(splits.train) // train.batch_size
    rows = timing.rates(group, {"bare step": before + after}, train.batch_size, "images/s")
    rows.append(Row(group, "training pass", passed, "images/s"))
    rows.append(Row(group, "whole epoch: also validation, checkpoint", steps * train.batch_size / whole, "images/s"))
    yield rows
    yield _starts(data, everything)


def _starts(data: str, everything: bool) -> list[Row]:
    """Seconds from the start of a process to the end of its first step, after an earlier process did the same."""

    def started(compile_: str) -> Action:
        code = _FIRST_STEP.format(data=data, compile=compile_)
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    actions = {"ours": started("auto")}
    if everything and not hardware.can_compile(timing.device()):
        actions["ours, compiled"] = started("on")
    seconds = timing.alternate(actions, repeats=_STARTS, warm=1)
    return timing.durations(
        f"second start, to the end of the first step, vit-compare, {shown_source(data)}", seconds, "s"
    )
