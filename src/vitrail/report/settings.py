"""Configurations as tables: of one run, and of several side by side."""

from __future__ import annotations

from typing import Any

from vitrail.files import Json
from vitrail.numbers import NONE, count, short_count
from vitrail.runs.comparison import Comparison, ModelResults
from vitrail.runs.directory import Run
from vitrail.tables import Table


def run_tables(run: Run) -> list[Table]:
    """Data, model, training and environment, every stored value of them."""
    tables = [
        Table("Data", ["setting", "value"], [*_splits(run), *_rows(run.data), *_rows(_preprocessing(run))]),
        Table("Model", ["setting", "value"], [["model name", run.model_name], *_rows(run.model), *_size(run)]),
        Table("Training", ["setting", "value"], _rows(run.train)),
        Table("Machine and versions", ["setting", "value"], _environment(run)),
    ]
    return [table for table in tables if table.rows]


def shared_and_different(comparison: Comparison) -> tuple[Table | None, Table | None]:
    """Data and training settings that all runs share, and those that models differ in."""
    chosen = [(model.name, _settings(model)) for model in comparison.results if model.runs]
    if not chosen:
        return None, None
    keys = list(dict.fromkeys(key for _, settings in chosen for key in settings))
    shared, different = [], []
    for key in keys:
        values = [settings.get(key, NONE) for _, settings in chosen]
        if len(set(values)) == 1:
            shared.append([key, values[0]])
        else:
            different.append([key, *values])
    names = [name for name, _ in chosen]
    return (
        Table("The same for every model", ["setting", "value"], shared) if shared else None,
        Table("Different between the models", ["setting", *names], different) if different else None,
    )


def model_tables(comparison: Comparison) -> list[Table]:
    """Every setting of each model."""
    shown = [model for model in comparison.results if model.runs]
    return [Table(model.name, ["setting", "value"], _rows(model.runs[0].model)) for model in shown]


def _settings(model: ModelResults) -> dict[str, str]:
    run = model.runs[0]
    train = {key: value for key, value in run.train.items() if key != "seed"}
    return {key: value for part in (run.data, train) for key, value in _rows(part)}


def _rows(values: Json, prefix: str = "") -> list[list[str]]:
    rows = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _rows(value, f"{name}.")
        else:
            rows.append([name, show(value)])
    return rows


def show(value: Any) -> str:
    """A stored value as a person would type it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(show(part) for part in value) or "none"
    return str(value)


def _preprocessing(run: Run) -> Json:
    stored = run.info.get("preprocessing")
    return {"preprocessing": stored} if isinstance(stored, dict) else {}


def _splits(run: Run) -> list[list[str]]:
    splits = run.info.get("splits")
    names = {"train": "training images", "val": "validation images", "test": "test images"}
    if not isinstance(splits, dict):
        return []
    return [[names.get(key, str(key)), count(number)] for key, number in splits.items() if isinstance(number, int)]


def _size(run: Run) -> list[list[str]]:
    parts = (("parameters", "parameters"), ("multiply_adds", "multiply-adds per image"))
    rows = []
    for key, name in parts:
        value = run.info.get(key)
        if isinstance(value, int):
            rows.append([name, count(value) if value < 10_000_000 else f"{count(value)} ({short_count(value)})"])
    return rows


def _environment(run: Run) -> list[list[str]]:
    keys = ("device", "hardware", "threads", "precision", "compile", "seed", "created", "vitrail", "versions")
    return _rows({key: run.info[key] for key in keys if run.info.get(key) is not None})
