"""Measuring again, and on other data, but on no image that the model has seen."""

import errno
import os
import shutil
import signal

import numpy as np
import pytest
from command_lines import TINY, fails, images
from PIL import Image
from safetensors.numpy import load_file

import vitrail
from vitrail import checkpoint, files
from vitrail.classifier import load
from vitrail.cli import run
from vitrail.experiments import evaluating
from vitrail.experiments.run import reopen


def contents(directory):
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_evaluating_again_gives_the_same_numbers(finished, capsys):
    before = files.read_json(finished / "evaluation.json")
    assert run(["evaluate", str(finished)]) == 0
    assert files.read_json(finished / "evaluation.json") == before
    assert f"{before['accuracy']:.4f}" in capsys.readouterr().out


def test_evaluating_again_renews_the_maps_of_its_samples(finished):
    before = (finished / "inspection.safetensors").read_bytes()
    os.truncate(finished / "inspection.safetensors", 100)
    assert run(["evaluate", str(finished)]) == 0
    assert (finished / "inspection.safetensors").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_evaluating_costs_nothing(finished, capsys, monkeypatch, number):
    before = contents(finished)
    monkeypatch.setattr(evaluating, "summary", lambda *given: os.kill(os.getpid(), number))
    fails(["evaluate", str(finished)], capsys, "interrupted", code=128 + number)
    assert contents(finished) == before


@pytest.mark.parametrize("full_after", [0, 1, 2])
def test_a_full_disk_while_evaluating_costs_nothing(finished, capsys, monkeypatch, full_after):
    before, left, flush = contents(finished), iter(range(full_after)), os.fsync

    def fsync(descriptor):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    name = ("evaluation.json", "samples.safetensors", "inspection.safetensors")[full_after]
    fails(["evaluate", str(finished)], capsys, str(finished / name), "No space left", code=1)
    assert contents(finished) == before


def test_other_data_is_evaluated_by_class_name(pets, tmp_path, capsys):
    directory, data = pets
    (directory / "seen.safetensors").unlink()
    shutil.move(data, tmp_path / "elsewhere")
    other = images(tmp_path / "other", classes=("owl", "cat"), count=3)
    assert run(["evaluate", str(directory), "--data", str(other)]) == 0
    assert "which images trained the model is not known" in capsys.readouterr().out
    result = files.read_json(directory / "evaluation-other.json")
    assert (result["images"], result["left_out"]) == (6, None)
    assert [of["images"] for of in result["per_class"]] == [3, 0, 3]
    stranger = images(tmp_path / "stranger", classes=("cat", "emu"), count=3)
    fails(["evaluate", str(directory), "--data", str(stranger)], capsys, "class 'emu'", "does not know")


def test_an_unfinished_run_is_not_evaluated_but_resumed(finished, capsys):
    (finished / "evaluation.json").unlink()
    fails(["evaluate", str(finished)], capsys, "not finished", "vitrail resume")
    assert not (finished / "evaluation.json").exists()


def test_a_run_keeps_which_images_it_has_seen(pets):
    directory, _ = pets
    prepared = reopen(directory)
    used = {prepared.image_names[at] for at in (*prepared.splits.train, *prepared.splits.val)}
    kept = load_file(directory / "seen.safetensors")["images"]
    assert kept.dtype == np.uint64
    assert len(set(kept.tolist())) == len(used) == 24


def test_moved_data_is_known_again_and_only_its_test_measured(pets, tmp_path, capsys):
    directory, data = pets
    before = files.read_json(directory / "evaluation.json")
    shutil.move(data, tmp_path / "archive")
    error = fails(["evaluate", str(directory)], capsys, "no longer at", "--data", "vitrail resume")
    assert str(data) in error
    for place in (tmp_path / "archive", shutil.make_archive(tmp_path / "zipped", "zip", tmp_path / "archive")):
        (directory / "evaluation.json").write_text("{}")
        assert run(["evaluate", str(directory), "--data", str(place)]) == 0
        assert files.read_json(directory / "evaluation.json") == before
    assert not list(directory.glob("evaluation-*"))


@pytest.mark.parametrize("kept", [True, False])
def test_images_that_the_model_has_seen_are_left_out(pets, tmp_path, capsys, kept):
    directory, data = pets
    if not kept:
        # As of an earlier version: what trained is told by the data, as long as it is there.
        (directory / "seen.safetensors").unlink()
    other = tmp_path / "other"
    shutil.copytree(data, other)
    for number, picture in enumerate(sorted(other.rglob("*.png"))):
        picture.rename(picture.with_name(f"renamed-{number}.png"))
    new = images(tmp_path / "new", classes=("cat",), count=12) / "cat"
    for name in ("10.png", "11.png"):
        shutil.copy(new / name, other / "owl" / f"new-{name}")
    assert run(["evaluate", str(directory), "--data", str(other)]) == 0
    result = files.read_json(directory / "evaluation-other.json")
    assert (result["images"], result["left_out"]) == (6 + 2, 24)
    assert "left out 24 images that trained or validated" in capsys.readouterr().out
    trained = tmp_path / "trained"
    prepared = reopen(directory)
    for at in prepared.splits.train:
        name = prepared.image_names[at]
        (trained / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / name, trained / name)
    fails(["evaluate", str(directory), "--data", str(trained)], capsys, "all 21 images", "none left")
    fails(["explain", str(directory), "--faithfulness", "--data", str(trained)], capsys, "all 21 images")


def test_the_folder_that_was_trained_on_is_not_all_measured_after_it_has_changed(pets, tmp_path, capsys):
    directory, data = pets
    shutil.copy(images(tmp_path / "new", classes=("cat",), count=11) / "cat" / "10.png", data / "owl" / "10.png")
    assert run(["evaluate", str(directory), "--data", str(data)]) == 0
    result = files.read_json(directory / "evaluation-pets.json")
    assert (result["images"], result["left_out"]) == (7, 24)
    (directory / "seen.safetensors").unlink()
    fails(["evaluate", str(directory), "--data", str(data)], capsys, "was trained on images of pets", "not known")


def test_of_a_saved_model_nothing_false_is_said(pets, tmp_path, capsys):
    directory, data = pets
    load(directory).save(tmp_path / "saved")
    assert run(["evaluate", str(tmp_path / "saved"), "--data", str(data)]) == 0
    out = capsys.readouterr().out
    assert "which images trained the model is not known" in out
    assert "left out" not in out
    assert files.read_json(tmp_path / "saved" / "evaluation-pets.json")["left_out"] is None


def test_images_of_one_class_give_its_recall(pets, tmp_path, capsys):
    directory, _ = pets
    some = tmp_path / "some"
    shutil.copytree(images(tmp_path / "new", classes=("x", "dog"), count=4) / "dog", some / "dog")
    assert run(["evaluate", str(directory), "--data", str(some)]) == 0
    result = files.read_json(directory / "evaluation-some.json")
    right = next(of["recall"] for of in result["per_class"] if of["name"] == "dog")
    classifier = load(directory)
    answers = classifier.predict(sorted((some / "dog").iterdir())).argmax(dim=1)
    assert right == result["recall"] == result["accuracy"] == float((answers == 1).float().mean())
    assert [name for name in ("auroc", "f1", "precision") if result[name] is not None] == []
    out = capsys.readouterr().out
    assert "undefined for images of one class: auroc, f1 and precision" in out
    assert "of 1 of the model's 3 classes" in out
    shutil.copytree(some / "dog", some / "owl")
    assert run(["evaluate", str(directory), "--data", str(some)]) == 0
    out = capsys.readouterr().out
    assert "of 2 of the model's 3 classes" in out
    assert "  owl" in out
    assert files.read_json(directory / "evaluation-some.json")["precision"] is not None
    fails(["train", str(tmp_path / "some" / "dog")], capsys, "no class folder")
    fails(["evaluate", str(directory), "--data", str(some / "dog")], capsys, "no class folder", "vitrail predict")
    shutil.rmtree(some / "owl")
    fails(["train", str(some)], capsys, "only one class")


def test_a_run_that_cannot_be_written_to_is_evaluated_elsewhere(pets, tmp_path, capsys, monkeypatch):
    directory, _ = pets
    before = contents(directory)
    result = files.read_json(directory / "evaluation.json")
    out, other = tmp_path / "out", images(tmp_path / "new", classes=("dog", "cat"), count=4)
    with monkeypatch.context() as patched:

        def refused(dir):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        patched.setattr(files.tempfile, "TemporaryFile", refused)
        fails(["evaluate", str(directory)], capsys, str(directory), "Read-only file system", "--out DIR")
    assert run(["evaluate", str(directory), "--out", str(out)]) == 0
    assert {path.name: files.read_json(path) for path in out.iterdir()} == {"evaluation.json": result}
    fails(["evaluate", str(directory), "--out", str(out)], capsys, "not empty")
    assert run(["evaluate", str(directory), "--out", str(tmp_path / "o"), "--data", str(other)]) == 0
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["evaluation.json"]
    assert contents(directory) == before


def test_of_data_with_splits_the_test_is_measured_and_nothing_is_needed_to_train(pets, tmp_path):
    directory, _ = pets
    new = images(tmp_path / "new", classes=("x", "dog", "owl"), count=4)
    for place, name in (("val", "dog"), ("test", "dog"), ("test", "owl"), ("train", "dog")):
        shutil.copytree(new / name, tmp_path / "other" / place / name)
        for at, picture in enumerate(sorted((tmp_path / "other" / place / name).iterdir())):
            Image.fromarray(np.full((9, 9, 3), 20 * at + len(place), np.uint8)).save(picture)
    assert run(["evaluate", str(directory), "--data", str(tmp_path / "other")]) == 0
    result = files.read_json(directory / "evaluation-other.json")
    assert (result["split"], [of["images"] for of in result["per_class"]]) == ("test", [0, 4, 4])
    shutil.rmtree(tmp_path / "other" / "train")
    assert run(["evaluate", str(directory), "--data", str(tmp_path / "other")]) == 0
    assert files.read_json(directory / "evaluation-other.json") == result


def test_what_is_left_out_of_other_data_is_said(pets, tmp_path, capsys):
    directory, _ = pets
    (tmp_path / "new" / "dog").mkdir(parents=True)
    for at in range(101):
        Image.fromarray(np.full((4, 4), at, np.uint8)).save(tmp_path / "new" / "dog" / f"{at}.png")
    shutil.copy(tmp_path / "new" / "dog" / "7.png", tmp_path / "new" / "dog" / "copy.png")
    (tmp_path / "new" / "dog" / "broken.png").write_bytes(b"no image")
    assert run(["evaluate", str(directory), "--data", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert "skipped 1 unreadable image: dog/broken.png" in out
    assert "left out 1 copy of another image" in out


def test_a_path_inside_a_run_and_an_empty_name_are_told_what_they_should_be(pets, capsys):
    directory, data = pets
    inside = directory / "checkpoints" / "step-00000002" / "model.safetensors"
    for path in (inside, inside.parent, directory / "run.json"):
        for verb in (["evaluate", str(path)], ["predict", str(path), str(data)], ["resume", str(path)]):
            fails(verb, capsys, "is not a run", f"name the run's directory, {directory}")
    fails(["evaluate", str(directory), "--data", ""], capsys, "the name of the data is empty")


def test_a_model_that_is_not_trained_to_its_end_says_so(pets, capsys):
    directory, data = pets
    predict = ["predict", str(directory), str(data / "cat" / "1.png")]
    assert run(predict) == 0
    assert capsys.readouterr().err == ""
    stored = files.read_json(directory / "run.json")
    stored["config"]["train"]["epochs"] = 9
    files.write_json(directory / "run.json", stored)
    assert run(predict) == 0
    assert "is not finished: its model has had 2 of 9 epochs" in capsys.readouterr().err


def test_weights_that_are_no_numbers_answer_nothing(pets, capsys):
    directory, data = pets
    last = next(checkpoint.from_latest(directory / "checkpoints"))
    next(iter(last.tensors["model"].values()))[:] = float("nan")
    checkpoint.save(directory / "checkpoints", last)
    for verb in (["predict", str(directory), str(data)], ["evaluate", str(directory)]):
        fails(verb, capsys, str(directory), "not finite numbers")


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
    assert files.read_json(tmp_path / "run" / "evaluation.json")["images"] == 16
    assert run([*again, "--layout", "class"]) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-x.json")["left_out"] == 16
    moved = data.rename(tmp_path / "moved")
    assert run([*again[:-1], str(moved)]) == 0
    assert not (tmp_path / "run" / "evaluation-moved.json").exists()
    moved.rename(data)
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
    other = images(tmp_path / "other", classes=(composed, "tea"), count=3, size=(21, 24))
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(other)]) == 0
    assert files.read_json(tmp_path / "run" / "evaluation-other.json")["images"] == 6


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
