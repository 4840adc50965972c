"""Measuring again, and on other data."""

import shutil

import numpy as np
from command_lines import TINY, fails, images
from PIL import Image

import vitrail
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


def test_folders_are_read_as_the_run_was_told_to_read_them(tmp_path, capsys, plain):
    data, held = (
        images(tmp_path / "x", classes=("a", "b")),
        images(tmp_path / "held", classes=("a", "b"), size=(21, 24)),
    )
    for name in "ab":
        (held / name).rename(data / name / "test")
    out, again = str(tmp_path / "run"), ["evaluate", str(tmp_path / "run"), "--data", str(data)]
    train = ["train", str(data), *TINY, "--epochs", "1", "--out", out]
    fails(train, capsys, "a/, b/ hold test/ beside others", "--layout class-split", "--layout class that all belong")
    assert run([*train, "--layout", "class-split"]) == 0
    assert "read as: training images from */, test images from */test/; classes a, b" in capsys.readouterr().out
    assert files.read_json(tmp_path / "run" / "run.json")["config"]["data"]["layout"] == "class-split"
    (tmp_path / "run" / "evaluation.json").unlink()
    assert run(["resume", out]) == 0
    assert run(again) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-x.json")["images"] == 16
    fails([*again, "--layout", "class"], capsys, "was trained on images of x")
    assert run(["doctor", str(data), "--layout", "class-split", "--out", str(tmp_path)]) == 0
    fails(["doctor", str(data), "--out", str(tmp_path)], capsys, "cannot be trained on as it is")


def test_an_out_among_the_images_is_refused(tmp_path, capsys, plain, monkeypatch):
    data = images(tmp_path / "x", classes=("a", "b"))
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    out, refused = ["--out", str(data / "new")], "lies in the folder of the images"
    fails(["explain", str(tmp_path / "run"), str(data / "a" / "0.png"), *out], capsys, refused)
    fails(["evaluate", str(tmp_path / "run"), "--layout", "class"], capsys, "--layout is for --data")
    fails(["doctor", str(data), *out], capsys, refused)
    monkeypatch.chdir(data)
    assert run(["doctor", "."]) == 0
    assert "no sheet of samples" in capsys.readouterr().err
    assert sorted(path.name for path in data.iterdir()) == ["a", "b"]


def test_class_names_are_the_same_in_either_form_of_unicode(tmp_path, capsys, plain):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    data = images(tmp_path / "x", classes=(decomposed, "tea"))
    assert run(["train", str(data), *TINY, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    other = images(tmp_path / "other", classes=(composed, "tea"), count=3)
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(other)]) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-other.json")["images"] == 6


def test_an_unfinished_run_is_not_evaluated_but_resumed(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "evaluation.json").unlink()
    fails(["evaluate", str(copy)], capsys, "not finished", "vitrail resume")
    assert not (copy / "evaluation.json").exists()


def in_16_bits(folder, times, count=10):
    for label in range(2):
        (folder / "ab"[label]).mkdir(parents=True)
        for at in range(count):
            pixels = np.random.default_rng([label, at]).integers(100 * label, 100 * label + 150, (8, 8), np.uint16)
            Image.fromarray(pixels * times).save(folder / "ab"[label] / f"{at}.png")
    return folder


def test_the_range_of_the_images_that_trained_is_that_of_all_that_follows(tmp_path, capsys, plain):
    data, directory = in_16_bits(tmp_path / "twelve", 16), tmp_path / "run"
    options = ["--epochs", "1", "--image-size", "8", "--out", str(directory)]
    assert run(["train", str(data), *TINY, *options]) == 0
    assert "0 is black and 4,095 white (12 bits, 256 levels for 4,096 values)" in capsys.readouterr().out
    assert files.read_json(directory / "run.json")["preprocessing"]["tones"]["pixel_range"] == [0, 4095]
    assert run(["evaluate", str(directory)]) == 0
    assert run(["predict", str(directory), str(data / "b" / "1.png")]) == 0
    assert "are read with" not in capsys.readouterr().err
    eight = in_16_bits(tmp_path / "eight", 1)
    assert run(["evaluate", str(directory), "--data", str(eight)]) == 0
    assert "eight: values from 0 to 249 are read with 0 as black and 4,095 as white" in capsys.readouterr().err
    # An earlier version kept no range: what it trained is read as it was.
    stored = files.read_json(directory / "run.json")
    del stored["preprocessing"]["tones"], stored["config"]["data"]["pixel_range"]
    files.write_json(directory / "run.json", stored)
    assert run(["evaluate", str(directory)]) == 0
    pixels = vitrail.load(directory).preprocessing.read(data / "b" / "1.png")
    values = np.asarray(Image.open(data / "b" / "1.png"))
    assert np.array_equal(pixels[0], np.rint(values / 257))
