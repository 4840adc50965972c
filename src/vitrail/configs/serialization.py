"""Configurations as plain JSON and back, refusing what this version does not know."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from vitrail.configs import (
    AugmentConfig,
    ClassificationConfig,
    CNNConfig,
    DataConfig,
    EarlierPlan,
    ModelConfig,
    RunConfig,
    TrainConfig,
    ViTConfig,
)
from vitrail.configs.validation import require
from vitrail.errors import InputError

MODEL_KINDS: dict[str, type[ViTConfig] | type[CNNConfig]] = {kind.kind.lower(): kind for kind in (ViTConfig, CNNConfig)}


def model_to_json(model: ModelConfig) -> dict[str, Any]:
    return {"kind": model.kind.lower(), **asdict(model)}


def model_from_json(stored: dict[str, Any]) -> ModelConfig:
    """Raises InputError for a kind or a field that this version does not know."""
    values = dict(stored)
    kind = values.pop("kind", None)
    require(kind in MODEL_KINDS, f"unknown kind of model {kind!r}: known are {', '.join(MODEL_KINDS)}")
    return _build(MODEL_KINDS[kind], values)


def run_to_json(config: RunConfig) -> dict[str, Any]:
    return {
        "model_name": config.model_name,
        "data": asdict(config.data),
        "model": model_to_json(config.model),
        **({"earlier": [asdict(plan) for plan in config.earlier]} if config.earlier else {}),
        "train": asdict(config.train) | {"objective": {"kind": "classification", **asdict(config.train.objective)}},
    }


def run_from_json(stored: dict[str, Any]) -> RunConfig:
    """Raises InputError for what this version does not know, naming it."""
    try:
        train = _with_objective(stored["train"])
        # Runs from before policies had versions go on with the first.
        train["augment"] = _build(AugmentConfig, {"policy_version": 1} | train["augment"])
        return RunConfig(
            data=_build(DataConfig, stored["data"]),
            model=model_from_json(stored["model"]),
            train=_build(TrainConfig, train),
            model_name=stored["model_name"],
            earlier=tuple(_build(EarlierPlan, plan) for plan in stored.get("earlier", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the stored configuration is damaged ({type(error).__name__}: {error})") from error


def _with_objective(stored: dict[str, Any]) -> dict[str, Any]:
    """Fields of TrainConfig. Runs from before there were objectives classify, and have label smoothing among them."""
    train = dict(stored)
    old = {"kind": "classification"} | {name: train.pop(name) for name in ("label_smoothing",) if name in train}
    objective = dict(train.get("objective", old))
    kind = objective.pop("kind", None)
    require(kind == "classification", f"unknown kind of objective {kind!r}: known is classification")
    return train | {"objective": _build(ClassificationConfig, objective)}


def _build(kind: Any, values: dict[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    require(not unknown, f"{kind.__name__} has no field {', '.join(unknown)} (written by another version?)")
    return kind(**values)
