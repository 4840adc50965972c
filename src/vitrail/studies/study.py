"""What a study is: a grid of runs, a measurement of each, and what they say of a claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitrail import numbers
from vitrail.configs import DataConfig, ModelConfig, TrainConfig
from vitrail.estimate import MEAN_AND_HALF, Estimate, estimate
from vitrail.experiments.resolve import Prepared
from vitrail.experiments.run import Observer
from vitrail.plots.style import save_svg
from vitrail.runs.directory import Run
from vitrail.text import plural

Verdict = Literal["supported", "contradicted", "undecided"]
Measured = dict[str, Any]
"""Plain JSON: numbers, or nested lists of them with the same shape for every seed."""


@dataclass(frozen=True)
class Setting:
    """What is asked of a study."""

    data: str
    quick: bool
    data_dir: Path | None = None


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

    @property
    def learned(self) -> bool:
        """Whether every model is right more often than not; the inside of one that is not says nothing."""
        return all(self.estimate(cell, "test_accuracy").mean > 0.5 for cell in self.cells)

    @property
    def caveat(self) -> str:
        """What a sentence about the inside of models ends with where one of them has learned too little."""
        return "" if self.learned else " One model is right on half of the images or fewer, so its inside says little."

    def values(self, cell: str, measure: str) -> NDArray[np.float64]:
        """(seed, ...)."""
        return np.array([measured[measure] for measured in self.measured[cell]], dtype=np.float64)

    def estimate(self, cell: str, measure: str) -> Estimate:
        """Of a number, over seeds."""
        return estimate(self.values(cell, measure))

    def in_percent(self, cell: str, measure: str) -> Estimate:
        """Of a share, over seeds, for a figure."""
        return estimate(100 * self.values(cell, measure))

    def difference(self, more: str, less: str, measure: str) -> Estimate:
        """Of `more` - `less`, seed by seed: with the same data, batches come in the same order for both."""
        return estimate(self.values(more, measure) - self.values(less, measure))


@dataclass(frozen=True, eq=False)
class Finding:
    """What the runs say of the claim."""

    verdict: Verdict
    sentence: str
    """The outcome with its numbers, and the range in which they were measured."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    figure: Figure

    def save_figure(self, path: Path, name: str) -> None:
        """Write `<path>.png` and `<path>.svg`; the same finding of that name gives the same file."""
        self.figure.savefig(path.with_suffix(".png"), dpi=150, facecolor="white", bbox_inches="tight")
        save_svg(self.figure, path.with_suffix(".svg"), name)


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
    data: str = "cifar10"
    quick_data: str = "digits"
    only_data: tuple[str, ...] = ()
    """The data that it can be done on, where that is not any."""


def curve(at: Iterable[float], values: NDArray[np.float64]) -> list[tuple[float, Estimate]]:
    """Values (seed, point) as points of a line, for `plots.interval_lines`."""
    return [(float(x), estimate(of)) for x, of in zip(at, values.T, strict=True)]


def verdict(*differences: Estimate) -> Verdict:
    """A claim that these are all positive: supported where every interval is, contradicted where one is negative.

    The more there are, the likelier one of them is negative by chance: to contradict, intervals are widened for it.
    """
    if any(d.half is None or not d.known for d in differences):
        return "undecided"
    if all(d.low > 0 for d in differences):
        return "supported"
    return "contradicted" if any(d.among(len(differences)).high < 0 for d in differences) else "undecided"


def over_seeds(count: int) -> str:
    """What the numbers of a finding are of: `3 seeds, mean ± half of the 95 % interval`."""
    return plural(count, "seed") + (f", {MEAN_AND_HALF}" if count > 1 else "")


def percent(share: Estimate) -> str:
    """`71.2 ± 0.8 %` of a share: as all that a study prints, with half of the 95 % interval."""
    return numbers.percent(share.mean, share.half)


def points(difference: Estimate) -> str:
    """`4.1 ± 0.9 points` of a difference of shares."""
    return numbers.points(difference.mean, difference.half)


def number(of: Estimate, digits: int = 2) -> str:
    """`0.42 ± 0.03`."""
    return numbers.number(of.mean, of.half, digits)
