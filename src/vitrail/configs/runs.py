"""A run: data, model and training with nothing left open."""

from __future__ import annotations

from dataclasses import dataclass, fields

from vitrail.configs.data import DataConfig
from vitrail.configs.models import ModelConfig, ViTConfig
from vitrail.configs.training import TrainConfig
from vitrail.configs.validation import check_kinds, require, require_not_negative, require_positive
from vitrail.errors import InputError


@dataclass(frozen=True)
class EarlierPlan:
    """A number of epochs that a run was to have before it was given another."""

    epochs: int
    until_step: int
    """So many steps were done then."""

    def __post_init__(self) -> None:
        check_kinds(self)
        require_positive(self, "epochs")
        require_not_negative(self, "until_step")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's weights, with nothing left to choose."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    model_name: str = "custom"
    earlier: tuple[EarlierPlan, ...] = ()
    """In the order of their steps."""

    def __post_init__(self) -> None:
        unresolved = [
            name
            for name in ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup", "threads")
            if getattr(self.train, name) is None
        ]
        unresolved += [f.name for f in fields(self.train.augment) if getattr(self.train.augment, f.name) is None]
        unresolved += [f.name for f in fields(self.train) if getattr(self.train, f.name) == "auto"]
        require(not unresolved, f"the run configuration leaves {', '.join(unresolved)} open")
        linear = isinstance(self.model, ViTConfig) and self.model.stem == "linear"
        require(
            linear or not self.train.whiten_patches,
            "whiten_patches needs a ViT with a linear stem: use --train.no-whiten-patches",
        )
        small, model = self.train.small_side, self.model
        if isinstance(small, int):
            if not isinstance(model, ViTConfig):
                raise InputError(f"small_side is {small}: it needs a ViT; use --train.small-side None")
            require(
                model.size[0] == model.size[1],
                f"small_side is {small}: it needs square images; use --train.small-side None",
            )
            require(
                small % model.patch_size == 0 and small < min(model.size),
                f"small_side is {small}: it must be a multiple of the patch size ({model.patch_size}) below the image "
                f"size ({min(model.size)}): use larger images (--image-size), or another --train.small-side",
            )
        require(
            linear or self.train.batch_size != 1,
            "batch norm needs at least two images in a batch: use --batch-size 2 or more",
        )
