"""A grid of runs in one directory, each of which can be interrupted and resumed, and the record of all of them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail import files
from vitrail.configs import DataConfig, ModelConfig, RunConfig, TrainConfig, run_from_json, run_to_json
from vitrail.errors import InputError
from vitrail.models.presets import preset
from vitrail.progress import say
from vitrail.report import write_report
from vitrail.runs import Run, announce, begin, claim, configs, free_directory, prepare, resume
from vitrail.training.metrics import METRICS

_PLAN = "experiment.json"


@dataclass(frozen=True)
class Comparison:
    """A directory of runs and what they amount to."""

    directory: Path

    @property
    def models(self) -> dict[str, Any]:
        """Per model: parameters, multiply_adds, seconds, images_per_second, and val and test metrics over seeds."""
        return dict(files.read_json(self.directory / "comparison.json")["models"])

    @property
    def report(self) -> Path:
        return self.directory / "report.html"


def is_experiment(directory: Path) -> bool:
    return (directory / _PLAN).is_file()


def run_grid(plan: Mapping[str, RunConfig], directory: Path, data_dir: Path | None = None) -> dict[str, Run]:
    """Make the runs that are not there yet, and complete those that are; by name, in the plan's order."""
    runs = {}
    for number, (name, config) in enumerate(plan.items(), start=1):
        place = directory / name
        if (place / "run.json").is_file():
            runs[name] = resume(place)
            continue
        say(f"run {number} of {len(plan)}: {name}")
        prepared = prepare(config.data, config.model, config.train, data_dir, config.model_name)
        announce(prepared, place)
        # Without run.json nothing in it is worth keeping: it was cut off before it began.
        shutil.rmtree(place, ignore_errors=True)
        runs[name] = begin(prepared, place, data_dir)
    return runs


def plan_comparison(
    data: DataConfig,
    models: Mapping[str, ModelConfig],
    train: TrainConfig,
    seeds: int,
    data_dir: Path | None = None,
) -> dict[str, RunConfig]:
    """The same data, budget and batches in the same order for every model, once per seed: train.seed, and on.

    All models get images of one size: the given one, else what the first model would be given.
    """
    plan: dict[str, RunConfig] = {}
    for name, model in models.items():
        prepared = prepare(data, model, train, data_dir, name)
        data = dataclasses.replace(data, image_size=prepared.config.model.size)
        for k in range(train.seed, train.seed + seeds):
            plan[f"{name}-seed{k}"] = dataclasses.replace(
                prepared.config, train=dataclasses.replace(prepared.config.train, seed=k)
            )
    return plan


def start_comparison(plan: Mapping[str, RunConfig], directory: Path, data_dir: Path | None = None) -> Comparison:
    """Write down the plan in an empty directory and carry it out."""
    claim(directory)
    stored = {"data_dir": str(data_dir.resolve()) if data_dir else None}
    files.write_json(
        directory / _PLAN, {**stored, "runs": {name: run_to_json(config) for name, config in plan.items()}}
    )
    return resume_comparison(directory)


def resume_comparison(directory: Path) -> Comparison:
    """Carry out what is left of a plan. Raises InputError where there is none, or it is damaged."""
    stored = files.read_json(directory / _PLAN)
    try:
        plan = {name: run_from_json(config) for name, config in stored["runs"].items()}
        data_dir = Path(stored["data_dir"]) if stored["data_dir"] else None
    except (KeyError, AttributeError) as error:
        raise InputError(f"{directory / _PLAN} is incomplete: {error}") from error
    runs = run_grid(plan, directory, data_dir)
    by_model: dict[str, list[Run]] = {}
    for name, config in plan.items():
        by_model.setdefault(config.model_name, []).append(runs[name])
    first = next(iter(plan.values()))
    files.write_json(
        directory / "comparison.json",
        {"data": first.data.source, "models": {name: _aggregate(group) for name, group in by_model.items()}},
    )
    write_report(directory)
    return Comparison(directory)


def _aggregate(runs: Sequence[Run]) -> dict[str, Any]:
    described = files.read_json(runs[0].directory / "run.json")
    rows, tests = [run.metrics for run in runs], [run.evaluation for run in runs]
    return {
        "parameters": described["parameters"],
        "multiply_adds": described["multiply_adds"],
        "seconds": _spread([sum(row["seconds"] for row in run) for run in rows]),
        "images_per_second": _spread([float(np.median([row["images_per_second"] for row in run])) for run in rows]),
        "val": {name: _spread([run[-1][f"val_{name}"] for run in rows]) for name in METRICS},
        "test": {name: _spread([test[name] for test in tests]) for name in METRICS},
    }


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds; None where a value is undefined or there is one seed."""
    known = [value for value in values if value is not None]
    complete = len(known) == len(values)
    return {
        "mean": float(np.mean(known)) if complete else None,
        "std": float(np.std(known, ddof=1)) if complete and len(known) > 1 else None,
        "values": list(values),
    }


def compare(
    data: str | Path,
    models: Sequence[str] | Mapping[str, ModelConfig],
    seeds: int = 1,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Comparison:
    """Train every model on the same batches in the same order, over several seeds, and write one report.

    Args:
        data: as for `train`.
        models: names of presets, or configurations by name.
        seeds: how many, from `seed` on.
        out: an empty directory; without it, the first free `runs/comparison-<n>`.
        data_dir: where downloads and decoded images are kept.
        **options: fields of `DataConfig` and `TrainConfig`, such as `epochs=10`.

    Raises:
        InputError: for what cannot be used, naming it and the cure.
        RunError: for a run that could not be completed.
    """
    data_config, train_config = configs(str(data), options)
    cache = Path(data_dir) if data_dir else None
    named = dict(models) if isinstance(models, Mapping) else {name: preset(name) for name in models}
    if not named or seeds < 1:
        raise InputError("a comparison needs at least one model and one seed")
    directory = Path(out) if out else free_directory(Path("runs"), "comparison")
    claim(directory)
    return start_comparison(plan_comparison(data_config, named, train_config, seeds, cache), directory, cache)


def demo(directory: Path = Path("runs/demo"), seed: int = 0) -> Comparison:
    """A ViT and a CNN on scikit-learn's digits, in under a minute. Replaces its own directory.

    Raises InputError where the directory holds anything but an earlier demo.
    """
    if directory.exists() and any(directory.iterdir()) and not is_experiment(directory):
        raise InputError(f"{directory} holds something that is not a demo: name another --out")
    shutil.rmtree(directory, ignore_errors=True)
    return compare("digits", ["vit-digits", "cnn-digits"], out=directory, epochs=_DEMO_EPOCHS, seed=seed)


_DEMO_EPOCHS = 40
