"""What studies share: the pair of models that suits a data set, and the budgets of quick and full ones."""

from __future__ import annotations

import dataclasses
from typing import Any

from vitrail.configs import CNNConfig, ModelConfig, TrainConfig, ViTConfig
from vitrail.data.sources import open_source
from vitrail.data.splits import split
from vitrail.models.presets import cnn_compare, cnn_digits, vit_compare, vit_digits
from vitrail.studies.study import Cell, Setting

ALIKE: dict[str, Any] = {"optimizer": "adamw", "lr": 1e-3}
"""For both kinds of models, where they are held against each other; tuned for neither."""


def vit(setting: Setting, **changes: Any) -> ViTConfig:
    """`vit-digits` or `vit-compare`, without dropout: what is compared with should differ in one thing only."""
    base = vit_digits() if setting.data == "digits" else vit_compare()
    return dataclasses.replace(base, **{"dropout": 0.0, **changes})


def cnn(setting: Setting) -> CNNConfig:
    """`cnn-digits` or `cnn-compare`."""
    return cnn_digits() if setting.data == "digits" else cnn_compare()


def mirrored(setting: Setting) -> bool:
    """Only colour images: a grey one may be a digit, or a shoe that points left."""
    return open_source(setting.data, setting.data_dir, setting.layout).channels == 3


def training_set_size(setting: Setting) -> tuple[int, int]:
    """How many training images the data has, without those that validate, and how many classes."""
    source = open_source(setting.data, setting.data_dir, setting.layout)
    splits = split(source.labels, source.split, setting.images(), source.class_names)
    return len(splits.train), len(source.class_names)


def usual_epochs(setting: Setting) -> int:
    return 5 if setting.quick else 30


def usual_batch(setting: Setting) -> int:
    return 64 if setting.quick else 128


def cell(setting: Setting, name: str, model: ModelConfig, subset: int | None = None, **train: Any) -> Cell:
    """A model on so many of the training images (or all of them), by the study's usual budget but for `train`."""
    usual = {"epochs": usual_epochs(setting), "batch_size": usual_batch(setting)}
    return Cell(name, setting.images(train_subset=subset), model, TrainConfig(**{**usual, **train}))


def shapes_cells(setting: Setting) -> dict[str, Cell]:
    """A ViT with a convolutional stem and a CNN, which learn `shapes` in few epochs; small ones if it must be quick."""
    if setting.quick:
        data = setting.images(image_size=16, train_subset=2700, test_subset=900, val_fraction=0.04)
        small = {"image_size": 16, "patch_size": 4, "embed_dim": 128, "depth": 3, "num_heads": 4, "mlp_dim": 256}
        small_cnn = CNNConfig(16, widths=(32, 64, 96), blocks_per_stage=1, hidden=(128,))
        models: dict[str, ModelConfig] = {"vit": vit(setting, stem="conv", **small), "cnn": small_cnn}
    else:
        data, models = setting.images(), {"vit": vit(setting, stem="conv"), "cnn": cnn(setting)}
    train = TrainConfig(epochs=4 if setting.quick else 10, batch_size=64)
    return {name: Cell(name, data, model, train) for name, model in models.items()}
