"""Probabilities, from the command line and from Python."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command_lines import fails
from PIL import Image

import vitrail
from vitrail.cli import run


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


def test_a_folder_a_pattern_and_a_file_are_answered_and_a_broken_picture_is_counted(finished, tmp_path, capsys):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for at, name in enumerate(["img10.png", "img2.PNG", "deep/a.png", ".hidden.png", "odd [1].png"]):
        Image.fromarray(np.full((8, 8), 40 * at, np.uint8)).save(folder / name, format="PNG")
    (folder / "notes.txt").write_text("no picture")
    (folder / "img3.png").write_bytes(b"no picture")
    given = [str(folder), str(folder / "img1*.png"), str(folder / "odd [1].png")]
    assert run(["predict", str(finished), *given, "--json"]) == 1
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    named = ["deep/a.png", "img2.PNG", "img3.png", "img10.png", "odd [1].png", "img10.png", "odd [1].png"]
    assert [line["file"] for line in lines] == [str(folder / name) for name in named]
    assert [list(line)[1] for line in lines] == ["error" if n == "img3.png" else "predictions" for n in named]
    assert lines[3]["predictions"] == lines[5]["predictions"]
    broken, passed_over, counted = err.splitlines()
    assert str(folder / "img3.png") in broken
    assert "1 file that is no image" in passed_over
    assert "1 of 7 images could not be read" in counted
    assert run(["predict", str(finished), str(folder / "img3.png"), str(folder / "img2.PNG")]) == 1
    assert "img2.PNG" in capsys.readouterr().out


def test_arguments_are_checked_before_torch_is_imported(finished, tmp_path):
    (tmp_path / "empty").mkdir()
    asked = [
        (tmp_path, "x.png", "is not a run"),
        (finished, tmp_path / "x.png", "x.png: no such file or folder"),
        (finished, tmp_path / "*.png", "*.png: nothing matches"),
        (finished, tmp_path / "empty", "there is no image in this folder"),
    ]
    program = (
        "import sys; from vitrail.cli import run; code = run(sys.argv[1:]); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    for directory, file, said in asked:
        done = subprocess.run(
            [sys.executable, "-c", program, "predict", directory, file], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr


def test_a_damaged_run_is_named(finished, tmp_path, capsys):
    copy, picture = tmp_path / "copy", str(tmp_path / "x.png")
    Image.new("L", (8, 8)).save(picture)
    shutil.copytree(finished, copy)
    for name in sorted(p.name for p in (copy / "checkpoints").iterdir()):
        (copy / "checkpoints" / name / "model.safetensors").write_bytes(b"not tensors")
    capsys.readouterr()
    assert run(["predict", str(copy), picture]) == 2
    *damaged, last = capsys.readouterr().err.splitlines()
    assert len(damaged) == 2
    assert all("is damaged" in line for line in damaged)
    assert "no intact checkpoint" in last
    (copy / "run.json").write_text("{")
    fails(["predict", str(copy), picture], capsys, "run.json")
    (copy / "evaluation.json").unlink()
    fails(["resume", str(copy)], capsys, "run.json")
