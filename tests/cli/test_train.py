"""A run from its command line to its files."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_lines import SMALL, fails, images

from vitrail import files
from vitrail.cli import run


def test_a_run_directory_is_complete(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        *(".lock", "run.json", "steps.jsonl", "metrics.jsonl", "evaluation.json", "samples.safetensors"),
        *("checkpoints", "report.html", "attention.safetensors", "inspection.safetensors", "seen.safetensors"),
    }
    stored = files.read_json(finished / "run.json")
    assert stored["splits"] == {"train": 200, "val": 180, "test": 60}
    assert stored["class_names"] == [str(k) for k in range(10)]
    evaluation = files.read_json(finished / "evaluation.json")
    assert np.array(evaluation["confusion_matrix"]).sum() == evaluation["images"] == 60
    assert evaluation["val_split"] == "train"
    assert 0 <= evaluation["ece"] <= 1


def test_train_ends_with_its_files_and_the_next_command(tmp_path, capsys):
    data = images(tmp_path / "my photos")
    assert run(["train", str(data), "--epochs", "1", "--out", str(tmp_path / "my run")]) == 0
    out = capsys.readouterr().out
    assert "test accuracy" in out
    assert "report.html" in out
    assert f"next: vitrail predict '{tmp_path}/my run' IMAGE..." in out
    assert "<b>dog" not in (tmp_path / "my run" / "report.html").read_text()
    assert run(["predict", str(tmp_path / "my run"), str(data / "grey cat" / "0.png"), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert sum(p["probability"] for p in line["predictions"]) == pytest.approx(1)
    assert {p["class"] for p in line["predictions"]} == {"grey cat", "<b>dog<b> & 'co'"}


def test_a_run_leaves_the_threads_of_its_caller(finished, tmp_path, plain):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert run(["evaluate", str(finished)]) == 0
        assert torch.get_num_threads() == 3
        assert run(["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_full_disk_in_the_middle_of_training_is_one_line(tmp_path, capsys, monkeypatch):
    from vitrail.training.recorders import StepRecorder

    def full(recorder, row):
        raise OSError(28, "No space left on device", str(recorder.path))

    monkeypatch.setattr(StepRecorder, "step", full)
    argv = ["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "run")]
    fails(argv, capsys, "steps.jsonl could not be written (No space left on device)", "vitrail resume", code=1)


def test_what_a_killed_process_left_half_written_does_not_count(tmp_path, plain):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".tmp-run.json-1").touch()
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--out", str(out)]) == 0


def test_validating_on_the_test_images_is_said_everywhere(tmp_path, capsys, monkeypatch):
    from vitrail.experiments import run as runs

    monkeypatch.setattr(runs, "store_summary", lambda *given: None)
    out = tmp_path / "run"
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--val-split", "test", "--out", str(out)]) == 0
    assert "validation uses the test images" in capsys.readouterr().out
    assert files.read_json(out / "evaluation.json")["val_split"] == "test"
    assert files.read_json(out / "run.json")["config"]["data"]["val_split"] == "test"
    assert "test images" in (out / "report.html").read_text()
    rows = files.read_json_lines(out / "metrics.jsonl")
    # fp32 test and the training precision's validation see the same images.
    assert rows[-1]["val_loss"] == pytest.approx(files.read_json(out / "evaluation.json")["loss"], abs=0.02)


def test_tensorboard_gets_every_metric(tmp_path, plain):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    assert run(["train", "digits", *SMALL, "--epochs", "2", "--track", "tensorboard", "--out", str(out)]) == 0
    events = event_accumulator.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert {"step/loss", "epoch/val_accuracy", "epoch/train_f1"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("epoch/val_accuracy")) == 2


def test_what_is_there_is_never_harmed(finished, capsys):
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    message = fails(["train", "digits", "--out", str(finished)], capsys, "is not empty", "another --out")
    assert "vitrail resume" in message
    message = fails(["train", "digits", "--out", str(finished / "checkpoints")], capsys, "is not empty")
    assert "vitrail resume" not in message
    fails(["train", "digits", "--out", str(finished / "run.json")], capsys, "is a file: name another --out")
    fails(["demo", "--out", str(finished)], capsys, "not a demo")
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


def test_a_folder_called_like_a_known_data_set_is_not_confused_with_it(tmp_path, monkeypatch, plain):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    assert files.read_json(Path("run/run.json"))["config"]["data"]["source"] == "digits"


def test_divergence_is_one_line(tmp_path, capsys):
    few = ["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "few"), "--lr", "1e30"]
    fails(few, capsys, "diverged", "--lr", code=1)
    many = ["train", "digits", *SMALL, "--epochs", "9", "--out", str(tmp_path / "many"), "--lr", "1e38"]
    fails(many, capsys, "diverged", code=1)


def test_a_range_of_pixels_needs_two_numbers_and_images_that_it_is_for(tmp_path, capsys):
    data = str(images(tmp_path / "colours"))
    fails(["train", data, "--pixel-range", "9", "3"], capsys, "pixel_range", "first of black and then a higher one")
    fails(["train", data, "--pixel-range", "9"], capsys, "--pixel-range")
    fails(["train", data, "--pixel-range", "0", "1"], capsys, "none of these is", "leave it out")
