"""Going on with what was interrupted, and completing what lacks something."""

import shutil

import numpy as np
import pytest
from command_lines import TINY, fails, images

import vitrail
from vitrail import files
from vitrail.checkpoint import Checkpoint, from_latest
from vitrail.cli import run
from vitrail.configs import EarlierPlan
from vitrail.errors import Interrupted
from vitrail.experiments import run as runs
from vitrail.training.optim import learning_rate


def test_resume_completes_what_is_missing_and_changes_nothing_else(finished, tmp_path, request):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "report.html").unlink()
    assert run(["resume", str(copy)]) == 0
    assert (copy / "report.html").exists()
    request.getfixturevalue("plain")
    before = files.read_json(copy / "evaluation.json")
    (copy / "evaluation.json").unlink()
    assert run(["resume", str(copy)]) == 0
    assert files.read_json(copy / "evaluation.json") == before
    assert files.read_json(copy / "run.json") == files.read_json(finished / "run.json")
    shutil.rmtree(copy / "checkpoints")
    for name in ("evaluation.json", "metrics.jsonl", "steps.jsonl"):
        (copy / name).unlink()
    stored = files.read_json(copy / "run.json")
    here, torch = stored["hardware"], stored["versions"]["torch"]
    files.write_json(
        copy / "run.json", stored | {"hardware": "Abacus", "versions": {"torch": f"1.0; then {torch}", "timm": "1"}}
    )
    for _ in range(2):
        assert run(["resume", str(copy)]) == 0
        assert files.read_json(copy / "evaluation.json") == before
        made = files.read_json(copy / "run.json")
        assert made["hardware"] == f"Abacus; then {here}"
        assert made["versions"] == {**stored["versions"], "torch": f"1.0; then {torch}", "timm": "1"}
        (copy / "evaluation.json").unlink()


def test_a_plan_cannot_write_outside_its_directory(tmp_path, capsys):
    from vitrail.errors import InputError
    from vitrail.models.presets import preset

    for name in ("../escaped", "/escaped", "", ".hidden"):
        with pytest.raises(InputError, match="plain directory name"):
            vitrail.compare("digits", {name: preset("vit-digits")}, out=tmp_path / "c", epochs=1)
    assert not (tmp_path / "c").exists()
    (tmp_path / "plan").mkdir()
    for damage in ({}, [], None, {"runs": {}}, {"runs": {"../x": {}}, "data_dir": None}):
        for name in ("experiment.json", "plan.json"):
            files.write_json(tmp_path / "plan" / name, damage)
            fails(["resume", str(tmp_path / "plan")], capsys)
        (tmp_path / "plan" / "plan.json").unlink()


def test_a_run_in_use_is_left_alone(finished, tmp_path, capsys, plain):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    with files.locked(copy):
        fails(["resume", str(copy)], capsys, "in use by another process")
    assert run(["resume", str(copy)]) == 0


def test_changed_data_is_not_resumed(tmp_path, capsys, plain):
    data = images(tmp_path / "data")
    out = tmp_path / "run"
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(out)]) == 0
    (out / "evaluation.json").unlink()
    picture = data / "grey cat" / "0.png"
    renamed = picture.rename(picture.with_name("99.png"))
    fails(["resume", str(out)], capsys, "no longer the data")
    renamed.unlink()
    fails(["resume", str(out)], capsys, "no longer the data")


def test_a_finished_run_is_completed_as_far_as_there_is_data(tmp_path, capsys):
    data, out = images(tmp_path / "data"), tmp_path / "run"
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(out)]) == 0
    (out / "inspection.safetensors").unlink()
    (out / "report.html").unlink()
    data.rename(tmp_path / "elsewhere")
    assert run(["resume", str(out)]) == 0
    assert "has no model section" in capsys.readouterr().err
    assert (out / "report.html").is_file()
    (tmp_path / "elsewhere").rename(data)
    assert run(["resume", str(out)]) == 0
    assert (out / "inspection.safetensors").is_file()


def weights(directory):
    last = next(from_latest(directory / "checkpoints"))
    assert isinstance(last, Checkpoint)
    return {f"{part}.{name}": tensor for part, named in last.tensors.items() for name, tensor in named.items()}


def test_more_epochs_than_planned_are_trained_on_a_stretched_schedule(pets, capsys, plain):
    directory, data = pets
    before = files.read_json(directory / "evaluation.json")
    fails(["resume", str(directory), "--epochs", "2"], capsys, "has finished 2 epochs", "above")
    assert run(["resume", str(directory), "--epochs", "5"]) == 0
    config = runs.reopen(directory).config
    assert config.earlier == (EarlierPlan(2, 2),)
    assert config.train.epochs == 5
    said = capsys.readouterr().out
    assert "5 epochs instead of 2: from step 3 on the learning rate is that of a run of 5 epochs" in said
    assert "5 epochs instead of 2" in files.read_json(directory / "run.json")["choices"][-1]
    assert files.read_json(directory / "evaluation-2-epochs.json") == before
    rows = runs.Run(directory).metrics
    totals = (2, 2, 5, 5, 5)
    assert [row["lr"] for row in rows] == [learning_rate(k, total, config.train) for k, total in enumerate(totals)]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert run(["resume", str(directory)]) == 0
    assert run(["evaluate", str(directory), "--data", str(data)]) == 0


def test_a_longer_run_ends_the_same_whether_it_was_interrupted_or_not(pets, tmp_path, monkeypatch, plain):
    directory, _ = pets
    copies = [tmp_path / "straight", tmp_path / "broken"]
    for copy in copies:
        shutil.copytree(directory, copy)
    runs.resume(copies[0], epochs=5)
    step = runs.Trainer.train_step

    def stopping(trainer):
        row = step(trainer)
        if row["step"] == 3:
            raise Interrupted(2)
        return row

    with monkeypatch.context() as patched:
        patched.setattr(runs.Trainer, "train_step", stopping)
        with pytest.raises(Interrupted):
            runs.resume(copies[1], epochs=5)
    assert not (copies[1] / "evaluation.json").exists()
    # Back to before the change of plan: what is done again has the rates of the first plan.
    for later in ("step-00000002", "step-00000003"):
        (copies[1] / "checkpoints" / later / "state.json").write_text("{}")
    runs.resume(copies[1])
    straight, broken = map(weights, copies)
    assert straight.keys() == broken.keys()
    assert all(np.array_equal(straight[name].numpy(), broken[name].numpy()) for name in straight)
    assert files.read_json(copies[0] / "evaluation.json") == files.read_json(copies[1] / "evaluation.json")
    assert files.read_json(copies[0] / "run.json") == files.read_json(copies[1] / "run.json")


def test_an_unfinished_run_can_be_made_shorter(pets, capsys, plain):
    directory, _ = pets
    stored = files.read_json(directory / "run.json")
    stored["config"]["train"]["epochs"] = 9
    files.write_json(directory / "run.json", stored)
    (directory / "evaluation.json").unlink()
    assert run(["resume", str(directory), "--epochs", "3"]) == 0
    assert len(runs.Run(directory).metrics) == 3
    assert runs.reopen(directory).config.earlier == (EarlierPlan(9, 2),)


def test_one_of_several_runs_that_are_compared_keeps_its_length(pets, tmp_path, capsys):
    directory, _ = pets
    config = files.read_json(directory / "run.json")["config"]
    plan = {"kind": "comparison", "data_dir": None, "runs": {"vit-seed0": config}, "choices": {}}
    (tmp_path / "both").mkdir()
    shutil.move(directory, tmp_path / "both" / "vit-seed0")
    files.write_json(tmp_path / "both" / "plan.json", plan)
    fails(["resume", str(tmp_path / "both" / "vit-seed0"), "--epochs", "5"], capsys, "part of a comparison", "copy")
    for option in (["--epochs", "5"], ["--data", "x"]):
        fails(["resume", str(tmp_path / "both"), *option], capsys, "are for a run", "comparison")


def test_a_run_goes_on_with_data_that_has_moved_and_with_no_other(pets, tmp_path, capsys, plain):
    directory, data = pets
    (directory / "evaluation.json").unlink()
    data.rename(tmp_path / "elsewhere")
    fails(["resume", str(directory)], capsys, "no longer at", str(data), "--data PATH")
    other = images(tmp_path / "other", classes=("cat", "dog", "owl"), count=9)
    before = (directory / "run.json").read_bytes()
    fails(["resume", str(directory), "--data", str(other)], capsys, str(other), "the same files")
    (other / "cat" / "0.png").write_bytes((other / "cat" / "1.png").read_bytes())
    fails(["resume", str(directory), "--data", str(other), "--epochs", "3"], capsys, "the same files")
    assert (directory / "run.json").read_bytes() == before
    assert run(["resume", str(directory), "--data", str(tmp_path / "elsewhere")]) == 0
    assert run(["evaluate", str(directory)]) == 0, "the run now knows the place"


def test_a_report_gets_its_model_section_from_data_that_has_moved(pets, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vitrail.report.write_report", lambda directory: directory / "report.html")
    directory, data = pets
    data.rename(tmp_path / "elsewhere")
    before = (directory / "run.json").read_bytes()
    assert run(["report", str(directory)]) == 0
    assert not (directory / "inspection.safetensors").exists()
    assert run(["report", str(directory), "--data", str(tmp_path / "elsewhere")]) == 0
    assert (directory / "inspection.safetensors").exists()
    assert (directory / "run.json").read_bytes() == before
    (directory / "evaluation.json").unlink()
    fails(["report", str(directory), "--data", str(tmp_path / "elsewhere")], capsys, "not finished", "vitrail resume")
