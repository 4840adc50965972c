"""The files of a run or a comparison, read once and checked for what the page needs of them."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from vitrail.errors import InputError
from vitrail.estimate import Estimate
from vitrail.metrics import EPOCH_METRICS
from vitrail.plots import plain_text

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Steps:
    """One entry per training step; NaN where nothing finite was recorded."""

    step: Float[ndarray, " n"]
    loss: Float[ndarray, " n"]
    accuracy: Float[ndarray, " n"]
    lr: Float[ndarray, " n"]


@dataclass(frozen=True)
class ClassResult:
    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Evaluation:
    """The held-out test. `confusion` has true classes as rows and predictions as columns."""

    images: int
    metrics: Mapping[str, float | None]
    per_class: tuple[ClassResult, ...]
    confusion: Int[ndarray, "true predicted"]


@dataclass(frozen=True)
class Samples:
    """Test images with what the model made of them. `mistake` is 1 for the surest mistakes, surest first, else 0."""

    images: UInt8[ndarray, "s c h w"]
    labels: Int[ndarray, " s"]
    probabilities: Float[ndarray, "s k"]
    index: Int[ndarray, " s"]
    mistake: UInt8[ndarray, " s"]
    image_names: tuple[str, ...]
    """One per image, or none at all where the data set has no names."""


@dataclass(frozen=True)
class Run:
    directory: Path
    info: Json
    epochs: tuple[Mapping[str, float | None], ...]
    steps: Steps
    evaluation: Evaluation | None
    samples: Samples | None

    @property
    def model_name(self) -> str:
        return shown_name(self.config.get("model_name") or "model")

    @property
    def config(self) -> Json:
        return _part(self.info, "config")

    @property
    def model(self) -> Json:
        return _part(self.config, "model")

    @property
    def data(self) -> Json:
        return _part(self.config, "data")

    @property
    def train(self) -> Json:
        return _part(self.config, "train")

    @property
    def class_names(self) -> list[str]:
        return [shown_name(name) for name in self.info.get("class_names") or []]

    @property
    def planned_epochs(self) -> int | None:
        epochs = self.train.get("epochs")
        return epochs if isinstance(epochs, int) else None

    @property
    def validates_on_test(self) -> bool:
        return self.data.get("val_split") == "test"

    @property
    def patch_size(self) -> int | None:
        size = self.model.get("patch_size") if self.model.get("kind") == "vit" else None
        return size if isinstance(size, int) and size > 0 else None

    @property
    def cuts_patches(self) -> bool:
        """Whether tokens are patches and nothing else; a stem of convolutions mixes them with what lies around."""
        return self.patch_size is not None and self.model.get("stem", "linear") == "linear"

    def curve(self, key: str) -> Float[ndarray, " e"]:
        """A column of metrics.jsonl, NaN where it is undefined."""
        return np.array([_nan(row.get(key)) for row in self.epochs], dtype=np.float64)

    def last(self, key: str) -> float | None:
        return self.epochs[-1].get(key) if self.epochs else None

    def class_name(self, label: int) -> str:
        names = self.class_names
        return names[label] if 0 <= label < len(names) else f"class {label}"


@dataclass(frozen=True)
class ModelSummary:
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
    directory: Path
    data: Any
    models: tuple[ModelSummary, ...]

    @property
    def runs(self) -> list[Run]:
        return [run for model in self.models for run in model.runs]


def shown_name(name: object) -> str:
    """A name from outside without control characters, at a length that a page can hold."""
    return plain_text(str(name), 200)


def read_run(directory: Path) -> Run:
    """Raises InputError for a file that is there but cannot be read."""
    info = _json(directory / "run.json")
    evaluation = directory / "evaluation.json"
    samples = directory / "samples.safetensors"
    return Run(
        directory=directory,
        info=info,
        epochs=tuple(
            {key: _number(value) for key, value in row.items()} for row in _json_lines(directory / "metrics.jsonl")
        ),
        steps=_steps(_json_lines(directory / "steps.jsonl")),
        evaluation=checked(evaluation, lambda: _evaluation(_json(evaluation))) if evaluation.is_file() else None,
        samples=checked(samples, lambda: _samples(samples)) if samples.is_file() else None,
    )


def read_comparison(directory: Path) -> Comparison:
    """Raises InputError for a file that is there but cannot be read."""
    path = directory / "comparison.json"
    stored = _json(path)
    runs = [read_run(child) for child in sorted(directory.iterdir()) if (child / "run.json").is_file()]

    def models() -> tuple[ModelSummary, ...]:
        return tuple(_model_summary(name, values, runs) for name, values in stored["models"].items())

    return Comparison(directory=directory, data=stored.get("data"), models=checked(path, models))


def _model_summary(name: str, values: Json, runs: list[Run]) -> ModelSummary:
    own = [run for run in runs if run.directory.name.rpartition("-seed")[0] == name]
    return ModelSummary(
        name=shown_name(name),
        parameters=_whole(values.get("parameters")),
        multiply_adds=_whole(values.get("multiply_adds")),
        seconds=_estimate(values.get("seconds")),
        images_per_second=_estimate(values.get("images_per_second")),
        val={key: _estimate(value) for key, value in (values.get("val") or {}).items()},
        test={key: _estimate(value) for key, value in (values.get("test") or {}).items()},
        runs=tuple(sorted(own, key=lambda run: int(run.info.get("seed") or 0))),
    )


def _estimate(stored: Any) -> Estimate:
    if not isinstance(stored, dict):
        return Estimate(_nan(stored))
    values = tuple(_nan(value) for value in stored.get("values") or ())
    return Estimate(_nan(stored.get("mean")), _number(stored.get("std")), values=values)


def _steps(rows: list[Json]) -> Steps:
    def column(key: str) -> Float[ndarray, " n"]:
        return np.array([_nan(row.get(key)) for row in rows], dtype=np.float64)

    return Steps(column("step"), column("loss"), column("accuracy"), column("lr"))


def _evaluation(stored: Json) -> Evaluation:
    confusion = np.array(stored["confusion_matrix"], dtype=np.int64)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError("confusion_matrix is not square")
    per_class = tuple(
        ClassResult(
            name=shown_name(row["name"]),
            images=int(row["images"]),
            precision=_number(row.get("precision")),
            recall=_number(row.get("recall")),
            f1=_number(row.get("f1")),
        )
        for row in stored["per_class"]
    )
    if len(per_class) != len(confusion):
        raise ValueError("per_class and confusion_matrix count different classes")
    metrics = {key: _number(stored.get(key)) for key in (*EPOCH_METRICS, "ece")}
    return Evaluation(int(stored["images"]), metrics, per_class, confusion)


def _samples(path: Path) -> Samples:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            named = json.loads((stored.metadata() or {}).get("image_names", "[]"))
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    samples = Samples(
        **{key: tensors[key] for key in ("images", "labels", "probabilities", "index", "mistake")},
        image_names=tuple(shown_name(name) for name in named),
    )
    count = len(samples.images)
    if samples.images.ndim != 4 or samples.images.dtype != np.uint8 or samples.probabilities.ndim != 2:
        raise ValueError("images must be uint8 (S, C, H, W) and probabilities (S, K)")
    if any(len(part) != count for part in (samples.labels, samples.probabilities, samples.index, samples.mistake)):
        raise ValueError("its tensors differ in length")
    if len(samples.image_names) not in (0, count):
        raise ValueError("image_names are not one per image")
    return samples


def _json(path: Path) -> Json:
    stored = checked(path, lambda: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(stored, dict):
        raise InputError(f"{path} is damaged: a JSON object was expected")
    return stored


def _json_lines(path: Path) -> list[Json]:
    if not path.is_file():
        return []
    *lines, rest = checked(path, lambda: path.read_text(encoding="utf-8")).split("\n")
    rows = [checked(path, lambda line=line: json.loads(line)) for line in lines if line.strip()]  # type: ignore[misc]
    # A run that was killed while writing leaves a last line without its end.
    with contextlib.suppress(ValueError):
        rows += [json.loads(rest)] if rest.strip() else []
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} is damaged: every line must be a JSON object")
    return rows


def checked(path: Path, read: Callable[[], T]) -> T:
    """What `read` makes of the file at `path`. Raises InputError naming it where that fails."""
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is damaged: {' '.join(what.split())}") from error


def _part(values: Json, key: str) -> Json:
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None


def _nan(value: Any) -> float:
    number = _number(value)
    return math.nan if number is None else number


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else round(number)
