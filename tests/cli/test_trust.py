"""How far to trust a run's answers: kept by the run, made again, used by predict."""

import csv
import json

import numpy as np
import pytest
import torch
from command_lines import TINY, fails, images
from PIL import Image

import vitrail
from vitrail import files
from vitrail.cli import run
from vitrail.experiments import answering


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for at in range(6):
        pixels = np.random.default_rng(at).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{at}.png")
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def test_a_run_keeps_what_evaluate_and_resume_make_again(finished):
    kept = {name: (finished / name).read_bytes() for name in ("trust.json", "trust.safetensors", "suspects.csv")}
    weights = sorted((finished / "checkpoints").rglob("*.safetensors"))
    before = [path.read_bytes() for path in weights]
    for verb in ("evaluate", "resume"):
        for name in kept:
            (finished / name).unlink()
        assert run([verb, str(finished)]) == 0
        assert {name: (finished / name).read_bytes() for name in kept} == kept
    assert [path.read_bytes() for path in weights] == before
    measured = files.read_json(finished / "trust.json")["measured"]
    assert {row["data"] for row in measured["others"]} == {"shapes", "its own test images with their pixels shuffled"}
    assert measured["raw"]["ece"] == pytest.approx(files.read_json(finished / "evaluation.json")["ece"])


def test_probabilities_are_calibrated_and_the_models_own_on_request(finished, pictures, tmp_path, capsys):
    classifier = vitrail.load(finished)
    temperature = files.read_json(finished / "trust.json")["temperature"]
    assert temperature not in (None, 1.0)
    logits = classifier.logits(pictures / "0.png")
    assert torch.allclose(classifier.predict(pictures / "0.png"), (logits / temperature).softmax(dim=1))
    assert torch.allclose(classifier.predict(pictures / "0.png", raw=True), logits.softmax(dim=1))
    for option, expected in (([], classifier.predict(pictures / "0.png")), (["--raw"], logits.softmax(dim=1))):
        assert run(["predict", str(finished), str(pictures / "0.png"), "--json", *option]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["predictions"][0]["probability"] == pytest.approx(float(expected.max()), abs=1e-6)
    classifier.save(tmp_path / "saved")
    saved = vitrail.load(tmp_path / "saved")
    assert torch.equal(saved.predict(pictures / "0.png"), classifier.predict(pictures / "0.png"))
    assert saved.trust.spread.distance(np.ones((1, 64))) == classifier.trust.spread.distance(np.ones((1, 64)))


def test_without_calibration_that_is_said(finished, pictures, tmp_path, capsys):
    own = vitrail.load(finished).predict(pictures / "0.png", raw=True)
    (finished / "trust.json").write_text("{")
    assert run(["predict", str(finished), str(pictures / "0.png"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "is damaged" in err
    assert "vitrail evaluate" in err
    assert (json.loads(out)["set"], json.loads(out)["unlike"]) == (None, None)
    assert json.loads(out)["predictions"][0]["probability"] == pytest.approx(float(own.max()), abs=1e-6)
    (finished / "trust.json").unlink()
    assert run(["predict", str(finished), str(pictures / "0.png")]) == 0
    assert "vitrail resume" in capsys.readouterr().err
    vitrail.load(finished).save(tmp_path / "saved")
    assert run(["predict", str(tmp_path / "saved"), str(pictures / "0.png")]) == 0
    assert "not trained here" in capsys.readouterr().err


def test_what_was_measured_of_other_weights_is_not_used(finished):
    stored = files.read_json(finished / "trust.json")
    files.write_json(finished / "trust.json", stored | {"weights": "others"})
    assert vitrail.load(finished).trust is None
    assert run(["resume", str(finished)]) == 0
    assert files.read_json(finished / "trust.json") == stored


def test_a_table_has_every_file(finished, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(answering, "_AT_ONCE", 2)
    names = [*vitrail.load(finished).class_names]
    assert run(["predict", str(finished), str(pictures), "--json", "--coverage", "95"]) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    out = tmp_path / "predictions.csv"
    assert run(["predict", str(finished), str(pictures), "--coverage", "95", "--top", "2", "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "answered 5 images" in said.out
    assert "1 of 6 images could not be read" in said.err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(pictures / f"{at}.png") for at in range(6)]
    assert rows[3]["error"] == answers[3]["error"] == "not an image"
    for row, answer in zip(rows, answers, strict=True):
        if row["error"]:
            continue
        best, second = answer["predictions"][:2]
        assert (row["class"], row["class_2"]) == (best["class"], second["class"])
        assert float(row["probability"]) == pytest.approx(best["probability"], rel=1e-5)
        assert row["set"].split("|") == answer["set"]
        assert answer["set"][0] == best["class"]
        assert set(answer["set"]) <= set(names)
        assert row["unlike"] == ("yes" if answer["unlike"] else "no")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")] == []


def test_options_that_cannot_be_met_are_refused(finished, pictures, tmp_path, capsys):
    (tmp_path / "there.csv").write_text("mine")
    asked = [
        (["--coverage", "100"], "--coverage is 100"),
        (["--out", str(tmp_path / "there.csv")], "is there already"),
        (["--out", str(tmp_path / "no" / "x.csv")], "lies in no folder"),
        (["--out", str(tmp_path / "x.csv"), "--json"], "--json prints"),
    ]
    for options, said in asked:
        fails(["predict", str(finished), str(pictures), *options], capsys, said)
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_the_report_says_how_far_to_trust_it_and_shows_doubtful_labels(finished):
    page = (finished / "report.html").read_text()
    assert "How far to trust its answers" in page
    assert "calibration error" in page
    assert 'id="suspects"' in page
    first = next(csv.DictReader((finished / "suspects.csv").open(newline="")))
    assert first["rank"] == "1"
    assert float(first["margin"]) < 0
    assert first["file"] in page
    (finished / "trust.json").unlink()
    assert run(["report", str(finished)]) == 0
    assert f"vitrail resume {finished}" in (finished / "report.html").read_text()


def test_where_test_images_validate_nothing_is_fitted_and_that_is_said(tmp_path, capsys):
    out = tmp_path / "run"
    data = ["--train-subset", "100", "--test-subset", "60", "--val-split", "test", "--epochs", "1"]
    assert run(["train", "digits", *TINY, *data, "--out", str(out)]) == 0
    assert "validation images are those of the test" in capsys.readouterr().err
    assert not (out / "trust.json").exists()
    assert (out / "suspects.csv").is_file()
    assert "there are none left to calibrate it on" in (out / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}
    assert run(["resume", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()} == before


def test_with_few_images_everything_that_cannot_be_promised_is_said(tmp_path, capsys):
    data, out = images(tmp_path / "data"), tmp_path / "run"
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(out)]) == 0
    capsys.readouterr()
    picture = next(data.rglob("*.png"))
    assert run(["predict", str(out), str(picture), "--json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (len(answer["set"]), answer["unlike"]) == (2, None)
    assert "too few mistakes on" in said.err
