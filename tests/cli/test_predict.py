"""Probabilities, from the command line and from Python."""

import json
import shutil

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


def test_a_damaged_run_is_named(finished, tmp_path, capsys):
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
