"""What is chosen automatically: a function of configuration, data and hardware features, and nothing else."""

import dataclasses

import pytest

from vitrail import hardware
from vitrail.configs import RECOMMENDED, AugmentConfig, TrainConfig
from vitrail.data.mirroring import Mirroring
from vitrail.errors import InputError
from vitrail.experiments.automatic import choose_image_size, choose_model, resolve_training
from vitrail.models.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("model", "native", "expected"),
    [
        ("vit-compare", (28, 28), (28, 28)),
        ("vit-compare", (32, 32), (32, 32)),
        ("vit-compare", (16, 24), (16, 24)),
        ("vit-compare", (30, 30), (32, 32)),
        ("vit-compare", (8, 8), (32, 32)),
        ("vit-compare", (640, 480), (32, 32)),
        ("vit-compare", None, (32, 32)),
        ("vit-b16", (32, 32), (224, 224)),
        ("cnn-compare", (30, 17), (30, 17)),
        ("vit-digits", (8, 8), (8, 8)),
    ],
)
def test_images_keep_their_size_where_it_suits_the_model(model, native, expected):
    assert choose_image_size(preset(model), native) == expected


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ((8, 8), "vit-digits"),
        ((28, 28), "vit-32"),
        ((36, 36), "vit-32"),
        ((64, 64), "vit-photo"),
        ((65, 20), "vit-photo"),
        (None, "vit-photo"),
    ],
)
def test_the_model_fits_the_images(native, expected):
    assert choose_model(native) == expected


@pytest.mark.parametrize("images", [3, 100, 2_000, 50_000, 1_000_000])
@pytest.mark.parametrize("model", ["vit-digits", "cnn-compare", "vit-b16"])
def test_nothing_is_left_open(model, images):
    resolved, said = resolve_training(TrainConfig(), preset(model), images)
    for field in dataclasses.fields(resolved):
        assert getattr(resolved, field.name) not in ("auto",)
    for name in ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup", "threads"):
        assert getattr(resolved, name) is not None
    assert resolved.batch_size <= images
    assert resolved.augment.crop is not None
    assert any(line.startswith("precision") for line in said)
    assert any(line.startswith("compile") for line in said)
    again, _ = resolve_training(resolved, preset(model), images)
    assert again == resolved


def test_what_is_given_is_kept():
    given = TrainConfig(
        epochs=7, batch_size=3, optimizer="sgd", lr=0.5, weight_decay=0.0, warmup=0.0, precision="bf16", compile="off", threads=1,
        augment=AugmentConfig(crop=0, flip=False),
    )  # fmt: skip
    resolved, _ = resolve_training(given, preset("vit-compare"), 100)
    assert resolved == dataclasses.replace(given, device=resolved.device)


@pytest.mark.parametrize(
    ("features", "images", "precision", "compile_"),
    [
        (set(), 50_000, "fp32", "off"),
        ({"avx512_bf16"}, 50_000, "bf16", "off"),
        ({"avx512_bf16", "amx_bf16"}, 50_000, "bf16", "on"),
        ({"avx512_bf16", "amx_bf16"}, 500, "bf16", "off"),
    ],
)
def test_speed_is_chosen_by_features_and_length(features, images, precision, compile_, monkeypatch):
    monkeypatch.setattr(hardware, "_cpu_has", lambda feature: feature in features)
    monkeypatch.setattr(hardware, "can_compile", lambda device: None)
    resolved, _ = resolve_training(TrainConfig(device="cpu", epochs=10), preset("vit-compare"), images)
    assert (resolved.precision, resolved.compile) == (precision, compile_)


def test_without_a_compiler_auto_is_off_and_on_is_an_error(monkeypatch):
    monkeypatch.setattr(hardware, "_cpu_has", lambda feature: True)
    monkeypatch.setattr(hardware, "can_compile", lambda device: "no C++ compiler was found")
    resolved, said = resolve_training(TrainConfig(device="cpu", epochs=100), preset("vit-compare"), 50_000)
    assert resolved.compile == "off"
    assert "compile off: no C++ compiler was found" in said
    with pytest.raises(InputError, match=r"no C\+\+ compiler"):
        resolve_training(TrainConfig(device="cpu", compile="on"), preset("vit-compare"), 50_000)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(InputError, match="warp"):
        hardware.choose_device("warp")


def test_muon_is_for_wide_vision_transformers():
    chosen = {name: resolve_training(TrainConfig(), preset(name), 500)[0].optimizer for name in PRESETS}
    assert {name for name, optimizer in chosen.items() if optimizer == "adamw"} == {
        *("vit-digits", "vit-annotated", "cnn-digits", "cnn-compare", "resnet18"),
    }
    assert set(chosen.values()) == {"adamw", "muon"}


def test_a_cnn_has_nothing_for_muon_and_that_is_said():
    resolved, said = resolve_training(TrainConfig(optimizer="muon"), preset("cnn-compare"), 1000)
    assert resolved.optimizer == "adamw"
    assert any("muon is for the blocks of a ViT" in line for line in said)


@pytest.mark.parametrize(
    ("model", "train", "line"),
    [
        ("vit-compare", TrainConfig(), "augmentation: crops shifted by up to 4 pixels, mirroring"),
        ("vit-compare", TrainConfig(epochs=2), "augmentation: no crops, no mirroring"),
        ("vit-compare", TrainConfig(augment=AugmentConfig(crop=2, flip=False)), None),
    ],
)
def test_augmentation_that_was_chosen_is_said(model, train, line):
    _, said = resolve_training(train, preset(model), 1000)
    assert [words for words in said if words.startswith("augmentation")] == ([line] if line else [])


@pytest.mark.parametrize(("images", "batch", "epochs"), [(5, 5, 100), (62, 31, 100), (70, 23, 100), (1000, 31, 94)])
def test_few_images_go_in_even_batches_and_often(images, batch, epochs):
    resolved, said = resolve_training(TrainConfig(), preset("vit-compare"), images)
    assert (resolved.batch_size, resolved.epochs) == (batch, epochs)
    assert any(f"{epochs * (images // batch):,} steps" in line for line in said)


@pytest.mark.parametrize(
    ("mirroring", "in_colour", "flip"),
    [
        (None, True, True),
        (None, False, False),
        (Mirroring(100, 20, 85, 5), True, False),
        (Mirroring(100, 99, 5, 4), False, True),
        # Too few are told apart to say: as if nothing had been measured.
        (Mirroring(10, 9, 3, 2), True, True),
        (Mirroring(10, 9, 3, 2), False, False),
    ],
)
def test_mirroring_is_decided_by_what_was_measured(mirroring, in_colour, flip):
    model = dataclasses.replace(preset("vit-32"), in_channels=3 if in_colour else 1)
    resolved, said = resolve_training(RECOMMENDED, model, 5000, mirroring)
    assert resolved.augment.flip is flip
    measured = bool(mirroring and mirroring.known)
    assert any("linear classifier" in line for line in said) is measured


def test_what_is_recommended_for_many_few_and_grey_images():
    many, few = (resolve_training(RECOMMENDED, preset("vit-photo"), n)[0] for n in (5000, 500))
    assert many.augment == AugmentConfig(crop=8, flip=True, policy="trivialaugment", cutmix=0.0)
    assert few.augment == dataclasses.replace(many.augment, cutmix=1.0)
    assert many.small_side == few.small_side == 48
    grey = dataclasses.replace(preset("vit-32"), in_channels=1, image_size=28)
    resolved = resolve_training(RECOMMENDED, grey, 5000)[0]
    assert resolved.augment == AugmentConfig(crop=3, flip=False)
    assert resolved.small_side == 20


@pytest.mark.parametrize(
    ("model", "side"), [("vit-digits", None), ("resnet18", None), ("vit-32", 24), ("vit-b16", 160)]
)
def test_small_images_come_first_where_a_model_takes_them(model, side):
    assert resolve_training(RECOMMENDED, preset(model), 5000)[0].small_side == side


def test_mirroring_is_for_colour_images_and_crops_are_not_for_tiny_ones():
    few = resolve_training(TrainConfig(epochs=4), preset("vit-compare"), 500)[0]
    assert few.augment == AugmentConfig(crop=0, flip=False)
    assert resolve_training(TrainConfig(), preset("vit-compare"), 500)[0].augment == AugmentConfig(crop=4, flip=True)
    assert resolve_training(TrainConfig(), preset("vit-digits"), 500)[0].augment == AugmentConfig(crop=0, flip=False)
    assert resolve_training(TrainConfig(optimizer="sgd"), preset("resnet18"), 500)[0].weight_decay == 5e-4
