"""Plans of several runs: what is written is read again, and what is damaged is named."""

import dataclasses
import signal
from pathlib import Path

import pytest

from vitrail import files
from vitrail.configs import AugmentConfig, DataConfig, RunConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError, Interrupted, RunError
from vitrail.experiments import plan as plans
from vitrail.experiments.plan import carry_out
from vitrail.runs.directory import Run
from vitrail.runs.plan import Plan, plan_kind, read_plan

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
    return Plan(
        directory / "plan.json",
        "study",
        runs,
        directory / "cache",
        {"b-seed3": ("chosen",)},
        {"study": "x", "quick": True, "data": "y"},
    )


def refusing(error, names=("a-seed-seed3", "a-seed-seed4", "b-seed3")):
    """In the place of what begins a run."""

    def begin(prepared, directory, *rest):
        if directory.name in names:
            raise error
        return Run(directory)

    return begin


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    read = read_plan(plan.directory)
    assert dataclasses.replace(read, notes={k: tuple(v) for k, v in read.notes.items()}) == plan
    assert [config.train.seed for config in read.runs.values()] == [3, 4, 3]
    assert read.groups == {"a-seed": ["a-seed-seed3", "a-seed-seed4"], "b": ["b-seed3"]}


@pytest.mark.parametrize(
    "change",
    [
        {"study": 7},
        {"quick": "2"},
        {"kind": "x"},
        {"kind": []},
        {"runs": {}},
        {"runs": []},
        {"runs": {"a": 1}},
        {"data_dir": 5},
        {"choices": 1},
    ],
    ids=str,
)
def test_a_damaged_plan_is_named(change, tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    files.write_json(plan.file, {**files.read_json(plan.file), **change})
    with pytest.raises(InputError, match=r"plan\.json.* is damaged"):
        read_plan(plan.directory)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../x", "a/b"])
def test_a_run_cannot_leave_its_directory(name, tmp_path):
    plan = dataclasses.replace(a_plan(tmp_path), runs={name: CONFIG})
    plan.write()
    with pytest.raises(InputError, match="plain directory name"):
        carry_out(plan)


def test_one_failing_run_is_left_out_and_all_failing_runs_are_an_error(tmp_path, monkeypatch):
    plan = a_plan(tmp_path)
    plan.write()
    monkeypatch.setattr(plans, "begin", refusing(RunError("training diverged"), {"a-seed-seed4"}))
    assert list(carry_out(plan)) == ["a-seed-seed3", "b-seed3"]
    monkeypatch.setattr(plans, "begin", refusing(RunError("training diverged")))
    with pytest.raises(RunError, match=r"a-seed-seed3: training diverged; a-seed-seed4.*; b-seed3"):
        carry_out(plan)


def test_an_interruption_names_the_plan_and_not_the_run(tmp_path, monkeypatch):
    place = tmp_path / "my runs"
    place.mkdir()
    plan = a_plan(place)
    plan.write()
    stop = Interrupted(signal.SIGINT, place / "a-seed-seed3")
    monkeypatch.setattr(plans, "begin", refusing(stop))
    with pytest.raises(Interrupted) as caught:
        carry_out(plan)
    assert f"vitrail resume '{place}'" in str(caught.value)


def test_a_plan_is_carried_out_by_one_process_at_a_time(tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    with files.locked(plan.directory), pytest.raises(InputError, match="in use by another process"):
        carry_out(plan)


def test_what_lies_where_a_run_should_go_is_kept(tmp_path, monkeypatch):
    plan = a_plan(tmp_path)
    plan.write()
    monkeypatch.setattr(plans, "begin", refusing(RunError("begun"), ()))
    other, unfinished = tmp_path / "b-seed3" / "letter.txt", tmp_path / "a-seed-seed3" / f"{files.TEMPORARY}x"
    for path in (other, unfinished):
        path.parent.mkdir()
        path.write_text("mine")
    with pytest.raises(InputError, match="move what is in it elsewhere"):
        carry_out(plan)
    assert other.read_text() == "mine"
    assert not unfinished.exists()


def test_a_path_that_is_not_utf8_is_stored_as_it_is(tmp_path):
    value = {"source": "fotos_caf\udce9", "name": "größe"}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == value
    assert "größe" in (tmp_path / "x.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("older", "said", "kind"),
    [
        ("experiment.json", {"kind": "demo"}, "demo"),
        ("experiment.json", {"kind": "comparison"}, "comparison"),
        ("study.json", {"study": "positions", "quick": True, "data": "digits"}, "study"),
        ("reproduction.json", {"reproduction": "annotated-600"}, "reproduction"),
    ],
)
def test_a_plan_by_the_name_of_an_earlier_version_is_read(older, said, kind, tmp_path):
    plan = a_plan(tmp_path)
    plan.write()
    stored = files.read_json(plan.file)
    plan.file.unlink()
    files.write_json(tmp_path / older, {key: stored[key] for key in ("data_dir", "runs", "choices")} | said)
    assert plan_kind(tmp_path) == kind
    read = read_plan(tmp_path)
    assert (read.file, read.kind, read.runs) == (tmp_path / older, kind, plan.runs)
    assert dict(read.about) == {name: value for name, value in said.items() if name != "kind"}
