"""The loop: one for every model and objective, from any checkpoint to the same weights, bit for bit.

Everything random within a step is seeded by (seed, step), and the images it sees are a function of (seed, epoch),
so a position in training is two integers and needs no generator state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail import checkpoint, hardware
from vitrail.configs import RunConfig
from vitrail.data.batches import epoch_order, step_seed
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.models.build import Model
from vitrail.progress import say
from vitrail.runs.layout import CHECKPOINTS, RUN
from vitrail.training.data import TrainingData
from vitrail.training.initial import initial_model
from vitrail.training.learner import Learner
from vitrail.training.objectives import Objective, build_objective
from vitrail.training.optim import learning_rate
from vitrail.training.recorders import Recorder

_TOLERATED_BATCHES = 3
_MOST_IMAGES, _MOST_NUMBERS = 100_000, 100_000_000
"""An epoch's training metrics are of at most so many images and numbers, from batches evenly spread over it."""


@dataclass
class Position:
    """How far training is: `batch` batches into the epoch after `epochs` finished ones."""

    epochs: int = 0
    batch: int = 0
    skipped: list[int] = field(default_factory=list)
    """Steps whose loss was not finite."""
    seconds: float = 0.0
    """Of the running epoch's training pass, without compilation, validation and checkpoints."""
    timed_images: int = 0


class Trainer:
    """One run, with its checkpoints in `directory`. `fit` goes on from the latest intact one, or from the beginning.

    `check` is called after every step and batch of validation, and may raise Interrupted. The weights are the same
    whatever `recorders` there are.
    """

    def __init__(
        self,
        config: RunConfig,
        data: TrainingData,
        directory: Path,
        check: Callable[[], None],
        recorders: Sequence[Recorder] = (),
        objective: Callable[[RunConfig, TrainingData, Model], Objective] = build_objective,
    ) -> None:
        train = config.train
        assert train.epochs is not None
        assert train.batch_size is not None
        self.train_config, self.data, self.directory, self.check = train, data, directory, check
        self.recorders = recorders
        self.epochs, self.batch_size = train.epochs, train.batch_size
        self.steps_per_epoch = len(data.train) // train.batch_size
        self.earlier = config.earlier
        hardware.settle(torch.device(train.device), train.threads)
        model = initial_model(config, data)
        self.objective = objective(config, data, model)
        self.learner = Learner(model, self.objective, train)
        self.position = Position()
        self.saved: Position | None = None
        self.results: list[dict[str, Tensor]] = []

    @property
    def step(self) -> int:
        """Steps done."""
        return self.position.epochs * self.steps_per_epoch + self.position.batch

    def fit(self) -> None:
        """Train to the end. Raises Interrupted, saved, after a signal, and RunError after a fourth bad batch."""
        self.restore()
        model = self.learner.final_model
        if self.train_config.compile == "on" and self.position.epochs < self.epochs:
            again = ", and so does the first one of full size" if self.small_side(self.step) else ""
            say(f"compiling: the first step takes up to a minute{again}")
        with ExitStack() as stack:
            for recorder in self.recorders:
                stack.enter_context(recorder.recording(self.step, self.position.epochs, model))
            try:
                while self.position.epochs < self.epochs:
                    if self.position.batch < self.steps_per_epoch:
                        row = self.train_step()
                        for recorder in self.recorders:
                            recorder.step(row)
                        every = self.train_config.checkpoint_every
                        if every and row["step"] % every == 0 and self.position.batch < self.steps_per_epoch:
                            self.save()
                    else:
                        for recorder in self.recorders:
                            recorder.validating(len(self.data.val))
                        row = self.finish_epoch()
                        for recorder in self.recorders:
                            recorder.epoch(row, model)
                        self.save()
                    self.check()
            except Interrupted:
                if self.saved != self.position:
                    self.save()
                raise

    def total_steps(self, step: int) -> int:
        """Of the plan that a step belongs to: the last, or one from before the run was given another length."""
        epochs = next((plan.epochs for plan in self.earlier if step < plan.until_step), self.epochs)
        return epochs * self.steps_per_epoch

    def small_side(self, step: int) -> int | None:
        """The side of the small images that a step sees; None where they have their full size."""
        config = self.train_config
        assert config.small_side != "auto"
        return config.small_side if step < round(config.small_until * self.total_steps(step)) else None

    def train_step(self) -> dict[str, Any]:
        """One batch: its row of `steps.jsonl`."""
        started = time.perf_counter()
        position, config = self.position, self.train_config
        step, start = self.step, position.batch * self.batch_size
        order = epoch_order(len(self.data.train), config.seed, position.epochs)
        indices = self.data.train[order[start : start + self.batch_size]]
        images = torch.from_numpy(self.data.dataset.read(indices)).to(self.learner.device)

        torch.manual_seed(step_seed(config.seed, step))
        batch = self.objective.batch(images, indices, self.small_side(step))
        lr = learning_rate(step, self.total_steps(step), config)
        loss, outputs, finite, compiled = self.learner.step(batch, lr)
        if not finite:
            self.skip(step)

        results = self.objective.results(outputs, batch)
        measured = {"loss": loss, **self.objective.step_metrics(results)}
        most = min(_MOST_IMAGES, _MOST_NUMBERS // max(len(values[0].ravel()) for values in results.values()))
        sampled_every = -(-self.steps_per_epoch * self.batch_size // most)
        if finite and position.batch % sampled_every == 0:
            self.results.append(results)
        position.batch += 1
        if not compiled:
            position.seconds += time.perf_counter() - started
            position.timed_images += len(images)
        return {"step": step + 1, **(measured if finite else dict.fromkeys(measured)), "lr": lr}

    def skip(self, step: int) -> None:
        """Record a batch without a finite loss, which changed nothing; the fourth ends the run."""
        self.position.skipped.append(step + 1)
        say(f"step {step + 1}: the loss or its gradient is not finite; the batch is skipped")
        if len(self.position.skipped) > _TOLERATED_BATCHES:
            raise self.diverged(f"the loss was not finite at steps {', '.join(map(str, self.position.skipped))}")

    def diverged(self, symptom: str) -> RunError:
        exact = ", or --train.precision fp32" if self.train_config.precision == "bf16" else ""
        return RunError(
            f"{symptom}: training diverged; try a lower --lr (it is {self.train_config.lr:g}), or --train.clip-norm 1"
            f"{exact}"
        )

    def finish_epoch(self) -> dict[str, Any]:
        """Validate; the epoch's row of `metrics.jsonl`. Interrupted, it leaves the epoch to be finished again."""
        position = self.position
        try:
            val = self.objective.validate(self.learner.final_model, lambda n: self.check())
        except FloatingPointError as error:
            raise self.diverged(f"after epoch {position.epochs + 1} {error} are not finite") from error
        train = self.objective.epoch_metrics(self.joined_results())
        row = {
            "epoch": position.epochs + 1,
            "step": self.step,
            "lr": learning_rate(self.step - 1, self.total_steps(self.step - 1), self.train_config),
            "seconds": position.seconds,
            "images_per_second": position.timed_images / position.seconds if position.seconds else None,
            **{f"train_{name}": value for name, value in train.items()},
            **{f"val_{name}": value for name, value in val.items()},
        }
        self.results = []
        self.position = Position(epochs=position.epochs + 1, skipped=position.skipped)
        return row

    def joined_results(self) -> dict[str, Tensor]:
        """Of the running epoch."""
        names = self.results[0] if self.results else ()
        return {name: torch.cat([results[name] for results in self.results]) for name in names}

    def save(self) -> None:
        for recorder in self.recorders:
            recorder.flush()
        tensors = {**self.learner.state(), "epoch": self.joined_results()}
        saved = checkpoint.Checkpoint(self.step, asdict(self.position), tensors)
        checkpoint.save(self.directory / CHECKPOINTS, saved)
        self.saved = replace(self.position)

    def restore(self) -> None:
        """Go to the latest intact checkpoint, saying what was damaged."""
        directory = self.directory / CHECKPOINTS
        checkpoint.clear_unfinished(directory)
        for found in checkpoint.from_latest(directory):
            if isinstance(found, checkpoint.DamagedCheckpoint):
                say(f"{found}: looking for the one before")
                # Out of the way, so that it takes no intact checkpoint's place among those that are kept.
                found.path.rename(found.path.with_name(f"damaged-{found.path.name}-{time.time_ns()}"))
                continue
            try:
                self.learner.load_state(found.tensors)
                self.position = Position(**found.state)
            except (RuntimeError, KeyError, IndexError, TypeError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"{self.directory / RUN} does not fit its checkpoint (another version's?): {reason}"
                ) from error
            self.results = [found.tensors["epoch"]] if found.tensors["epoch"] else []
            break
