"""A comparison: a directory of runs, and what the models came to over their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vitrail.estimate import Estimate
from vitrail.files import Json, checked, read_json
from vitrail.runs.directory import Run, number, or_nan, whole
from vitrail.runs.layout import COMPARISON, REPORT, runs_in
from vitrail.text import shown_name


@dataclass(frozen=True)
class ModelResults:
    name: str
    parameters: int | None
    multiply_adds: int | None
    seconds: Estimate
    images_per_second: Estimate
    val: Mapping[str, Estimate]
    test: Mapping[str, Estimate]
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Comparison:
    """A directory of runs and what they amount to, each file read once.

    Raises InputError, then, for a file that is there but damaged.
    """

    directory: Path

    @property
    def finished(self) -> bool:
        return (self.directory / COMPARISON).is_file()

    @cached_property
    def stored(self) -> Json:
        return read_json(self.directory / COMPARISON)

    @property
    def models(self) -> dict[str, Any]:
        """Per model: parameters, multiply_adds, seconds, images_per_second, and val and test metrics over seeds."""
        return dict(self.stored["models"])

    @property
    def data(self) -> Any:
        return self.stored.get("data")

    @cached_property
    def results(self) -> tuple[ModelResults, ...]:
        """`models`, checked, each with its runs."""
        begun = [Run(path) for path in runs_in(self.directory)]
        return checked(
            self.directory / COMPARISON,
            lambda: tuple(_results(name, values, begun) for name, values in self.stored["models"].items()),
        )

    @property
    def runs(self) -> list[Run]:
        return [run for model in self.results for run in model.runs]

    @property
    def report(self) -> Path:
        return self.directory / REPORT


def _results(name: str, values: Json, begun: list[Run]) -> ModelResults:
    own = [run for run in begun if run.group == name]
    return ModelResults(
        name=shown_name(name),
        parameters=whole(values.get("parameters")),
        multiply_adds=whole(values.get("multiply_adds")),
        seconds=_estimate(values.get("seconds")),
        images_per_second=_estimate(values.get("images_per_second")),
        val={key: _estimate(value) for key, value in (values.get("val") or {}).items()},
        test={key: _estimate(value) for key, value in (values.get("test") or {}).items()},
        runs=tuple(sorted(own, key=lambda run: int(run.info.get("seed") or 0))),
    )


def _estimate(stored: Any) -> Estimate:
    if not isinstance(stored, dict):
        return Estimate(or_nan(stored))
    values = tuple(or_nan(value) for value in stored.get("values") or ())
    return Estimate(or_nan(stored.get("mean")), number(stored.get("std")), values=values)
