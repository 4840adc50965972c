"""Configurations: what does not fit is refused by name, and JSON brings back the same."""

import dataclasses
import json

import pytest

from vitrail.configs import (
    AugmentConfig,
    ClassificationConfig,
    CNNConfig,
    DataConfig,
    RunConfig,
    TrainConfig,
    ViTConfig,
)
from vitrail.configs.serialization import model_from_json, model_to_json, run_from_json, run_to_json
from vitrail.errors import InputError
from vitrail.experiments.automatic import resolve_training
from vitrail.models.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (TrainConfig, "schedule", "cos", "schedule is 'cos': use one of constant, cosine, linear"),
        (TrainConfig, "optimizer", "adamW", "use one of adam, adamw, sgd, muon"),
        (TrainConfig, "epochs", 1.5, "whole number"),
        (TrainConfig, "epochs", 0, "above 0"),
        (TrainConfig, "epochs", True, "a number"),
        (TrainConfig, "lr", float("inf"), "finite"),
        (TrainConfig, "lr", float("nan"), "finite"),
        (TrainConfig, "lr", "fast", "a number"),
        (TrainConfig, "seed", -1, "at least 0"),
        (TrainConfig, "momentum", None, "must be given"),
        (TrainConfig, "betas", (0.9,), "two numbers"),
        (TrainConfig, "warmup", 1.0, "below 1"),
        (ClassificationConfig, "label_smoothing", 1.0, "at least 0 and below 1"),
        (AugmentConfig, "policy", "RandAugment", "use one of none, randaugment, trivialaugment"),
        (AugmentConfig, "policy_version", 3, "policy_version is 3: use one of 1, 2"),
        (AugmentConfig, "crop", -1, "at least 0"),
        (ViTConfig, "stem", "patch", "use one of linear, conv, pooled"),
        (ViTConfig, "readout", ("eos",), "name one or more of cls, dist, mean"),
        (ViTConfig, "image_size", (32, 32, 3), "one or two whole numbers"),
        (CNNConfig, "block", "dense", "use one of plain, residual"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(kind, field, value, message):
    with pytest.raises(InputError, match=message):
        kind(**{field: value})


@pytest.mark.parametrize("changes", [{"std": ()}, {"mean": ()}, {"image_size": 32.0}])
def test_odd_kinds_of_data_options_are_refused(changes):
    with pytest.raises(InputError):
        DataConfig("digits", **changes)


def test_data_is_checked_too():
    for field, value in (("val_split", "val"), ("subset_order", "random"), ("std", 0.0), ("val_fraction", 1)):
        with pytest.raises(InputError, match=field):
            DataConfig("digits", **{field: value})


@pytest.mark.parametrize("name", PRESETS)
def test_json_brings_back_the_same(name):
    model = preset(name)
    assert model_from_json(json.loads(json.dumps(model_to_json(model)))) == model
    train, _ = resolve_training(TrainConfig(), model, 100)
    config = RunConfig(DataConfig("digits", mean=0.5, image_size=8), model, train, name)
    assert run_from_json(json.loads(json.dumps(run_to_json(config)))) == config


def test_what_another_version_wrote_is_refused_by_name():
    stored = model_to_json(preset("vit-digits"))
    with pytest.raises(InputError, match="ViTConfig has no field rope"):
        model_from_json({**stored, "rope": True})
    with pytest.raises(InputError, match="unknown kind of model 'mlp'"):
        model_from_json({**stored, "kind": "mlp"})


def test_label_smoothing_is_read_from_where_it_was_before_there_were_objectives():
    train, _ = resolve_training(TrainConfig(objective=ClassificationConfig(0.1)), preset("vit-digits"), 100)
    config = RunConfig(DataConfig("digits"), preset("vit-digits"), train)
    stored = run_to_json(config)
    assert stored["train"]["objective"] == {"kind": "classification", "label_smoothing": 0.1}
    old = {name: value for name, value in stored["train"].items() if name != "objective"}
    assert run_from_json({**stored, "train": {**old, "label_smoothing": 0.1}}) == config
    with pytest.raises(InputError, match="unknown kind of objective 'mae'"):
        run_from_json({**stored, "train": {**old, "objective": {"kind": "mae"}}})
    with pytest.raises(InputError, match="ClassificationConfig has no field centre"):
        run_from_json({**stored, "train": {**old, "objective": {"kind": "classification", "centre": 1}}})


def test_what_began_before_policies_had_versions_goes_on_with_the_first():
    train, _ = resolve_training(TrainConfig(augment=AugmentConfig(policy="randaugment")), preset("vit-digits"), 100)
    stored = run_to_json(RunConfig(DataConfig("digits"), preset("vit-digits"), train))
    assert stored["train"]["augment"].pop("policy_version") == 2
    found = run_from_json(stored)
    assert found.train.augment == dataclasses.replace(train.augment, policy_version=1)
    assert run_from_json(run_to_json(found)) == found


def test_a_run_leaves_nothing_open():
    with pytest.raises(InputError, match="leaves epochs, batch_size, optimizer, lr"):
        RunConfig(DataConfig("digits"), preset("vit-digits"), TrainConfig())
    resolved, _ = resolve_training(TrainConfig(), preset("vit-digits"), 100)
    with pytest.raises(InputError, match="leaves precision open"):
        RunConfig(DataConfig("digits"), preset("vit-digits"), dataclasses.replace(resolved, precision="auto"))
