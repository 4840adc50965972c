"""What a study is: a grid of runs, a measurement of each, and what they say of a claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.configs import DataConfig, LayoutKind, ModelConfig, TrainConfig
from vitrail.experiments.finding import Finding, Measured, Seeds
from vitrail.experiments.resolve import Prepared
from vitrail.experiments.run import Observer
from vitrail.runs.directory import Run


@dataclass(frozen=True)
class Setting:
    """What is asked of a study."""

    data: str
    quick: bool
    data_dir: Path | None = None
    layout: LayoutKind = "auto"

    def images(self, **which: Any) -> DataConfig:
        """The data, and which of it."""
        return DataConfig(self.data, layout=self.layout, **which)


@dataclass(frozen=True)
class Cell:
    """One configuration of the grid, trained once for every seed."""

    name: str
    data: DataConfig
    model: ModelConfig
    train: TrainConfig


@dataclass(frozen=True, eq=False)
class Results:
    """The grid, and what was measured of every run: by cell, one for each seed, in the order of the seeds."""

    cells: Mapping[str, Cell]
    measured: Mapping[str, Sequence[Measured]]

    def values(self, measure: str) -> dict[str, Seeds]:
        """By cell: (seed, ...). With the same data, batches come in the same order for every cell of a seed."""
        return {
            cell: np.array([of[measure] for of in of_cell], dtype=np.float64) for cell, of_cell in self.measured.items()
        }

    @property
    def learned(self) -> bool:
        """Whether every model is right more often than not; the inside of one that is not says nothing."""
        return all(accuracy.mean() > 0.5 for accuracy in self.values("test_accuracy").values())

    @property
    def caveat(self) -> str:
        """What a sentence about the inside of models ends with where one of them has learned too little."""
        return "" if self.learned else " One model is right on half of the images or fewer, so its inside says little."


@dataclass(frozen=True)
class Study:
    """One controlled experiment."""

    claim: str
    source: str
    """Who makes it, and where; or that it is our own."""
    plan: Callable[[Setting], Sequence[Cell]]
    conclude: Callable[[Results], Finding]
    measure: Callable[[Run, Prepared], Measured] | None = None
    """Of a finished run, beside what every run has: see `conduct`."""
    observe: Observer | None = None
    """Of a model before training and after every epoch; `Run.observations` has it for `measure`."""
    needs: str | None = None
    """The one data set that it can be done on, where that is not any."""

    def usual_data(self, quick: bool) -> str:
        return self.needs or ("digits" if quick else "cifar10")
