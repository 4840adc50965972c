"""TensorBoard, for those who ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitrail.errors import InputError
from vitrail.models.build import Model
from vitrail.training.recorders.recorder import Recorder


class TensorBoardRecorder(Recorder):
    """Every row's numbers, in `<run>/tensorboard`. Raises InputError where TensorBoard is not installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "tensorboard"

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
        self._write("step", row, skip=("step",))

    def epoch(self, row: dict[str, Any], model: Model) -> None:
        self._write("epoch", row, skip=("step", "epoch"))

    def _write(self, group: str, row: dict[str, Any], skip: tuple[str, ...]) -> None:
        for name, value in row.items():
            if name not in skip and value is not None:
                self.writer.add_scalar(f"{group}/{name}", value, row["step"])
