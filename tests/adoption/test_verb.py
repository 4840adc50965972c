"""`vitrail adopt`, and the directory that it makes used like a run."""

import json

import numpy as np
import pytest
import torch
from foreign import google_arrays, timm_vit
from PIL import Image

import vitrail
from vitrail.cli import run


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """A file by Google's names, and the model it is of."""
    model = timm_vit(embed_dim=192, num_heads=3, num_classes=3)
    path = tmp_path_factory.mktemp("google") / "tiny.npz"
    np.savez(path, **google_arrays(model, "vit"))
    return path, model


def test_an_adopted_directory_is_predicted_evaluated_and_explained(npz, tmp_path, capsys):
    path, model = npz
    directory = str(tmp_path / "adopted")
    assert run(["adopt", str(path), "--out", directory]) == 0
    out = capsys.readouterr().out
    assert "copied" in out
    assert f"next: vitrail explain {directory} IMAGE..." in out
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(vitrail.load(directory).logits(images), model(images), atol=1e-5)

    rng = np.random.default_rng(0)
    for name in ("class 0", "class 2"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "data" / name / f"{k}.png")
    image = str(tmp_path / "data" / "class 0" / "0.png")
    assert run(["predict", directory, image, "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert {p["class"] for p in predictions} == {"class 0", "class 1", "class 2"}
    assert run(["evaluate", directory, "--data", str(tmp_path / "data")]) == 0
    assert "on 6 images" in capsys.readouterr().out
    assert run(["explain", directory, image, "--methods", "relevancy", "rollout"]) == 0
    assert (tmp_path / "adopted" / "explanation-1" / "explanation.html").is_file()


def test_changes_are_asked_for_and_said(npz, tmp_path, capsys):
    path, _ = npz
    changes = ["--image-size", "48", "64", "--in-channels", "1", "--num-classes", "7"]
    assert run(["adopt", str(path), "--out", str(tmp_path / "changed"), *changes]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("resampled", "summed", "newly initialised"))
    classifier = vitrail.load(tmp_path / "changed")
    config = classifier.model.config
    assert (config.size, config.in_channels, config.num_classes) == ((48, 64), 1, 7)
    assert classifier.predict(np.zeros((100, 90), np.uint8)).shape == (1, 7)


def test_what_cannot_be_adopted_leaves_nothing(npz, tmp_path, capsys):
    path, _ = npz
    pickle = tmp_path / "model.pth"
    torch.save({"head.weight": torch.zeros(2)}, pickle)
    out = tmp_path / "out"
    for source, message in (
        (str(pickle), "--allow-pickle"),
        (str(tmp_path / "absent.npz"), "absent.npz"),
        ("vit", "vit"),
    ):
        assert run(["adopt", source, "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    assert run(["adopt", str(path), "--out", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["mine"]
