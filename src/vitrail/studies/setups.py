"""What studies share: the pair of models that suits a data set, and the budgets of quick and full ones."""

from __future__ import annotations

import dataclasses
from typing import Any

from vitrail.configs import CNNConfig, DataConfig, ModelConfig, TrainConfig, ViTConfig
from vitrail.data.sources import open_source
from vitrail.data.splits import split
from vitrail.models.presets import cnn_compare, cnn_digits, vit_compare, vit_digits
from vitrail.studies.study import Cell, Setting

_QUICK_EPOCHS, _FULL_EPOCHS = 5, 30


def vit(setting: Setting, **changes: Any) -> ViTConfig:
    """`vit-digits` or `vit-compare`, without dropout: what is compared with should differ in one thing only."""
    base = vit_digits() if setting.data == "digits" else vit_compare()
    return dataclasses.replace(base, **{"dropout": 0.0, **changes})


def cnn(setting: Setting) -> CNNConfig:
    """`cnn-digits` or `cnn-compare`."""
    return cnn_digits() if setting.data == "digits" else cnn_compare()


def images(setting: Setting, **changes: Any) -> DataConfig:
    return DataConfig(setting.data, **changes)


def extent(setting: Setting) -> tuple[int, int]:
    """How many training images the data has, without those that validate, and how many classes."""
    source = open_source(setting.data, setting.data_dir)
    return len(split(source.labels, source.split, images(setting), source.class_names).train), len(source.class_names)


def shapes_setup(setting: Setting) -> tuple[DataConfig, ViTConfig]:
    """`shapes` and a ViT with a convolutional stem, which learns them in few epochs; small ones if it must be quick."""
    if not setting.quick:
        return images(setting), vit(setting, stem="conv")
    small = vit(setting, stem="conv", image_size=16, patch_size=2, embed_dim=64, depth=3, num_heads=4, mlp_dim=128)
    return images(setting, image_size=16, train_subset=700, test_subset=300), small


def training(setting: Setting, **changes: Any) -> TrainConfig:
    """Budget and batches that are the same for every run of a study."""
    epochs = _QUICK_EPOCHS if setting.quick else _FULL_EPOCHS
    return TrainConfig(**{"epochs": epochs, "batch_size": 64 if setting.quick else 128, **changes})


def cell(setting: Setting, name: str, model: ModelConfig, **train: Any) -> Cell:
    """All training images, and the study's usual budget."""
    return Cell(name, images(setting), model, training(setting, **train))
