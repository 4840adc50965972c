"""The verbs from end to end, as a user types them: exit codes, files, and one line for whatever is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrail
from vitrail import files
from vitrail.cli import VERBS, run

SMALL = ["--model", "vit-digits", "--model.depth", "1", "--train-subset", "200", "--test-subset", "60"]


def images(folder: Path, classes=("grey cat", "<b>dog</b> & 'co'"), count=8, size=(20, 24)) -> Path:
    generator = np.random.default_rng(0)
    for k, name in enumerate(classes):
        (folder / name.replace("/", "")).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 100, (*size, 3), dtype=np.uint8) + np.uint8(100 * k)
            Image.fromarray(pixels).save(folder / name.replace("/", "") / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run(["train", "digits", *SMALL, "--epochs", "2", "--out", str(directory)]) == 0
    return directory


def fails(argv, capsys, *parts: str, code: int = 2) -> str:
    capsys.readouterr()
    assert run(argv) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    for part in parts:
        assert part in error
    return error


def test_a_run_directory_is_complete(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        *("run.json", "steps.jsonl", "metrics.jsonl", "evaluation.json", "samples.safetensors"),
        *("checkpoints", "report.html", "attention.safetensors", "inspection.safetensors"),
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


def test_predictions_are_the_same_from_python(finished, tmp_path, capsys):
    picture = tmp_path / "digit.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(picture)
    assert run(["predict", str(finished), str(picture), "--json", "--top", "10"]) == 0
    spoken = {p["class"]: p["probability"] for p in json.loads(capsys.readouterr().out)["predictions"]}
    classifier = vitrail.load(finished)
    for kind in (picture, str(picture), Image.open(picture), np.asarray(Image.open(picture))):
        probabilities = classifier.predict(kind)[0]
        assert {
            n: pytest.approx(float(p), abs=1e-6) for n, p in zip(classifier.class_names, probabilities, strict=True)
        } == spoken
    prepared = classifier.prepare([picture, picture])
    assert classifier.predict(prepared).shape == (2, 10)


def test_a_classifier_survives_saving(finished, tmp_path):
    import torch

    classifier = vitrail.load(finished)
    classifier.save(tmp_path / "saved")
    again = vitrail.load(tmp_path / "saved")
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(classifier.logits(images), again.logits(images))
    assert again.class_names == classifier.class_names
    assert again.preprocessing == classifier.preprocessing


def test_evaluating_again_gives_the_same_numbers(finished, capsys):
    before = files.read_json(finished / "evaluation.json")
    assert run(["evaluate", str(finished)]) == 0
    assert files.read_json(finished / "evaluation.json") == before
    assert f"{before['accuracy']:.4f}" in capsys.readouterr().out


def test_a_run_leaves_the_threads_of_its_caller(finished, tmp_path):
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


def test_evaluating_again_renews_the_maps_of_its_samples(finished, monkeypatch):
    from vitrail.experiments import run as runs

    before = (finished / "inspection.safetensors").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(runs, "look_inside", lambda *given: None)
        assert run(["evaluate", str(finished)]) == 0
        assert not (finished / "inspection.safetensors").exists(), "an old one does not outlive its samples"
    assert run(["resume", str(finished)]) == 0
    assert run(["evaluate", str(finished)]) == 0
    assert (finished / "inspection.safetensors").read_bytes() == before


def test_two_image_sizes_are_refused(capsys):
    argv = ["train", "digits", "--model", "vit-compare", "--image-size", "64", "--model.image-size", "32"]
    fails(argv, capsys, "--image-size and --model.image-size differ")


def test_a_full_disk_in_the_middle_of_training_is_one_line(tmp_path, capsys, monkeypatch):
    from vitrail.training.trainer import Trainer

    def full(trainer):
        raise OSError(28, "No space left on device", str(trainer.directory / "steps.jsonl"))

    monkeypatch.setattr(Trainer, "train_step", full)
    argv = ["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "run")]
    fails(argv, capsys, "steps.jsonl could not be written (No space left on device)", "vitrail resume", code=1)


def test_what_a_killed_process_left_half_written_does_not_count(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".tmp-run.json-1").touch()
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--out", str(out)]) == 0


def test_underscores_are_hyphens(tmp_path):
    out = tmp_path / "run"
    argv = ["train", "digits", *SMALL, "--epochs", "6", "--no_augment", "--model.patch_size", "3", "--image_size", "18"]
    assert run([*argv, "--out", str(out)]) == 0
    config = files.read_json(out / "run.json")["config"]
    assert config["model"]["patch_size"] == 3
    assert config["train"]["augment"]["crop"] == 0, "by itself it would be an eighth of 18 pixels"


def test_other_data_is_evaluated_by_class_name(tmp_path, capsys):
    data = images(tmp_path / "two", classes=("a", "b"))
    assert run(["train", str(data), "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    other = images(tmp_path / "other", classes=("b", "a"), count=3)
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(other)]) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-other.json")["images"] == 6
    stranger = images(tmp_path / "stranger", classes=("a", "c"), count=3)
    fails(["evaluate", str(tmp_path / "run"), "--data", str(stranger)], capsys, "class 'c'", "does not know")
    fails(["evaluate", str(tmp_path / "run"), "--data", str(data)], capsys, "was trained on images of two", "held out")


def test_resume_completes_what_is_missing_and_changes_nothing_else(finished, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "report.html").unlink()
    assert run(["resume", str(copy)]) == 0
    assert (copy / "report.html").exists()
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


def test_validating_on_the_test_images_is_said_everywhere(tmp_path, capsys):
    out = tmp_path / "run"
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--val-split", "test", "--out", str(out)]) == 0
    assert "validation uses the test images" in capsys.readouterr().out
    assert files.read_json(out / "evaluation.json")["val_split"] == "test"
    assert files.read_json(out / "run.json")["config"]["data"]["val_split"] == "test"
    assert "test images" in (out / "report.html").read_text()
    rows = files.read_json_lines(out / "metrics.jsonl")
    # fp32 test and the training precision's validation see the same images.
    assert rows[-1]["val_loss"] == pytest.approx(files.read_json(out / "evaluation.json")["loss"], abs=0.02)


def test_compare_trains_each_and_reports_both(tmp_path, capsys):
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
    import shutil

    shutil.rmtree(out / "cnn-digits-seed1")
    (out / "comparison.json").unlink()
    assert run(["resume", str(out)]) == 0
    again = files.read_json(out / "comparison.json")["models"]
    assert again["cnn-digits"]["test"] == record["cnn-digits"]["test"]


def test_tensorboard_gets_every_metric(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    assert run(["train", "digits", *SMALL, "--epochs", "2", "--track", "tensorboard", "--out", str(out)]) == 0
    events = event_accumulator.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert {"step/loss", "epoch/val_accuracy", "epoch/train_f1"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("epoch/val_accuracy")) == 2


def test_bad_usage_is_one_line_that_names_it(tmp_path, finished, capsys):
    fails(["trian"], capsys, "trian", "did you mean train?")
    fails(["train", "digits", "--epoch", "3"], capsys, "--epoch", "did you mean --epochs?")
    fails(["train", "digits", "--dropout", "0.1"], capsys, "--dropout", "did you mean --model.dropout?", "--help-all")
    fails(["train", "digits", "--epochs", "three"], capsys, "--epochs", "three")
    fails(["train", "digits", "--epochs", "0"], capsys, "epochs is 0")
    fails(["train"], capsys, "DATA")
    fails(["train", str(tmp_path / "nowhere")], capsys, "nowhere", "no such file")
    fails(["train", "digitz"], capsys, "did you mean digits?")
    fails(["train", "digits", "--model", "vit-digit"], capsys, "did you mean vit-digits")
    fails(["train", "digits", "--model", "vit-digits", "--model.num-heads", "5"], capsys, "5", "64", "4 or 8")
    fails(["train", "digits", "--model.depth", "2"], capsys, "name it with --model")
    fails(["train", "digits", "--model", "vit-digits", "--model.num-classes", "3"], capsys, "comes from the data")
    fails(["train", "digits", "--train-subset", "5000"], capsys, "5,000")
    fails(["train", "digits", "--batch-size", "5000"], capsys, "5000", "--batch-size")
    fails(["train", "digits", "--train.device", "warp"], capsys, "warp")
    fails(["train", "digits", "--mean", "0.5", "0.5"], capsys, "mean has 2 numbers")
    fails(["predict", str(tmp_path), "x.png"], capsys, "is not a run")
    fails(["predict", str(finished), str(tmp_path / "x.png")], capsys, "x.png")
    fails(["predict", str(finished)], capsys, "vitrail predict")
    fails(["resume", str(tmp_path)], capsys, "no run.json")
    fails(["train", "digits", "--lr", "inf"], capsys, "lr is inf")
    fails(["train", "digits", "--seed", "-1"], capsys, "seed is -1")
    fails(["train", "digits", "--train.threads", "1000000"], capsys, "threads")
    fails(["train", "digits", "--out", str(tmp_path / ("x" * 300))], capsys, "cannot be made")
    fails(["compare", "digits", "--models", "vit-digits", "vit-digits"], capsys, "named twice")
    fails(["train", "digits", "--model", "vit-digits", "--train.device", "meta"], capsys, "meta")
    fails(["report", str(tmp_path)], capsys, "neither a run nor a comparison")
    fails(["summary", "vit-b17"], capsys, "vit-b16")
    fails(["compare", "digits", "--models", "nope"], capsys, "nope")
    fails(["doctor", str(tmp_path / "nowhere")], capsys, "nowhere")


def test_what_is_there_is_never_harmed(finished, capsys):
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    message = fails(["train", "digits", "--out", str(finished)], capsys, "is not empty", "another --out")
    assert "vitrail resume" in message
    message = fails(["train", "digits", "--out", str(finished / "checkpoints")], capsys, "is not empty")
    assert "vitrail resume" not in message
    fails(["train", "digits", "--out", str(finished / "run.json")], capsys, "is a file: name another --out")
    fails(["demo", "--out", str(finished)], capsys, "not a demo")
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


def test_a_demo_replaces_demos_only(tmp_path, capsys):
    out = tmp_path / "comparison"
    argv = ["compare", "digits", "--models", "cnn-digits", "--epochs", "1", "--train-subset", "64", "--out", str(out)]
    assert run(argv) == 0
    fails(["demo", "--out", str(out)], capsys, "not a demo")
    assert (out / "comparison.json").exists()
    (tmp_path / "file").touch()
    fails(["demo", "--out", str(tmp_path / "file")], capsys, "not a demo")
    files.write_json(out / "plan.json", {**files.read_json(out / "plan.json"), "kind": "demo"})
    mine = out / "cnn-digits-seed0" / "explanation-1"
    mine.mkdir()
    (mine / "explanation.html").touch()
    fails(["demo", "--out", str(out)], capsys, "explanation-1", "would be removed", f"move {out}")
    assert mine.is_dir()


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


def test_one_failing_run_does_not_stop_a_comparison(tmp_path, capsys, monkeypatch):
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


def test_a_run_in_use_is_left_alone(finished, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    with files.locked(copy / "run.json"):
        fails(["resume", str(copy)], capsys, "in use by another process")
    assert run(["resume", str(copy)]) == 0


def test_an_unfinished_run_is_not_evaluated_but_resumed(finished, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    fails(["evaluate", str(copy)], capsys, "not finished", "vitrail resume")
    assert not (copy / "evaluation.json").exists()


def test_a_folder_called_like_a_known_data_set_is_not_confused_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert run(["train", "digits", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    assert files.read_json(Path("run/run.json"))["config"]["data"]["source"] == "digits"


def test_divergence_is_one_line(tmp_path, capsys):
    few = ["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "few"), "--lr", "1e30"]
    fails(few, capsys, "diverged", "--lr", code=1)
    many = ["train", "digits", *SMALL, "--epochs", "9", "--out", str(tmp_path / "many"), "--lr", "1e38"]
    fails(many, capsys, "diverged", code=1)


def test_a_reader_that_leaves_stops_nothing(tmp_path):
    out = tmp_path / "run"
    argv = [sys.executable, "-m", "vitrail", "train", "digits", *SMALL, "--epochs", "3", "--out", str(out)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert (out / "report.html").exists()


def test_a_damaged_run_is_named(finished, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    for name in sorted(p.name for p in (copy / "checkpoints").iterdir()):
        (copy / "checkpoints" / name / "model.safetensors").write_bytes(b"not tensors")
    capsys.readouterr()
    assert run(["predict", str(copy), "x.png"]) == 2
    *damaged, last = capsys.readouterr().err.splitlines()
    assert len(damaged) == 2
    assert all("is damaged" in line for line in damaged)
    assert "no intact checkpoint" in last
    (copy / "run.json").write_text("{")
    fails(["predict", str(copy), "x.png"], capsys, "run.json")
    (copy / "evaluation.json").unlink()
    fails(["resume", str(copy)], capsys, "run.json")


def test_changed_data_is_not_resumed(tmp_path, capsys):
    data = images(tmp_path / "data")
    out = tmp_path / "run"
    assert run(["train", str(data), "--epochs", "1", "--out", str(out)]) == 0
    (out / "evaluation.json").unlink()
    picture = data / "grey cat" / "0.png"
    renamed = picture.rename(picture.with_name("99.png"))
    fails(["resume", str(out)], capsys, "no longer the data")
    renamed.unlink()
    fails(["resume", str(out)], capsys, "no longer the data")


def test_a_finished_run_is_completed_as_far_as_there_is_data(tmp_path, capsys):
    data, out = images(tmp_path / "data"), tmp_path / "run"
    assert run(["train", str(data), "--epochs", "1", "--out", str(out)]) == 0
    (out / "inspection.safetensors").unlink()
    (out / "report.html").unlink()
    data.rename(tmp_path / "elsewhere")
    assert run(["resume", str(out)]) == 0
    assert "shows nothing of the inside" in capsys.readouterr().err
    assert (out / "report.html").is_file()
    (tmp_path / "elsewhere").rename(data)
    assert run(["resume", str(out)]) == 0
    assert (out / "inspection.safetensors").is_file()


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        run([verb, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: vitrail {verb}" in said
    assert not re.search(r"\(default:[\s│]*(None)?[\s│]*\)", said)


def test_help_leaves_every_option_for_what_is_parsed_after_it(capsys):
    for _ in range(2):
        with pytest.raises(SystemExit):
            run(["train", "--help"])
        assert run(["train", "nowhere", "--val-split", "test", "--train.warmup", "0.5"]) == 2
        assert "nowhere" in capsys.readouterr().err


def test_help_imports_no_torch_and_fits_a_screen():
    code = "import sys; from vitrail.cli import run\ntry: run(['train', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'matplotlib', 'sklearn', 'numpy'} & set(sys.modules), 'imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) <= 40
    assert "--help-all" in done.stdout
    assert "--model.patch-size" not in done.stdout


def test_importing_vitrail_is_cheap():
    code = "import sys, vitrail; assert not {'torch', 'numpy'} & set(sys.modules); vitrail.nonsense"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no attribute 'nonsense'" in done.stderr


def test_summary_of_a_preset(capsys):
    assert run(["summary", "vit-compare"]) == 0
    out = capsys.readouterr().out
    assert "3,195,146" in out
    assert "218,240,512" in out
    assert run(["summary"]) == 0
    assert "cnn-compare" in capsys.readouterr().out


def test_options_of_the_python_interface_are_checked(tmp_path):
    from vitrail.errors import InputError

    with pytest.raises(InputError, match="unknown option epoch: known are"):
        vitrail.train("digits", epoch=3, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_exits(number, code, tmp_path):
    out = tmp_path / "run"
    argv = [sys.executable, "-m", "vitrail", "train", "digits", *SMALL, "--epochs", "5000", "--out", str(out)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ, text=True)
    while not list((out / "checkpoints").glob("step-*")) and process.poll() is None:
        time.sleep(0.05)
    before = max((out / "checkpoints").glob("step-*"))
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(timeout=10) == code
    error = process.stderr.read()
    assert error.count("\n") == 1
    assert f"vitrail resume {out}" in error
    assert max((out / "checkpoints").glob("step-*")) > before
