"""A run: its directory, and what can be read from it."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vitrail import files
from vitrail.errors import InputError
from vitrail.files import Json, checked
from vitrail.runs.adoption import Adoption
from vitrail.runs.layout import (
    CHECKPOINTS,
    EVALUATION,
    METRICS,
    OBSERVATIONS,
    REPORT,
    RUN,
    SAMPLES,
    SEEN,
    STEPS,
    group_of,
)
from vitrail.text import shown_name


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

    def to_bytes(self) -> bytes:
        """As the file in the directory of a run."""
        arrays, names = {name: getattr(self, name) for name in _ARRAYS}, json.dumps(self.image_names)
        return save(arrays, metadata={"image_names": names})


_ARRAYS = ("images", "labels", "probabilities", "index", "mistake")


@dataclass(frozen=True)
class Run:
    """A run's directory. Every file is read once, when it is first asked for.

    Raises InputError, then, for a file that is there but damaged. What an earlier version did not write is left out.
    """

    directory: Path

    @cached_property
    def info(self) -> Json:
        """What `run.json` says: `config`, `class_names`, `preprocessing`, ..."""
        if not self.begun:
            above = next((path for path in self.directory.parents if (path / RUN).is_file()), None)
            raise InputError(
                f"{self.directory} is not a run: it has no {RUN}"
                + (f"; name the run's directory, {above}" if above else "")
            )
        return files.read_json(self.directory / RUN)

    @cached_property
    def metrics(self) -> list[Json]:
        """One row per finished epoch.

        `epoch`, `step`, `lr`; `seconds` and `images_per_second` of the training pass, without validation, saving and
        compilation; `train_` and `val_` each of loss, accuracy, top5, auroc, f1, precision, recall (None: undefined).
        """
        return _rows(self.directory / METRICS)

    @cached_property
    def observations(self) -> list[Json]:
        """What was observed before training and after every epoch, where something was; see `Trainer`."""
        return _rows(self.directory / OBSERVATIONS)

    @cached_property
    def steps(self) -> Steps:
        rows = _rows(self.directory / STEPS)
        return Steps(*(_column(rows, key) for key in ("step", "loss", "accuracy", "lr")))

    @property
    def begun(self) -> bool:
        return (self.directory / RUN).is_file()

    @property
    def trained_here(self) -> bool:
        """Whether it has data of its own, and training to go on with: not so of a saved or adopted model."""
        return "fingerprint" in self.info

    @cached_property
    def adoption(self) -> Adoption | None:
        """Where its weights come from; None where they were trained here."""
        return checked(self.directory / RUN, lambda: Adoption.of(self.info))

    @property
    def finished(self) -> bool:
        return (self.directory / EVALUATION).is_file()

    @cached_property
    def evaluation(self) -> Json:
        """The held-out test. Raises InputError where the run is not finished."""
        return files.read_json(self.directory / EVALUATION)

    @cached_property
    def test(self) -> Evaluation | None:
        """The held-out test, checked; None where the run is not finished."""
        return checked(self.directory / EVALUATION, lambda: _evaluation(self.evaluation)) if self.finished else None

    @cached_property
    def samples(self) -> Samples | None:
        path = self.directory / SAMPLES
        return checked(path, lambda: _samples(path)) if path.is_file() else None

    @cached_property
    def seen(self) -> UInt64[ndarray, " n"] | None:
        """Hashes of the images that trained or validated it; None where an earlier version kept none."""
        path = self.directory / SEEN
        return checked(path, lambda: _tensors(path)[0]["images"]) if path.is_file() else None

    @property
    def checkpoints(self) -> Path:
        return self.directory / CHECKPOINTS

    @property
    def report(self) -> Path:
        return self.directory / REPORT

    @property
    def group(self) -> str:
        """What it is called in a directory of several, without its seed."""
        return group_of(self.directory.name)

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
    def model_name(self) -> str:
        return shown_name(self.config.get("model_name") or "model")

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
        size = self.model.get("patch_size")
        return size if isinstance(size, int) and size > 0 else None

    @property
    def cuts_patches(self) -> bool:
        """Whether tokens are patches and nothing else; a stem of convolutions mixes them with what lies around."""
        return self.patch_size is not None and self.model.get("stem", "linear") == "linear"

    def curve(self, key: str) -> Float[ndarray, " e"]:
        """A column of metrics.jsonl, NaN where it is undefined."""
        return _column(self.metrics, key)

    def last(self, key: str) -> float | None:
        return number(self.metrics[-1].get(key)) if self.metrics else None

    def class_name(self, label: int) -> str:
        names = self.class_names
        return names[label] if 0 <= label < len(names) else f"class {label}"


def _column(rows: list[Json], key: str) -> Float[ndarray, " n"]:
    return np.array([or_nan(row.get(key)) for row in rows], dtype=np.float64)


def _evaluation(stored: Json) -> Evaluation:
    confusion = np.array(stored["confusion_matrix"], dtype=np.int64)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError("confusion_matrix is not square")
    scores = ("precision", "recall", "f1")
    per_class = tuple(
        ClassResult(shown_name(row["name"]), int(row["images"]), *(number(row.get(key)) for key in scores))
        for row in stored["per_class"]
    )
    if len(per_class) != len(confusion):
        raise ValueError("per_class and confusion_matrix count different classes")
    metrics = {key: number(value) for key, value in stored.items()}
    return Evaluation(int(stored["images"]), metrics, per_class, confusion)


def _tensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a file and what is said of them. Raises ValueError for a damaged one."""
    try:
        with safe_open(path, framework="np") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _samples(path: Path) -> Samples:
    arrays, described = _tensors(path)
    names = tuple(shown_name(name) for name in json.loads(described.get("image_names", "[]")))
    samples = Samples(**{key: arrays[key] for key in _ARRAYS}, image_names=names)
    count = len(samples.images)
    if samples.images.ndim != 4 or samples.images.dtype != np.uint8 or samples.probabilities.ndim != 2:
        raise ValueError("images must be uint8 (S, C, H, W) and probabilities (S, K)")
    if any(len(getattr(samples, key)) != count for key in _ARRAYS):
        raise ValueError("its tensors differ in length")
    if len(samples.image_names) not in (0, count):
        raise ValueError("image_names are not one per image")
    return samples


def _rows(path: Path) -> list[Json]:
    """The objects of a file of JSON lines; none where there is no file."""
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


def _part(values: Json, key: str) -> Json:
    """An object in an object; empty where there is none."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def number(value: Any) -> float | None:
    """None for what is no finite number."""
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None


def or_nan(value: Any) -> float:
    found = number(value)
    return math.nan if found is None else found


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else round(found)
