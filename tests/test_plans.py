"""Plans of several runs: what is written is read again, and what is damaged is named."""

import dataclasses
from pathlib import Path

import pytest

from vitrail import files, plans
from vitrail.configs import AugmentConfig, DataConfig, RunConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError
from vitrail.plans import Plan

TRAIN = TrainConfig(
    epochs=1,
    batch_size=8,
    optimizer="adamw",
    lr=1e-3,
    weight_decay=0.0,
    warmup=0.0,
    threads=1,
    precision="fp32",
    compile="off",
    device="cpu",
    seed=3,
    augment=AugmentConfig(crop=0, flip=False),
)
CONFIG = RunConfig(
    data=DataConfig("digits", image_size=8, mean=(0.5,), std=(0.5,)),
    model=ViTConfig(image_size=8, patch_size=4, in_channels=1, num_classes=10),
    train=TRAIN,
    model_name="small",
)


def a_plan(directory: Path) -> Plan:
    runs = plans.over_seeds("a-seed", CONFIG, 2) | plans.over_seeds("b", CONFIG, 1)
    return Plan(directory / "plan.json", runs, directory / "cache", {"b-seed3": ("chosen",)}, {"name": "x", "seeds": 2})


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    read = plans.read(plan.file, name=str, seeds=int)
    assert dataclasses.replace(read, choices={k: tuple(v) for k, v in read.choices.items()}) == plan
    assert [config.train.seed for config in read.runs.values()] == [3, 4, 3]
    assert read.groups == {"a-seed": ["a-seed-seed3", "a-seed-seed4"], "b": ["b-seed3"]}


@pytest.mark.parametrize(
    "change",
    [{"name": 7}, {"seeds": "2"}, {"runs": {}}, {"runs": []}, {"runs": {"a": 1}}, {"data_dir": 5}, {"choices": 1}],
    ids=str,
)
def test_a_damaged_plan_is_named(change, tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    files.write_json(plan.file, {**files.read_json(plan.file), **change})
    with pytest.raises(InputError, match=r"plan\.json is damaged|stored configuration is damaged"):
        plans.read(plan.file, name=str, seeds=int)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../x", "a/b"])
def test_a_run_cannot_leave_its_directory(name, tmp_path):
    plan = dataclasses.replace(a_plan(tmp_path), runs={name: CONFIG})
    plan.write()
    with pytest.raises(InputError, match="plain directory name"):
        plan.carry_out()
