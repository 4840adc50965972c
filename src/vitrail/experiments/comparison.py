"""Comparisons of models: the same data and budget for each, over several seeds, and the record of all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vitrail import files
from vitrail.configs import DataConfig, ModelConfig, TrainConfig
from vitrail.data.sources import open_source
from vitrail.errors import InputError
from vitrail.estimate import estimate
from vitrail.experiments.automatic import choose_cnn, choose_model
from vitrail.experiments.pace import paced
from vitrail.experiments.plan import carry_out, draw_up, plain, require_all
from vitrail.experiments.resolve import Loader, Resolved, resolve
from vitrail.experiments.run import THEN, configs, reopen
from vitrail.experiments.testing import store_pair_summary
from vitrail.inspection import summaries
from vitrail.metrics import EPOCH_METRICS
from vitrail.models.presets import preset
from vitrail.progress import warn
from vitrail.report import write_report
from vitrail.runs.comparison import Comparison
from vitrail.runs.directory import Run
from vitrail.runs.layout import COMPARISON, INSPECTION, made_since
from vitrail.runs.plan import Plan, plan_kind

_DEMO_EPOCHS = 40


def start_comparison(
    data: DataConfig,
    models: Mapping[str, ModelConfig] | None,
    train: TrainConfig,
    seeds: int,
    out: Path | None = None,
    data_dir: Path | None = None,
    kind: Literal["comparison", "demo"] = "comparison",
) -> Comparison:
    """As `compare`, from configurations: write down the plan and carry it out."""
    if models is None:
        size = open_source(data.source, data_dir, data.layout).native_size
        models = by_name([choose_model(size), choose_cnn(size)])
    if not models or seeds < 1:
        raise InputError("a comparison needs at least one model and one seed")
    for name in models:
        plain(name)
    return complete(draw_up(kind, _groups(data, models, train, seeds, data_dir), out, kind, data_dir))


def _groups(
    data: DataConfig, models: Mapping[str, ModelConfig], train: TrainConfig, seeds: int, data_dir: Path | None
) -> Iterator[tuple[str, int, Resolved]]:
    """The same data, budget and batches in the same order for every model, and images of one size: the given one,
    else what the first model would be given.
    """
    loader, several = Loader(), []
    for name, model in models.items():
        resolved = resolve(data, model, train, data_dir, name, loader=loader)
        data = resolved.config.data
        several.append(resolved)
    for name, prepared in zip(models, paced(several, train, loader), strict=True):
        yield name, seeds, prepared


def complete(plan: Plan) -> Comparison:
    """Carry out what is left of a plan. Raises RunError, with the rest recorded, where a run failed."""
    runs, comparison = carry_out(plan), Comparison(plan.directory)
    by_model = {
        model: made for model, names in plan.groups.items() if (made := [runs[name] for name in names if name in runs])
    }
    first = next(iter(plan.runs.values()))
    files.write_json(
        plan.directory / COMPARISON,
        {"data": first.data.source, "models": {name: aggregate(group) for name, group in by_model.items()}},
    )
    _store_pair_summary(plan.directory, by_model)
    write_report(plan.directory)
    require_all(plan, runs, f"; the other runs are in {comparison.report}")
    return comparison


def _store_pair_summary(directory: Path, by_model: Mapping[str, Sequence[Run]]) -> None:
    """Layers and explanations of two models, the first ViT and the first CNN if both are there, else the first two."""
    kinds = {name: runs[0].model["kind"] for name, runs in by_model.items()}
    firsts = [next((name for name in kinds if kinds[name] == kind), None) for kind in ("vit", "cnn")]
    pair = [name for name in firsts if name] if all(firsts) else list(by_model)[:2]
    path = directory / INSPECTION
    known = summaries.read(path, summaries.PairSummary)
    if len(pair) < 2 or (known is not None and list(known.names) == pair):
        return
    a, b = (by_model[name][0].directory for name in pair)
    try:
        store_pair_summary(path, (pair[0], pair[1]), (a, b), reopen(a, to_train=False))
    except InputError as error:
        warn(f"the report does not compare the layers of the models: {error}")


def aggregate(runs: Sequence[Run]) -> dict[str, Any]:
    """Cost, last epoch and test of runs that differ in their seeds alone: mean, standard deviation and values.

    There is no test of a run that is not finished: its values are None.
    """
    rows, tests = [run.metrics for run in runs], [run.evaluation if run.finished else {} for run in runs]
    return {
        "parameters": runs[0].info["parameters"],
        "multiply_adds": runs[0].info["multiply_adds"],
        "seconds": _over_seeds([sum(row["seconds"] for row in run) for run in rows]),
        "images_per_second": _over_seeds([_median([row["images_per_second"] for row in run]) for run in rows]),
        "train": {name: _over_seeds([run[-1][f"train_{name}"] for run in rows]) for name in EPOCH_METRICS},
        "val": {name: _over_seeds([run[-1][f"val_{name}"] for run in rows]) for name in EPOCH_METRICS},
        "test": {name: _over_seeds([test.get(name) for test in tests]) for name in EPOCH_METRICS},
    }


def provenance(runs: Sequence[Run]) -> dict[str, Any]:
    """The machines and the versions that runs were made with, each named once."""
    described = [run.info for run in runs]
    versions = [{"vitrail": each["vitrail"], **each["versions"]} for each in described]
    return {
        "hardware": _each_once(each["hardware"] for each in described),
        "versions": {name: _each_once(of[name] for of in versions if name in of) for name in versions[0]},
    }


def _each_once(named: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(part for names in named for part in names.split(THEN)))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds; None where a value is undefined or there is one seed."""
    found = estimate(values)
    mean, std = (None, None) if None in values else (found.mean, found.std)
    return {"mean": mean, "std": std, "values": list(values)}


def compare(
    data: str | Path,
    models: Sequence[str] | Mapping[str, ModelConfig] | None = None,
    seeds: int = 1,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> Comparison:
    """Train every model on the same batches in the same order, over several seeds, and write one report.

    Args:
        data: as for `train`.
        models: names of presets, or configurations by name; without them, a ViT for images of this size, and a CNN.
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
    named = dict(models) if isinstance(models, Mapping) else by_name(models) if models is not None else None
    return start_comparison(data_config, named, train_config, seeds, Path(out) if out else None, cache)


def by_name(names: Sequence[str]) -> dict[str, ModelConfig]:
    """Presets by their names. Raises InputError for an unknown one, or one named twice."""
    if len(set(names)) < len(names):
        raise InputError(f"a model is named twice: {', '.join(names)}")
    return {name: preset(name) for name in names}


def demo(directory: Path = Path("runs/demo")) -> Comparison:
    """A ViT and a CNN on scikit-learn's digits, in under a minute. Replaces its own directory.

    Raises InputError where the directory holds anything but an earlier demo, or what was made of its models since.
    """
    if directory.exists():
        if plan_kind(directory) == "demo":
            if made := made_since(directory):
                raise InputError(f"{made[0]} would be removed by a new demo: move {directory}, or name another --out")
            with files.locked(directory):
                for earlier in files.contents(directory):
                    shutil.rmtree(earlier) if earlier.is_dir() else earlier.unlink()
        elif not directory.is_dir() or files.contents(directory):
            raise InputError(f"{directory} holds something that is not a demo: name another --out")
    train = TrainConfig(epochs=_DEMO_EPOCHS)
    models = by_name(["vit-digits", "cnn-digits"])
    return start_comparison(DataConfig("digits"), models, train, seeds=1, out=directory, kind="demo")
