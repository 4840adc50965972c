"""Files with a JSON object in every line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitrail import files
from vitrail.models.build import Model
from vitrail.training.recorders.recorder import Recorder

Observe = Callable[[Model], dict[str, Any]]
"""What to record of a model in training, as plain JSON."""


def _replace(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    files.write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _until(path: Path, step: int) -> list[dict[str, Any]]:
    return [row for row in files.read_json_lines(path) if isinstance(row.get("step"), int) and row["step"] <= step]


class StepRecorder(Recorder):
    """`steps.jsonl`, on disk at every checkpoint."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "steps.jsonl"

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
        self.path = directory / "metrics.jsonl"

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
        self.path, self.observe = directory / "observations.jsonl", observe

    @contextmanager
    def recording(self, step: int, epochs: int, model: Model) -> Iterator[None]:
        if step == 0:
            self.epoch({"epoch": 0, "step": 0}, model)
        yield

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        earlier = [other for other in files.read_json_lines(self.path) if other["epoch"] < row["epoch"]]
        _replace(self.path, [*earlier, {"epoch": row["epoch"], "step": row["step"], **self.observe(model)}])
