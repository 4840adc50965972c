"""Measuring again, and on other data."""

import shutil

from command_lines import TINY, fails, images

from vitrail import files
from vitrail.cli import run


def test_evaluating_again_gives_the_same_numbers(finished, capsys):
    before = files.read_json(finished / "evaluation.json")
    assert run(["evaluate", str(finished)]) == 0
    assert files.read_json(finished / "evaluation.json") == before
    assert f"{before['accuracy']:.4f}" in capsys.readouterr().out


def test_evaluating_again_renews_the_maps_of_its_samples(finished, monkeypatch):
    from vitrail.experiments import run as runs

    before = (finished / "inspection.safetensors").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(runs, "store_summary", lambda *given: None)
        assert run(["evaluate", str(finished)]) == 0
        assert not (finished / "inspection.safetensors").exists(), "an old one does not outlive its samples"
    assert run(["resume", str(finished)]) == 0
    assert run(["evaluate", str(finished)]) == 0
    assert (finished / "inspection.safetensors").read_bytes() == before


def test_other_data_is_evaluated_by_class_name(tmp_path, capsys, plain):
    data = images(tmp_path / "two", classes=("a", "b"))
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    other = images(tmp_path / "other", classes=("b", "a"), count=3)
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(other)]) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-other.json")["images"] == 6
    stranger = images(tmp_path / "stranger", classes=("a", "c"), count=3)
    fails(["evaluate", str(tmp_path / "run"), "--data", str(stranger)], capsys, "class 'c'", "does not know")
    fails(["evaluate", str(tmp_path / "run"), "--data", str(data)], capsys, "was trained on images of two", "held out")


def test_an_unfinished_run_is_not_evaluated_but_resumed(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    fails(["evaluate", str(copy)], capsys, "not finished", "vitrail resume")
    assert not (copy / "evaluation.json").exists()
