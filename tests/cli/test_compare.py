"""Several models on the same batches."""

import shutil

import numpy as np
import pytest
from command_lines import fails

from vitrail import files
from vitrail.cli import run


def test_compare_trains_each_and_reports_both(tmp_path, capsys, plain):
    out = tmp_path / "comparison"
    argv = ["compare", "digits", "--models", "vit-digits", "cnn-digits", "--seeds", "2", "--epochs", "1"]
    assert run([*argv, "--train-subset", "128", "--test-subset", "50", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    for name in ("vit-digits-seed1", "cnn-digits-seed0"):
        chosen = files.read_json(out / name / "run.json")["choices"]
        assert any(line.startswith("precision") for line in chosen)
        assert all(line in said for line in chosen)
    record = files.read_json(out / "comparison.json")["models"]
    assert set(record) == {"vit-digits", "cnn-digits"}
    for model in record.values():
        assert set(model) == {"parameters", "multiply_adds", "seconds", "images_per_second", "train", "val", "test"}
        accuracy = model["test"]["accuracy"]
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["values"]))
        assert accuracy["std"] == pytest.approx(np.std(accuracy["values"], ddof=1))
    assert {p.name for p in out.iterdir() if p.is_dir()} == {
        f"{model}-seed{k}" for model in ("vit-digits", "cnn-digits") for k in (0, 1)
    }
    # A comparison that lost a run and its record is completed by resume.
    shutil.rmtree(out / "cnn-digits-seed1")
    (out / "comparison.json").unlink()
    assert run(["resume", str(out)]) == 0
    again = files.read_json(out / "comparison.json")["models"]
    assert again["cnn-digits"]["test"] == record["cnn-digits"]["test"]


def test_one_failing_run_does_not_stop_a_comparison(tmp_path, capsys, monkeypatch, plain):
    from vitrail.errors import RunError
    from vitrail.experiments import plan as plans

    real = plans.begin

    def failing(prepared, directory, *rest):
        if "vit" in directory.name:
            raise RunError("training diverged")
        return real(prepared, directory, *rest)

    monkeypatch.setattr(plans, "begin", failing)
    out = tmp_path / "comparison"
    argv = ["compare", "digits", "--models", "vit-digits", "cnn-digits", "--epochs", "1", "--train-subset", "64"]
    fails([*argv, "--out", str(out)], capsys, "vit-digits-seed0 failed", code=1)
    assert set(files.read_json(out / "comparison.json")["models"]) == {"cnn-digits"}
    monkeypatch.setattr(plans, "begin", real)
    assert run(["resume", str(out)]) == 0
    assert set(files.read_json(out / "comparison.json")["models"]) == {"vit-digits", "cnn-digits"}
