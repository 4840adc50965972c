"""The loop: one for ViT and CNN, from any checkpoint to the same weights, bit for bit.

Everything random within a step is seeded by (seed, step), and the images it sees are a function of (seed, epoch),
so a position in training is two integers and needs no generator state.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from vitrail import checkpoint, files
from vitrail.classifier import Precision, predict_logits
from vitrail.configs import RunConfig
from vitrail.data.augment import augment
from vitrail.data.batches import epoch_order, step_seed
from vitrail.data.dataset import ImageDataset
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.inspection.watch import watch
from vitrail.metrics import EPOCH_METRICS
from vitrail.models.build import Model
from vitrail.models.initialization import whiten
from vitrail.models.stems import LinearStem, patchify
from vitrail.models.vit import ViT
from vitrail.progress import say
from vitrail.training import metrics
from vitrail.training.display import Display
from vitrail.training.effort import effort
from vitrail.training.learner import Learner
from vitrail.training.optim import learning_rate, load_state_tensors, moving_average, state_tensors
from vitrail.training.tracking import Tracker

Observe = Callable[[Model], dict[str, Any]]
"""What to record of a model in training, as plain JSON."""

_TOLERATED_BATCHES = 3
_MOST_PIXELS_TO_WHITEN = 10_000_000
_MOST_PREDICTIONS, _MOST_LOGITS = 100_000, 100_000_000
"""An epoch's training metrics are of at most so many images and logits, from batches evenly spread over it."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images, which of them train and validate, and how they become model input."""

    dataset: ImageDataset
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    preprocessing: Preprocessing


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


def start_whitened(model: Model, config: RunConfig, data: TrainingData) -> None:
    """`whiten` the patch embedding, by patches of training images taken evenly."""
    assert isinstance(model, ViT)
    assert isinstance(model.patch_embed, LinearStem)
    some = data.train[:: -(-len(data.train) * math.prod(config.model.size) // _MOST_PIXELS_TO_WHITEN)]
    images = data.preprocessing.normalize(torch.from_numpy(data.dataset.read(some)))
    patches = patchify(images, model.patch_embed.patch_size)
    whiten(model.patch_embed.proj, rearrange(patches, "image patch vector -> (image patch) vector"))


class Trainer:
    """One run in its directory. `fit` goes on from the latest intact checkpoint, or from the beginning.

    What `observe` returns before training and after every epoch is a row of `observations.jsonl`.
    """

    def __init__(
        self,
        config: RunConfig,
        data: TrainingData,
        directory: Path,
        check: Callable[[], None],
        observe: Observe | None = None,
    ) -> None:
        train = config.train
        assert train.epochs is not None
        assert train.batch_size is not None
        self.config, self.train_config, self.data, self.directory, self.check = config, train, data, directory, check
        self.observe = observe
        self.epochs, self.batch_size, self.augmentation = train.epochs, train.batch_size, train.augment
        self.steps_per_epoch = len(data.train) // train.batch_size
        self.total_steps = train.epochs * self.steps_per_epoch
        self.precision: Precision = "bf16" if train.precision == "bf16" else "fp32"
        self.learner = Learner(config.model, train)
        self.model, self.device = self.learner.model, self.learner.device
        if train.whiten_patches:
            start_whitened(self.model, config, data)
        self.average: AveragedModel | None = None
        if train.ema_decay is not None:
            average = functools.partial(moving_average, decay=train.ema_decay)
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.position = Position()
        self.saved: Position | None = None
        self.logits: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.compiled_for: set[torch.Size] = set()

    @property
    def step(self) -> int:
        """Steps done."""
        return self.position.epochs * self.steps_per_epoch + self.position.batch

    @property
    def final_model(self) -> Model:
        """The weights to use: the moving average where it is on."""
        return self.average.module if self.average is not None else self.model  # type: ignore[return-value]

    def fit(self) -> None:
        """Train to the end. Raises Interrupted, saved, after a signal, and RunError after a fourth bad batch."""
        self.restore()
        if self.step == 0:
            self.record_observation()
        if self.train_config.compile == "on" and self.position.epochs < self.epochs:
            again = ", and so does the first one of full size" if self.small_side(self.step) else ""
            say(f"compiling: the first step takes up to a minute{again}")
        work = functools.partial(effort, model=self.config.model, train=self.train_config)
        display = Display(self.config.model_name, self.epochs, self.steps_per_epoch, self.batch_size, work)
        with (
            Tracker(self.directory, self.train_config.track, self.step) as tracker,
            (self.directory / "steps.jsonl").open("a", encoding="utf-8") as self.steps_file,
            display.shown(self.step),
        ):
            try:
                while self.position.epochs < self.epochs:
                    if self.position.batch < self.steps_per_epoch:
                        row = self.train_step()
                        display.step(row["step"], row["loss"])
                        tracker.step(row)
                        every = self.train_config.checkpoint_every
                        if every and row["step"] % every == 0 and self.position.batch < self.steps_per_epoch:
                            self.save()
                    else:
                        display.validating(len(self.data.val))
                        row = self.finish_epoch()
                        display.epoch(row)
                        tracker.epoch(row)
                        self.save()
                    self.check()
            except Interrupted:
                if self.saved != self.position:
                    self.save()
                raise

    def small_side(self, step: int) -> int | None:
        """The side of the small images that a step sees; None where they have their full size."""
        config = self.train_config
        return config.small_side if step < round(config.small_until * self.total_steps) else None

    def train_step(self) -> dict[str, Any]:
        """One batch: its row of `steps.jsonl`."""
        started = time.perf_counter()
        position, config = self.position, self.train_config
        step, start = self.step, position.batch * self.batch_size
        order = epoch_order(len(self.data.train), config.seed, position.epochs)
        indices = self.data.train[order[start : start + self.batch_size]]
        images = torch.from_numpy(self.data.dataset.read(indices)).to(self.device)
        labels = torch.from_numpy(self.data.dataset.labels[indices]).to(self.device)

        torch.manual_seed(step_seed(config.seed, step))
        num_classes = self.config.model.num_classes
        inputs, targets = augment(images, labels, num_classes, self.augmentation, self.data.preprocessing)
        if side := self.small_side(step):
            inputs = F.interpolate(inputs, size=(side, side), mode="bilinear", antialias=True)
        lr = learning_rate(step, self.total_steps, config)
        compiles = config.compile == "on" and inputs.shape not in self.compiled_for
        value, logits, finite = self.learner.step(inputs, targets, lr)
        if not finite:
            self.skip(step)
        elif self.average is not None:
            self.average.update_parameters(self.model)

        # Of mixed images, the class that they show most of.
        labels = (targets if targets.ndim == 1 else targets.argmax(dim=1)).cpu()
        correct = (logits.argmax(dim=1) == labels).float().mean().item()
        most = min(_MOST_PREDICTIONS, _MOST_LOGITS // num_classes)
        sampled_every = -(-self.steps_per_epoch * self.batch_size // most)
        if finite and position.batch % sampled_every == 0:
            self.logits.append(logits)
            self.labels.append(labels)
        position.batch += 1
        if compiles:
            self.compiled_for.add(inputs.shape)
        else:
            position.seconds += time.perf_counter() - started
            position.timed_images += len(images)
        row = {"step": step + 1, "loss": value if finite else None, "accuracy": correct if finite else None, "lr": lr}
        self.steps_file.write(json.dumps(row) + "\n")
        return row

    def skip(self, step: int) -> None:
        """Record a batch without a finite loss, which changed nothing; the fourth ends the run."""
        self.position.skipped.append(step + 1)
        say(f"step {step + 1}: the loss or its gradient is not finite; the batch is skipped")
        if len(self.position.skipped) > _TOLERATED_BATCHES:
            raise self.diverged(f"the loss was not finite at steps {', '.join(map(str, self.position.skipped))}")

    def diverged(self, symptom: str) -> RunError:
        exact = ", or --train.precision fp32" if self.precision == "bf16" else ""
        return RunError(
            f"{symptom}: training diverged; try a lower --lr (it is {self.train_config.lr:g}), or --train.clip-norm 1"
            f"{exact}"
        )

    def finish_epoch(self) -> dict[str, Any]:
        """Validate; the epoch's row of `metrics.jsonl`. Interrupted, it leaves the epoch to be finished again."""
        position, data = self.position, self.data

        def advance(n: int) -> None:
            self.check()

        val_logits = predict_logits(
            self.final_model, data.dataset, data.val, data.preprocessing, self.precision, advance
        )
        if not np.isfinite(val_logits).all():
            raise self.diverged(f"after epoch {position.epochs + 1} the model's outputs are not finite")
        train: dict[str, float | None] = dict.fromkeys(EPOCH_METRICS)
        if self.logits:
            train = metrics.measure(torch.cat(self.logits).numpy(), torch.cat(self.labels).numpy())
        val = metrics.measure(val_logits, data.dataset.labels[data.val])
        row = {
            "epoch": position.epochs + 1,
            "step": self.step,
            "lr": learning_rate(self.step - 1, self.total_steps, self.train_config),
            "seconds": position.seconds,
            "images_per_second": position.timed_images / position.seconds if position.seconds else None,
            **{f"train_{name}": value for name, value in train.items()},
            **{f"val_{name}": value for name, value in val.items()},
        }
        if isinstance(self.final_model, ViT):
            image = data.dataset.read(data.val[:1])[0]
            watch(self.directory, position.epochs + 1, self.final_model, image, data.preprocessing)
        with (self.directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        files.flush_to_disk(self.directory / "metrics.jsonl")
        self.logits, self.labels = [], []
        self.position = Position(epochs=position.epochs + 1, skipped=position.skipped)
        self.record_observation()
        return row

    def record_observation(self) -> None:
        if self.observe is None:
            return
        path = self.directory / "observations.jsonl"
        rows = [row for row in files.read_json_lines(path) if row["epoch"] < self.position.epochs]
        rows.append({"epoch": self.position.epochs, "step": self.step, **self.observe(self.final_model)})
        files.write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())

    def save(self) -> None:
        self.steps_file.flush()
        files.flush_to_disk(self.directory / "steps.jsonl")
        optimizer = {f"optimizer.{k}": v for k, v in state_tensors(self.learner.optimizers).items()}
        if self.average is not None:
            optimizer |= {f"model.{k}": v for k, v in self.model.state_dict().items()}
            optimizer["n_averaged"] = self.average.n_averaged
        epoch = {"logits": torch.cat(self.logits), "labels": torch.cat(self.labels)} if self.logits else {}
        tensors = {"model": dict(self.final_model.state_dict()), "optimizer": optimizer, "epoch": epoch}
        checkpoint.save(
            self.directory / "checkpoints", checkpoint.Checkpoint(self.step, asdict(self.position), tensors)
        )
        self.saved = replace(self.position)

    def restore(self) -> None:
        """Go to the latest intact checkpoint, saying what was damaged; records past it are cut off."""
        directory = self.directory / "checkpoints"
        checkpoint.clear_unfinished(directory)
        for found in checkpoint.from_latest(directory):
            if isinstance(found, checkpoint.DamagedCheckpoint):
                say(f"{found}: looking for the one before")
                # Out of the way, so that it takes no intact checkpoint's place among those that are kept.
                found.path.rename(found.path.with_name(f"damaged-{found.path.name}-{time.time_ns()}"))
                continue
            stored = found.tensors["optimizer"]

            def under(prefix: str, stored: dict[str, Tensor] = stored) -> dict[str, Tensor]:
                return {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}

            try:
                self.final_model.load_state_dict(found.tensors["model"])
                if self.average is not None:
                    self.model.load_state_dict(under("model."))
                    self.average.n_averaged.copy_(stored["n_averaged"])
                load_state_tensors(self.learner.optimizers, under("optimizer."))
                self.position = Position(**found.state)
            except (RuntimeError, KeyError, IndexError, TypeError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"{self.directory / 'run.json'} does not fit its checkpoint (another version's?): {reason}"
                ) from error
            epoch = found.tensors["epoch"]
            self.logits, self.labels = ([epoch["logits"]], [epoch["labels"]]) if epoch else ([], [])
            break
        for name in ("steps.jsonl", "metrics.jsonl"):
            rows = files.read_json_lines(self.directory / name)
            rows = [row for row in rows if isinstance(row.get("step"), int) and row["step"] <= self.step]
            if name == "metrics.jsonl":
                rows = [row for row in rows if row.get("epoch", 0) <= self.position.epochs]
            files.write_bytes(self.directory / name, "".join(json.dumps(row) + "\n" for row in rows).encode())
