"""What a command line becomes: configurations."""

from dataclasses import replace

import pytest
from command_lines import fails

import vitrail
from vitrail.cli import run
from vitrail.configs import NO_AUGMENTATION, RECOMMENDED, ClassificationConfig, DataConfig
from vitrail.models.presets import preset
from vitrail.recipes import recipe


class Asked(Exception):  # noqa: N818 (it stands for a run)
    """Raised in place of a run: data, model, training, directories and name."""


@pytest.fixture
def asked(monkeypatch):
    """What `train` would begin a run with: data, model, training and the model's name."""
    from vitrail.experiments import run as runs

    def start(data, model, train, out, data_dir, name):
        raise Asked(data, model, train, name)

    monkeypatch.setattr(runs, "start", start)

    def of(line: str):
        with pytest.raises(Asked) as found:
            run(["train", *line.split()])
        return found.value.args

    return of


def test_what_is_not_given_is_left_to_be_chosen(asked):
    assert asked("digits") == (DataConfig("digits"), None, RECOMMENDED, None)


def test_everyday_options_are_flat(asked):
    data, model, train, _ = asked(
        "digits --epochs 3 --batch-size 8 --lr 0.1 --seed 4 --optimizer sgd --track tensorboard --train-subset 20 "
        "--test-subset 10 --val-split test --split-seed 7 --mean 0.1 0.2 --std 1 2 --image-size 32 48"
    )
    assert model is None
    assert train == replace(RECOMMENDED, epochs=3, batch_size=8, lr=0.1, seed=4, optimizer="sgd", track="tensorboard")
    given = {"train_subset": 20, "test_subset": 10, "val_split": "test", "split_seed": 7, "image_size": (32, 48)}
    assert data == DataConfig("digits", mean=(0.1, 0.2), std=(1.0, 2.0), **given)
    assert asked("digits --train.epochs 3 --train.seed 2")[2] == replace(RECOMMENDED, epochs=3, seed=2)
    assert asked("digits --train.epochs 3 --epochs 5")[2] == replace(RECOMMENDED, epochs=5)


def test_an_option_of_several_values_leaves_the_data_its_place(asked):
    assert asked("--image-size 32 digits")[0] == DataConfig("digits", image_size=32)
    assert asked("--mean 0.5 digits")[0] == DataConfig("digits", mean=(0.5,))
    assert asked("--recipe cifar10-90 --image-size 32 48")[0] == DataConfig("cifar10", image_size=(32, 48))


def test_training_has_dotted_options(asked):
    line = "digits --train.weight-decay 0.1 --train.betas 0.8 0.9 --train.whiten-patches --train.augment.crop 4"
    train = asked(f"{line} --train.augment.flip True")[2]
    augment = replace(RECOMMENDED.augment, crop=4, flip=True)
    assert train == replace(RECOMMENDED, weight_decay=0.1, betas=(0.8, 0.9), whiten_patches=True, augment=augment)


def test_what_is_learned_has_its_options_among_those_of_training(asked):
    train = asked("digits --train.label-smoothing 0.2")[2]
    assert train == replace(RECOMMENDED, objective=ClassificationConfig(label_smoothing=0.2))
    smoothed = recipe("cifar10-fast").train
    assert asked("--recipe cifar10-fast")[2] == smoothed
    hard = replace(smoothed, objective=ClassificationConfig(0.0))
    assert asked("--recipe cifar10-fast --train.label-smoothing 0")[2] == hard


def test_augmentation_is_switched_before_it_is_changed(asked):
    assert asked("digits --no-augment")[2].augment == NO_AUGMENTATION
    assert asked("digits --no-augment --augment")[2].augment == RECOMMENDED.augment
    assert asked("digits --train.augment.mixup 1 --no-augment")[2].augment == replace(NO_AUGMENTATION, mixup=1.0)
    assert asked("--recipe cifar10-90 --augment")[2] == recipe("cifar10-90").train
    assert asked("--recipe annotated-600 --augment")[2].augment == RECOMMENDED.augment


def test_a_model_is_a_preset_with_changes(asked):
    assert asked("digits --model vit-digits")[1::2] == (preset("vit-digits"), "vit-digits")
    changed = asked("digits --model vit-digits --model.depth 1 --model.readout mean cls --model.no-pos-prefix")[1]
    assert changed == replace(preset("vit-digits"), depth=1, readout=("mean", "cls"), pos_prefix=False)
    assert asked("digits --model cnn-digits --model.widths 8 8 --model.hidden")[1].widths == (8, 8)
    assert asked("digits --model cnn-digits --model.widths 8 8 --model.hidden")[1].hidden == ()


def test_images_and_model_are_of_one_size(asked):
    for line in ("--image-size 18 24", "--model.image-size 18 24", "--image-size 18 24 --model.image-size 18 24"):
        data, model, *_ = asked(f"digits --model vit-digits --model.patch-size 3 {line}")
        assert data.image_size == model.size == (18, 24)
    assert asked("digits --model vit-digits --model.image-size 8")[0].image_size == (8, 8), "also as the preset has it"


def test_a_flag_beats_a_recipe(asked):
    base = recipe("cifar10-90")
    assert asked("--recipe cifar10-90") == (base.data, base.model, base.train, base.model_name)
    data, model, train, name = asked("digits --recipe cifar10-90 --epochs 2 --model.depth 2 --train.small-side None")
    assert (data.source, model.depth, model.embed_dim, name) == ("digits", 2, base.model.embed_dim, base.model_name)
    assert (train.epochs, train.small_side, train.optimizer) == (2, None, base.train.optimizer)
    assert asked("--recipe cifar10-90 --lr None")[2].lr is None, "chosen when it runs"
    data, model, _, name = asked("--recipe cifar10-90 --model cnn-compare")
    assert (data, model, name) == (base.data, preset("cnn-compare"), "cnn-compare")


def test_underscores_are_hyphens(asked):
    _, model, train, _ = asked(
        "digits --model vit-digits --epochs 6 --no_augment --model.patch_size 3 --image_size 18 --train.weight_decay 1"
    )
    assert model.patch_size == 3
    assert train.augment.crop == 0, "by itself it would be an eighth of 18 pixels"
    assert train.weight_decay == 1


def test_two_image_sizes_are_refused(capsys):
    argv = ["train", "digits", "--model", "vit-compare", "--image-size", "64", "--model.image-size", "32"]
    fails(argv, capsys, "--image-size and --model.image-size differ")


def test_an_option_of_the_other_kind_of_model_is_unknown(capsys):
    fails(["train", "digits", "--model", "cnn-digits", "--model.depth", "2"], capsys, "--model.depth")
    fails(["train", "digits", "--model.depth", "12"], capsys, "name it with --model")


def test_help_shows_what_the_other_options_start_from(capsys):
    def shown(*argv: str) -> str:
        with pytest.raises(SystemExit):
            run(["train", *argv])
        return capsys.readouterr().out

    assert "--model.widths" in shown("--model", "cnn-digits", "--help-all")
    assert "Passes over the training images [40]" in shown("--recipe", "cifar10-90", "--help-all")
    everything = shown("--help-all")
    for option in ("--model.patch-size", "--train.augment.crop", "--val-split", "--no-augment", "--train.epochs"):
        assert option in everything


def test_options_of_the_python_interface_are_checked(tmp_path):
    from vitrail.errors import InputError

    with pytest.raises(InputError, match="unknown option epoch: known are"):
        vitrail.train("digits", epoch=3, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
