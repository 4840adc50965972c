"""What is kept and shown of a training while it runs. The loop tells its recorders, and needs none."""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.progress import Progress, TaskID, TextColumn
from torch import Tensor

from vitrail import files
from vitrail.configs import RunConfig
from vitrail.errors import InputError
from vitrail.inspection import attention_history
from vitrail.models.build import Model
from vitrail.models.vit import ViT
from vitrail.progress import bar, console, say, say_in_lines
from vitrail.runs.layout import MARGINS, METRICS, OBSERVATIONS, STEPS, TENSORBOARD
from vitrail.runs.margins import Margins
from vitrail.training.cost import cumulative_cost
from vitrail.training.data import TrainingData
from vitrail.trust import suspects

_SECONDS_BETWEEN_LINES = 10.0
_BAR_REFRESH = 0.1
_SECONDS_BETWEEN_EPOCHS = 1.0
_SHORTEST_NAME, _SHORTEST_BAR = 8, 4

Observe = Callable[[Model], dict[str, Any]]
"""What to record of a model in training, as plain JSON."""


class Recorder:
    """Is told of a training; by itself it does nothing with it. A model is one to look at, never to change."""

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        """Around everything else: training goes on after so many steps and epochs.

        What is there of later ones, from before an interruption, is superseded.
        """
        yield

    def batch(self, epoch: int, indices: NDArray[np.int64], results: dict[str, Tensor]) -> None:
        """The images of a step in the epoch after so many finished ones, and the objective's results of them."""

    def step(self, row: dict[str, Any]) -> None:
        """A row of `steps.jsonl`."""

    def validating(self, images: int) -> None:
        """An epoch's steps are done, its validation on so many images begins."""

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        """A row of `metrics.jsonl`, and the model after the epoch."""

    def flush(self) -> None:
        """A checkpoint is about to be saved: what was told so far must be on disk."""


def run_recorders(
    config: RunConfig, data: TrainingData, directory: Path, observe: Observe | None = None
) -> list[Recorder]:
    """All that a run leaves in its directory beside its checkpoints, and what is seen of it meanwhile."""
    train = config.train
    assert train.epochs is not None
    assert train.batch_size is not None
    recorders = [StepRecorder(directory), AttentionRecorder(directory, data), EpochRecorder(directory)]
    recorders.append(MarginRecorder(directory, data))
    if observe is not None:
        recorders.append(ObservationRecorder(directory, observe))
    if train.track == "tensorboard":
        recorders.append(TensorBoardRecorder(directory))
    cost = functools.partial(cumulative_cost, model=config.model, train=train)
    steps = len(data.train) // train.batch_size
    return [*recorders, Display(config.model_name, train.epochs, steps, train.batch_size, cost)]


def _replace(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    files.write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _until(path: Path, step: int) -> list[dict[str, Any]]:
    return [row for row in files.read_json_lines(path) if isinstance(row.get("step"), int) and row["step"] <= step]


class StepRecorder(Recorder):
    """`steps.jsonl`, on disk at every checkpoint."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / STEPS

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        _replace(self.path, _until(self.path, step))
        with self.path.open("a", encoding="utf-8") as self.file:
            yield

    def step(self, row: dict[str, Any]) -> None:
        self.file.write(json.dumps(row) + "\n")

    def flush(self) -> None:
        self.file.flush()
        files.flush_to_disk(self.path)


class EpochRecorder(Recorder):
    """`metrics.jsonl`, on disk after every epoch."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / METRICS

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        _replace(self.path, (row for row in _until(self.path, step) if row.get("epoch", 0) <= epochs))
        yield

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        files.flush_to_disk(self.path)


class ObservationRecorder(Recorder):
    """`observations.jsonl`: what `observe` returns before training and after every epoch."""

    def __init__(self, directory: Path, observe: Observe) -> None:
        self.path, self.observe = directory / OBSERVATIONS, observe

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        if step == 0:
            self.epoch({"epoch": 0, "step": 0}, model)
        yield

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        earlier = [other for other in files.read_json_lines(self.path) if other["epoch"] < row["epoch"]]
        _replace(self.path, [*earlier, {"epoch": row["epoch"], "step": row["step"], **self.observe(model)}])


class AttentionRecorder(Recorder):
    """A ViT's class attention for the first validation image, after every epoch."""

    def __init__(self, directory: Path, data: TrainingData) -> None:
        self.directory, self.data = directory, data

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        if isinstance(model, ViT):
            image = self.data.dataset.read(self.data.val[:1])[0]
            attention_history.add_epoch(self.directory, row["epoch"], model, image, self.data.preprocessing)


class MarginRecorder(Recorder):
    """`margins.safetensors`: how far each training image's label was ahead in the model, for `trust.suspects`.

    What a step sees twice because of an interruption is written over, not added. Where training goes back to an epoch
    before the one that is on disk, the means are of the epochs from there on.
    """

    def __init__(self, directory: Path, data: TrainingData) -> None:
        self.path, self.labels, self.measured = directory / MARGINS, data.dataset.labels, False

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        stored = None
        with suppress(InputError):
            stored = Margins.read(self.path)
        goes_on = stored is not None and step > 0 and stored.epoch <= epochs and len(stored.last) == len(self.labels)
        self.margins = stored if stored is not None and goes_on else Margins.none(len(self.labels))
        yield

    def batch(self, epoch: int, indices: NDArray[np.int64], results: dict[str, Tensor]) -> None:
        if not {"labels", "logits"} <= results.keys():
            # What is learned without labels has no margins.
            return
        self.measured = True
        if epoch > self.margins.epoch:
            self.margins = self.margins.until(epoch)
        # Of mixed images, those that show most of their own.
        own = results["labels"].numpy() == self.labels[indices]
        logits, labels = results["logits"].numpy()[own], self.labels[indices][own]
        self.margins.last[indices[own]] = suspects.margins(logits, labels)

    def flush(self) -> None:
        if self.measured:
            self.margins.write(self.path)


class TensorBoardRecorder(Recorder):
    """Every row's numbers, in `<run>/tensorboard`. Raises InputError where TensorBoard is not installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / TENSORBOARD

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "--track tensorboard needs TensorBoard: in the folder of Vitrail, "
                ".venv/bin/pip install -e '.[tensorboard]'"
            ) from error
        with SummaryWriter(str(self.directory), purge_step=step + 1) as self.writer:
            yield

    def step(self, row: dict[str, Any]) -> None:
        self._write("step", row)

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        self._write("epoch", row)

    def _write(self, group: str, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name not in ("step", "epoch") and value is not None:
                self.writer.add_scalar(f"{group}/{name}", value, row["step"])


def duration(seconds: float) -> str:
    """93 as 1:33, 4000 as 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _figure(value: float | None, percent: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if percent else f"{value:.3f}"


def _results(row: dict[str, Any], part: str) -> str:
    """Loss and accuracy, as far as the objective has them."""
    shown = (("loss", "loss", False), ("acc", "accuracy", True))
    found = [
        f" {name} {_figure(row[f'{part}_{key}'], percent)}" for name, key, percent in shown if f"{part}_{key}" in row
    ]
    return f"  {part}{''.join(found)}" if found else ""


def fitted(label: str, line: str, width: int) -> str:
    """`label  line` within a width in columns: words and the count of steps are left out first, then the name is cut.

    No other number is lost: where there are too many, the line stays too long, and is broken when it is printed.
    """
    brief = re.sub(r"\b(epoch|loss|acc) |[\d,]+/[\d,]+ steps  ", "", line)
    for shorter, shortest in ((line, cell_len(label)), (brief, min(_SHORTEST_NAME, cell_len(label)))):
        if (room := width - len(shorter) - 2) >= shortest:
            return f"{label if cell_len(label) <= room else set_cell_size(label, room - 1) + '…'}  {shorter}"
    return brief if len(brief) <= width else " ".join(brief.replace(" img/s", "/s").split())


class Display(Recorder):
    """Progress of one run; knows nothing but what it is told."""

    def __init__(
        self, label: str, epochs: int, steps_per_epoch: int, batch_size: int, cumulative_cost: Callable[[float], float]
    ) -> None:
        """`cumulative_cost` is what the first share of the steps costs, in any unit."""
        self.label, self.epochs, self.batch_size, self.cumulative_cost = label, epochs, batch_size, cumulative_cost
        self.steps_per_epoch, self.total = steps_per_epoch, epochs * steps_per_epoch
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.val_accuracy: float | None = None
        self.started, self.last = time.monotonic(), time.monotonic()
        self.last_epoch = 0.0
        self.first_step = 0
        self.where = f"epoch 1/{epochs}"

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        """Show the bar while the block runs."""
        self.started = self.last = time.monotonic()
        self.first_step = step
        if not console.is_terminal:
            yield
            return
        text = TextColumn("{task.description}", markup=False)
        with Progress(bar(), text, console=console, transient=True) as self.bar:
            self.task = self.bar.add_task(self.label, total=self.total, completed=step)
            yield
        self.bar = None

    def step(self, row: dict[str, Any]) -> None:
        step: int = row["step"]
        now = time.monotonic()
        if now - self.last < (_BAR_REFRESH if self.bar else _SECONDS_BETWEEN_LINES) and step < self.total:
            return
        self.last = now
        first, here, end = (self.cumulative_cost(k / self.total) for k in (self.first_step, step, self.total))
        elapsed = now - self.started
        left = duration(elapsed * (end - here) / (here - first))
        epoch = min((step - 1) // self.steps_per_epoch + 1, self.epochs)
        self.where = f"epoch {epoch}/{self.epochs}"
        validated = "" if self.val_accuracy is None else f"  val acc {self.val_accuracy:.1%}"
        speed = self.batch_size * (step - self.first_step) / elapsed
        status = f"{step:,}/{self.total:,} steps  {left} left  {speed:,.0f} img/s  train loss {_figure(row['loss'])}"
        if self.bar:
            self._show(status + validated, step)
        elif step < self.total:
            say(f"{self.label}  {self.where}  {status}{validated}")

    def validating(self, images: int) -> None:
        if self.bar:
            self._show(f"validating on {images:,} images")

    def _show(self, status: str, step: int | None = None) -> None:
        assert self.bar is not None
        room = console.width - _SHORTEST_BAR - 1
        line = fitted(self.label, f"{self.where}  {status}", room)
        self.bar.update(self.task, completed=step, description=line)

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        self.val_accuracy = row.get("val_accuracy")
        now = time.monotonic()
        if now - self.last_epoch < _SECONDS_BETWEEN_EPOCHS and row["epoch"] < self.epochs:
            return
        self.last_epoch = now
        # Where every step of the epoch was one that compiled, none was timed.
        speed = "-" if row["images_per_second"] is None else f"{row['images_per_second']:,.0f}"
        line = (
            f"epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}"
            f"{_results(row, 'train')}{_results(row, 'val')}"
            f"  {speed} img/s  {duration(row['seconds'])}"
        )
        say_in_lines(fitted(self.label, line, console.width) if self.bar else f"{self.label}  {line}")
