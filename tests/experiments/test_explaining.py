"""`explain`, from the command line to the files: what it writes is what the inspection computes."""

import dataclasses
import errno
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from vitrail import checkpoint, files
from vitrail.classifier import Classifier
from vitrail.cli import run
from vitrail.configs import CNNConfig, ViTConfig
from vitrail.data import shapes
from vitrail.data.preprocessing import Preprocessing
from vitrail.errors import InputError
from vitrail.experiments import explaining
from vitrail.inspection.faithfulness import read as read_faithfulness
from vitrail.models.cnn import CNN
from vitrail.models.vit import ViT
from vitrail.runs.layout import on_other_data

VIT = ViTConfig(image_size=16, patch_size=4, num_classes=8, embed_dim=16, depth=2, num_heads=2, mlp_dim=16)
CNN_ = CNNConfig(image_size=16, num_classes=8, widths=(4, 8), blocks_per_stage=1, hidden=(8,))
PREPROCESSING = Preprocessing((16, 16), 3, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def saved(tmp_path):
    """Directories of an untrained ViT and an untrained CNN for the classes of `shapes`."""
    torch.manual_seed(0)
    for name, model in (("vit", ViT(VIT)), ("cnn", CNN(CNN_))):
        Classifier(model.eval(), PREPROCESSING, shapes.CLASS_NAMES).save(tmp_path / name)
    return tmp_path


def picture(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def fails(argv, capsys, *said):
    assert run(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(words in error for words in said), error


def test_the_arrays_are_those_of_the_inspection(saved, capsys, monkeypatch):
    monkeypatch.setattr(explaining, "fast_bf16", lambda device: False)
    one, two = (picture(saved / f"{name}.png", seed) for seed, name in enumerate(("one", "two")))
    methods = ["--methods", "relevancy", "occlusion"]
    assert (
        run(
            [
                "explain",
                str(saved / "vit"),
                str(one),
                str(two),
                "--target",
                "star",
                "--out",
                str(saved / "out"),
                *methods,
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "one.png: " in out
    assert "explained: star" in out
    classifier = vitrail.load(saved / "vit")
    capture = vitrail.inspect(classifier, [str(one), str(two)])
    target = shapes.CLASS_NAMES.index("star")
    with np.load(saved / "out" / "arrays.npz", allow_pickle=False) as arrays:
        for i, stem in enumerate(("1-one", "2-two")):
            assert np.allclose(arrays[f"{stem}/probabilities"], capture.logits.softmax(dim=-1)[i], atol=1e-6)
            assert np.allclose(arrays[f"{stem}/attention"], capture.class_attention()[i], atol=1e-6)
            assert np.allclose(arrays[f"{stem}/rollout"].ravel(), capture.rollout()[i, 0, 1:], atol=1e-6)
            for method in ("relevancy", "occlusion"):
                expected = vitrail.attribute(classifier, [str(one), str(two)], method, target)[i]
                assert np.allclose(arrays[f"{stem}/attribution_{method}"], expected, atol=1e-5)
            assert np.allclose(arrays[f"{stem}/lens"][-1], capture.logits.softmax(dim=-1)[i], atol=1e-5)
            shuffled, image = (arrays[f"{stem}/{name}"] for name in ("shuffled", "image"))
            assert not np.array_equal(shuffled, image)
            assert np.array_equal(np.sort(shuffled.ravel()), np.sort(image.ravel()))
    drawn = {path.stem for path in (saved / "out" / "figures" / "1-one").iterdir()}
    assert {"patches", "attention", "rollout"} <= drawn


def test_a_cnn_is_explained_by_what_applies(saved):
    image = picture(saved / "image.png")
    assert run(["explain", str(saved / "cnn"), str(image), "--out", str(saved / "out")]) == 0
    with np.load(saved / "out" / "arrays.npz", allow_pickle=False) as arrays:
        names = {name.split("/")[1] for name in arrays.files}
    assert {"features_0", "features_1", "attribution_grad_cam", "trust"} <= names
    assert not {"attention", "rollout", "lens"} & names


def test_without_a_place_each_explanation_has_its_own(saved):
    image = str(picture(saved / "image.png"))
    for _ in range(2):
        assert run(["explain", str(saved / "cnn"), image, "--methods", "centre"]) == 0
    assert (saved / "cnn" / "explanation-2" / "explanation.html").is_file()
    assert (saved / "cnn" / "explanation-1" / "explanation.html").is_file()


def test_names_from_outside_are_inert_and_nothing_is_fetched(saved):
    image = picture(saved / "<script>alert(1)<&script>.png")
    assert run(["explain", str(saved / "vit"), str(image), "--methods", "rollout", "--out", str(saved / "out")]) == 0
    page = (saved / "out" / "explanation.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)


def test_what_cannot_be_explained_is_said_and_leaves_nothing(saved, capsys):
    vit, cnn, out = str(saved / "vit"), str(saved / "cnn"), saved / "out"
    image, broken = str(picture(saved / "image.png")), saved / "broken.png"
    broken.write_bytes(b"not an image")
    rest = ["--out", str(out)]
    fails(["explain", vit, *rest], capsys, "no images were given")
    fails(["explain", vit, image, str(broken), *rest], capsys, "broken.png", "not an image")
    fails(["explain", vit, image, "--target", "sta", *rest], capsys, "no class 'sta'", "did you mean star?")
    fails(["explain", vit, image, "--target", "8", *rest], capsys, "no class '8'")
    fails(["explain", vit, image, "--layer", "2", *rest], capsys, "no layer 2", "from 0 to 1")
    fails(["explain", vit, image, "--head", "5", *rest], capsys, "no head 5")
    fails(["explain", cnn, image, "--layer", "0", *rest], capsys, "a CNN has no attention")
    fails(["explain", cnn, image, "--methods", "rollout", *rest], capsys, "'rollout'", "grad-cam")
    fails(["explain", str(saved), image, *rest], capsys, "not a run")
    fails(["explain", vit, "--faithfulness"], capsys, "no data of its own: name some by --data")
    fails(["explain", vit, "--faithfulness", "--data", "shapes", "--count", "1"], capsys, "too few")
    fails(["explain", vit, image, "--count", "3", *rest], capsys, "--count", "are for --faithfulness")
    fails(["explain", vit, "--faithfulness", "--target", "star"], capsys, "--target", "are for images")
    assert not out.exists()
    (out / "mine").mkdir(parents=True)
    fails(["explain", vit, image, *rest], capsys, "is not empty: name another --out")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    directory = tmp_path_factory.mktemp("measured")
    torch.manual_seed(0)
    Classifier(ViT(VIT).eval(), PREPROCESSING, shapes.CLASS_NAMES).save(directory / "vit")
    methods = ["--methods", "relevancy", "random", "centre"]
    assert (
        run(["explain", str(directory / "vit"), "--faithfulness", "--data", "shapes", "--count", "24", *methods]) == 0
    )
    return directory / "vit"


def test_faithfulness_knows_the_masks_of_shapes(measured):
    found = read_faithfulness(measured / "faithfulness.json")
    assert [scores.method for scores in found.scores] == ["relevancy", "random", "centre"]
    assert found.num_images == 24
    for scores in found.scores:
        assert scores.values["pointing"].shape == (24,)
        assert ((scores.values["inside"] >= 0) & (scores.values["inside"] <= 1)).all()
    assert 0.05 < found.object_share < 0.4


def test_what_was_measured_is_on_the_page(measured, tmp_path):
    image = str(picture(tmp_path / "image.png"))
    explained = explaining.explain(measured, [image], ["relevancy", "random"], out=tmp_path / "out")
    page = explained.page.read_text()
    assert "24 test images of shapes" in page
    assert files.read_json(measured / "faithfulness.json")["num_images"] == 24


@pytest.mark.parametrize(
    "damage", [{"num_images": "x"}, {"seconds": None}, {"hidden_probability": None}, {"methods": 3}]
)
def test_a_damaged_measurement_is_said_before_anything_is_explained(measured, tmp_path, capsys, damage):
    whole = files.read_json(measured / "faithfulness.json")
    image = str(picture(tmp_path / "image.png"))
    try:
        files.write_json(measured / "faithfulness.json", {**whole, **damage})
        fails(
            ["explain", str(measured), image, "--out", str(tmp_path / "out")], capsys, "faithfulness.json", "remove it"
        )
    finally:
        files.write_json(measured / "faithfulness.json", whole)
    assert not (tmp_path / "out").exists()


def test_methods_measured_on_the_same_images_are_kept_and_no_others_lost(measured, capsys):
    path = measured / "faithfulness.json"
    whole = files.read_json(path)
    ask = ["explain", str(measured), "--faithfulness", "--data", "shapes", "--methods", "random", "--count"]
    fails([*ask, "8"], capsys, "holds relevancy, centre", "on 24 images of shapes", "remove the file")
    assert files.read_json(path) == whole
    assert run([*ask, "24"]) == 0
    found = files.read_json(path)
    assert sorted(of["method"] for of in found["methods"]) == ["centre", "random", "relevancy"]
    assert {of["method"]: of["values"] for of in found["methods"]} == {
        of["method"]: of["values"] for of in whole["methods"]
    }


def test_a_cnn_whose_map_the_cells_do_not_divide_is_explained(tmp_path):
    """Grad-CAM's map has 12 values a side, and there are 8 cells."""
    config = dataclasses.replace(CNN_, image_size=48)
    preprocessing = Preprocessing((48, 48), 3, (0.5,) * 3, (0.25,) * 3)
    Classifier(CNN(config).eval(), preprocessing, shapes.CLASS_NAMES).save(tmp_path / "cnn")
    explained = explaining.explain(tmp_path / "cnn", [picture(tmp_path / "image.png")], ["grad-cam"])
    assert explained.explanations[0].maps.shape == (1, 48, 48)


def test_what_was_measured_of_other_weights_is_not_shown_for_these(measured, tmp_path):
    stored = files.read_json(measured / "faithfulness.json")
    assert stored["weights"] == checkpoint.latest_weights(measured / "checkpoints")
    assert read_faithfulness(measured / "faithfulness.json") is not None
    shutil.copytree(measured, tmp_path / "run")
    files.write_json(tmp_path / "run" / "faithfulness.json", {**stored, "weights": "of an earlier epoch"})
    assert read_faithfulness(tmp_path / "run" / "faithfulness.json") is None


def test_folders_of_one_name_have_a_measurement_each(measured, tmp_path):
    own, path = tmp_path / "faithfulness.json", tmp_path / "faithfulness-test.json"
    assert on_other_data(own, "test", "/a/test") == path
    files.write_json(path, {**files.read_json(measured / "faithfulness.json"), "data": "/a/test"})
    assert on_other_data(own, "test", "/a/test") == path
    assert on_other_data(own, "test", "/b/test") == tmp_path / "faithfulness-test-2.json"


def test_bad_images_are_said_before_minutes_of_measuring(saved, capsys):
    broken = saved / "broken.png"
    broken.write_bytes(b"not an image")
    fails(["explain", str(saved / "vit"), str(broken), "--faithfulness", "--data", "shapes"], capsys, "broken.png")
    assert not (saved / "vit" / "faithfulness.json").exists()


def test_data_that_the_model_does_not_know_is_refused(saved):
    with pytest.raises(InputError, match="does not know"):
        explaining.measure_faithfulness(saved / "vit", "digits")


def test_of_an_adopted_model_other_data_does_not_take_the_place_of_what_was_measured(measured, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(measured, copy)
    before = files.read_json(copy / "faithfulness.json")
    files.write_json(copy / "faithfulness.json", {**before, "data": "/elsewhere/images"})
    _, path = explaining.measure_faithfulness(copy, "shapes", 2, ["random"])
    assert path == copy / "faithfulness-shapes.json"
    assert files.read_json(copy / "faithfulness.json") == {**before, "data": "/elsewhere/images"}


def test_explanations_that_begin_at_once_have_a_place_each(tmp_path):
    places = [files.first_free(tmp_path, "explanation") for _ in range(3)]
    assert [place.name for place in places] == ["explanation-1", "explanation-2", "explanation-3"]
    (tmp_path / "gone").symlink_to(tmp_path / "unmounted")
    with pytest.raises(InputError, match="gone cannot be made"):
        files.first_free(tmp_path / "gone", "run")
    with pytest.raises(InputError, match="~nobody-of-this-name/x"):
        files.claim(Path("~nobody-of-this-name/x"), "name another")


def test_images_of_one_name_are_told_apart_by_their_folders():
    assert explaining._names(["a/b/1.jpg", Path("a/c/1.jpg")]) == ("b/1.jpg", "c/1.jpg")
    assert explaining._names(["a/x/1.jpg", "b/x/1.jpg", "b/x/2.jpg"]) == ("a/x/1.jpg", "b/x/1.jpg", "b/x/2.jpg")
    assert explaining._names(["a/1.jpg", "a/1.jpg"]) == ("1.jpg", "1.jpg")
    assert explaining._names(["a/1.jpg", np.zeros((2, 2))]) == ("1.jpg", "image 2")


def test_a_stem_of_convolutions_cuts_no_patches(tmp_path):
    model = ViT(dataclasses.replace(VIT, stem="conv"))
    Classifier(model.eval(), PREPROCESSING, shapes.CLASS_NAMES).save(tmp_path / "vit")
    explained = explaining.explain(tmp_path / "vit", [picture(tmp_path / "image.png")], ["rollout"])
    assert "patches" not in {path.stem for path in explained.figures}
    assert "What each layer computes" in explained.page.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_half_of_an_explanation(saved, capsys, monkeypatch, number):
    image = picture(saved / "one.png")
    monkeypatch.setattr(explaining, "explanation_figures", lambda *given: os.kill(os.getpid(), number))
    for where in ([], ["--out", str(saved / "new" / "out")]):
        assert run(["explain", str(saved / "vit"), str(image), "--methods", "relevancy", *where]) == 128 + number
        assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in (saved / "vit").iterdir()} == {".lock", "run.json", "checkpoints"}
    assert not (saved / "new" / "out").exists()


@pytest.mark.parametrize("name", ["arrays.npz", ".png", "explanation.html"])
def test_a_full_disk_is_told_with_the_file_that_it_does_not_take(saved, capsys, monkeypatch, name):
    image, replace = picture(saved / "one.png"), os.replace

    def refused(source, target):
        if str(target).endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    explain = ["explain", str(saved / "cnn"), str(image), "--methods", "centre", "--out", str(saved / "out")]
    assert run(explain) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(
        rf"{re.escape(str(saved / 'out'))}/\S*{re.escape(name)} could not be written \(No space left", error
    )
    assert not (saved / "out").exists()
