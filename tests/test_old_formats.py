"""What version 0.1.0 wrote as of revision ae1f931 is read by every verb of this one.

`tests/old` was made once by that revision and is never made again: runs of digits with models of a thousand parameters,
finished, and killed in the middle of an epoch; a comparison, a study, a reproduction; and a timm ViT of random weights
that was adopted. What a verb makes again by itself (reports, figures, the last checkpoint but one) was removed.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

import vitrail
from vitrail import files
from vitrail.cli import run

OLD = Path(__file__).parent / "old"
RUNS = ("run", "comparison/vit-seed0", "comparison/cnn-seed0", "study/learned-seed0", "reproduction/vit-15-mnist-seed0")


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    """A copy, with a picture beside it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD, tmp_path / "old")
    picture(Path("picture.png"), 0)
    return tmp_path / "old"


def picture(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)).save(path)


def carried_out(*argv: str | Path) -> None:
    assert run([str(argument) for argument in argv]) == 0


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def rows(directory: Path, name: str) -> list[dict]:
    return files.read_json_lines(directory / name)


def test_they_are_small_and_say_nothing_of_where_they_were_made():
    assert sum(map(len, contents(OLD).values())) < 200_000
    assert not [path for path in OLD.rglob("*.json") if re.search(r"/(home|root|tmp|work)\b", path.read_text())]


def went_on(directory: Path, before: Path, losses: list[float]) -> None:
    """From step 7 of 15, in the second of three epochs, to the losses that the old revision would have gone on to.

    They tell whether every parameter has its own optimizer state: two states exchanged move a loss by 0.0001 or more,
    another processor's rounding by much less.
    """
    assert [row["epoch"] for row in rows(before, "metrics.jsonl")] == [1]
    assert [row["epoch"] for row in rows(directory, "metrics.jsonl")] == [1, 2, 3]
    assert [row["step"] for row in rows(directory, "steps.jsonl")] == list(range(1, 16))
    assert rows(directory, "metrics.jsonl")[:1] == rows(before, "metrics.jsonl")
    assert rows(directory, "steps.jsonl")[:7] == rows(before, "steps.jsonl")[:7]
    assert [row["loss"] for row in rows(directory, "steps.jsonl")[7:]] == pytest.approx(losses, abs=4e-5)
    assert all(
        np.isfinite(row["train_loss"]) and np.isfinite(row["val_loss"]) for row in rows(directory, "metrics.jsonl")
    )
    assert files.read_json(directory / "evaluation.json")["images"] == 10
    stored, after = (files.read_json(where / "run.json") for where in (before, directory))
    for name in ("config", "created", "command", "class_names", "fingerprint", "preprocessing", "splits"):
        assert after[name] == stored[name]


def test_a_killed_run_goes_on_to_its_end(old):
    """Muon and AdamW, a moving average, learned positions."""
    carried_out("resume", old / "unfinished")
    losses = [2.279286, 2.304153, 2.382990, 2.306894, 2.301696, 2.280731, 2.332212, 2.311123]
    went_on(old / "unfinished", OLD / "unfinished", losses)
    assert (old / "unfinished" / "report.html").is_file()


def test_a_killed_reproduction_goes_on_to_its_end(old):
    """AdamW, positions of rows and columns."""
    directory, finished, killed = old / "reproduction", "vit-15-mnist-seed0", "vit-15-mnist-seed1"
    before = contents(directory / finished)
    carried_out("resume", directory)
    losses = [2.306745, 2.325002, 2.296060, 2.298910, 2.322521, 2.302673, 2.300463, 2.309464]
    went_on(directory / killed, OLD / "reproduction" / killed, losses)
    assert contents(directory / finished) == before
    record = files.read_json(directory / "vit-15-mnist.json")
    accuracy = files.read_json(directory / finished / "evaluation.json")["accuracy"]
    assert record["test"]["accuracy"]["values"][0] == accuracy
    carried_out("resume", directory)
    assert files.read_json(directory / "vit-15-mnist.json") == record


def test_a_killed_run_is_used_as_it_is(old, capsys):
    carried_out("report", old / "unfinished")
    assert (old / "unfinished" / "report.html").is_file()
    carried_out("predict", old / "unfinished", "picture.png", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert run(["evaluate", str(old / "unfinished")]) == 2
    assert "not finished" in capsys.readouterr().err


def test_a_finished_run_is_resumed_without_a_change(old):
    before = contents(old / "run")
    carried_out("resume", old / "run")
    after = contents(old / "run")
    assert {path.name for path in set(after) - set(before)} == {"report.html"}
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_evaluated_with_the_same_outcome(name, old):
    before = files.read_json(old / name / "evaluation.json")
    carried_out("evaluate", old / name)
    after = files.read_json(old / name / "evaluation.json")
    assert set(after) == set(before)
    assert after["confusion_matrix"] == before["confusion_matrix"]
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-4)
    assert after["ece"] == pytest.approx(before["ece"], abs=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_every_run_gives_the_probabilities_that_were_stored(name, old):
    classifier, samples = vitrail.load(old / name), load_file(old / name / "samples.safetensors")
    images = classifier.preprocessing.normalize(torch.from_numpy(samples["images"]))
    assert np.allclose(classifier.predict(images), samples["probabilities"], atol=1e-5)


def test_an_adopted_model_gives_the_logits_of_its_source(old):
    images = torch.linspace(-2, 2, 3 * 16 * 16).view(1, 3, 16, 16)
    expected = [[0.0491057, -0.0069428, -0.0395773], [0.0491247, -0.0070018, -0.0394939]]
    logits = vitrail.load(old / "adopted").logits(torch.cat([images, images.flip(-1)]))
    assert torch.allclose(logits, torch.tensor(expected), atol=1e-6)


def test_an_adopted_model_keeps_its_pixels_and_is_not_called_verified(old):
    adopted = vitrail.load(old / "adopted")
    assert adopted.preprocessing.rules == "vitrail"
    assert adopted.adoption.wiring == "unrecorded"
    assert vitrail.load(old / "run").adoption is None


@pytest.mark.parametrize("name", [*RUNS, "adopted"])
def test_every_model_predicts(name, old, capsys):
    classifier = vitrail.load(old / name)
    probabilities = classifier.predict("picture.png")[0]
    carried_out("predict", old / name, "picture.png", "--json")
    best = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"][0]
    assert best["class"] == classifier.class_names[int(probabilities.argmax())]
    assert best["probability"] == pytest.approx(float(probabilities.max()), abs=1e-6)


@pytest.mark.parametrize(("name", "labels"), [("run", ("3", "7")), ("adopted", ("class 0", "class 2"))])
def test_models_are_evaluated_on_other_data(name, labels, old):
    for number, label in enumerate(labels):
        (old / "other" / label).mkdir(parents=True)
        for k in range(2):
            picture(old / "other" / label / f"{k}.png", 2 * number + k)
    carried_out("evaluate", old / name, "--data", old / "other")
    assert files.read_json(old / name / "evaluation-other.json")["images"] == 4


@pytest.mark.parametrize("name", ["run", "adopted"])
def test_models_are_explained(name, old):
    carried_out("explain", old / name, "picture.png", "--methods", "grad-cam", "--layer", "0", "--head", "1")
    assert (old / name / "explanation-1" / "explanation.html").is_file()


def test_what_was_measured_of_faithfulness_is_kept_beside_what_is_measured_again(old):
    path = old / "run" / "faithfulness.json"
    before = files.read_json(path)
    count = str(before["num_images"])
    carried_out("explain", old / "run", "--faithfulness", "--methods", "grad-cam", "--count", count)
    after = files.read_json(path)
    assert set(after) == set(before)
    assert {of["method"]: set(of) for of in after["methods"]} == {of["method"]: set(of) for of in before["methods"]}


def test_a_comparison_is_resumed(old):
    directory = old / "comparison"
    record = files.read_json(directory / "comparison.json")
    (directory / "comparison.json").unlink()
    for run_ in ("vit-seed0", "cnn-seed0"):
        (directory / run_ / "report.html").touch()
    before = contents(directory)
    carried_out("resume", directory)
    after = contents(directory)
    assert {path.name for path in set(after) - set(before)} == {".lock", "comparison.json", "report.html"}
    assert {path: after[path] for path in before} == before
    assert files.read_json(directory / "comparison.json") == record


def test_a_study_is_measured_again(old):
    directory, only = old / "study", old / "study" / "learned-seed0"
    record = files.read_json(directory / "record.json")
    (only / "measured.json").unlink()
    before = contents(only)
    carried_out("resume", directory)
    assert {path.name for path in directory.iterdir()} >= {"figure.png", "figure.svg", "finding.md"}
    assert {path: content for path, content in contents(only).items() if path.name != "measured.json"} == before
    after = files.read_json(directory / "record.json")
    assert set(after) == set(record)
    for name in ("study", "command", "claim", "verdict", "data", "seeds", "settings", "hardware", "versions"):
        assert after[name] == record[name]
    assert {cell: set(of) for cell, of in after["cells"].items()} == {
        cell: set(of) for cell, of in record["cells"].items()
    }
