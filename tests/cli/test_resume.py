"""Going on with what was interrupted, and completing what lacks something."""

import shutil

import pytest
from command_lines import TINY, fails, images

import vitrail
from vitrail import files
from vitrail.cli import run


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
