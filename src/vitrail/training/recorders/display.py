"""What is seen while training: a line per epoch, and below it a bar, or now and then a plain line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from vitrail.models.build import Model
from vitrail.progress import console, say
from vitrail.training.recorders.recorder import Recorder

_SECONDS_BETWEEN_LINES = 10.0
_BAR_REFRESH = 0.1
_SECONDS_BETWEEN_EPOCHS = 1.0


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


class Display(Recorder):
    """Progress of one run; knows nothing but what it is told."""

    def __init__(
        self, label: str, epochs: int, steps_per_epoch: int, batch_size: int, cumulative_cost: Callable[[float], float]
    ) -> None:
        """`cumulative_cost` is what the first share of the steps costs, in any unit."""
        self.label, self.epochs, self.batch_size = label, epochs, batch_size
        self.cumulative_cost = cumulative_cost
        self.steps_per_epoch, self.total = steps_per_epoch, epochs * steps_per_epoch
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.val_accuracy: float | None = None
        self.started, self.last = time.monotonic(), time.monotonic()
        self.last_epoch = 0.0
        self.first_step = 0

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        """Show the bar while the block runs."""
        self.started = self.last = time.monotonic()
        self.first_step = step
        if not console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[status]}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as self.bar:
            self.task = self.bar.add_task(self.label, total=self.total, completed=step, status="")
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
        validated = "" if self.val_accuracy is None else f"  val {self.val_accuracy:.1%}"
        speed = self.batch_size * (step - self.first_step) / elapsed
        status = f"{step:,}/{self.total:,} steps  {left} left  {speed:,.0f} img/s  loss {_figure(row['loss'])}"
        if self.bar:
            where = f"{self.label}  epoch {epoch}/{self.epochs}"
            self.bar.update(self.task, completed=step, description=where, status=status + validated)
        elif step < self.total:
            say(f"{self.label}  epoch {epoch}/{self.epochs}  {status}{validated}")

    def validating(self, images: int) -> None:
        if self.bar:
            self.bar.update(self.task, status=f"validating on {images:,} images")

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        self.val_accuracy = row.get("val_accuracy")
        now = time.monotonic()
        if now - self.last_epoch < _SECONDS_BETWEEN_EPOCHS and row["epoch"] < self.epochs:
            return
        self.last_epoch = now
        # Where every step of the epoch was one that compiled, none was timed.
        speed = "-" if row["images_per_second"] is None else f"{row['images_per_second']:,.0f}"
        say(
            f"{self.label}  epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}"
            f"{_results(row, 'train')}{_results(row, 'val')}"
            f"  {speed} img/s  {duration(row['seconds'])}"
        )
