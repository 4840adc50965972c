"""TensorBoard, for those who ask for it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from vitrail.errors import InputError


class Tracker:
    """Writes every row's numbers to `<run>/tensorboard`, or nothing. Rows past `step` are superseded."""

    def __init__(self, directory: Path, track: Literal["none", "tensorboard"], step: int) -> None:
        self.writer: Any = None
        if track == "tensorboard":
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise InputError(
                    "--track tensorboard needs TensorBoard: in the folder of Vitrail, "
                    ".venv/bin/pip install -e '.[tensorboard]'"
                ) from error
            self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writer:
            self.writer.close()

    def step(self, row: dict[str, Any]) -> None:
        self._write("step", row, skip=("step",))

    def epoch(self, row: dict[str, Any]) -> None:
        self._write("epoch", row, skip=("step", "epoch"))

    def _write(self, group: str, row: dict[str, Any], skip: tuple[str, ...]) -> None:
        if self.writer:
            for name, value in row.items():
                if name not in skip and value is not None:
                    self.writer.add_scalar(f"{group}/{name}", value, row["step"])
