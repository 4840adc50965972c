"""What each choice of the fast recipe is worth when time is short."""

from __future__ import annotations

import dataclasses
from typing import Any

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION, AugmentConfig, ClassificationConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError
from vitrail.estimate import estimate
from vitrail.experiments.finding import Finding, number, percent, points, verdict
from vitrail.recipes.cifar10_fast import MODEL, TRAIN
from vitrail.studies.setups import mirrored, training_set_size
from vitrail.studies.study import Cell, Results, Setting, Study
from vitrail.training.cost import cumulative_cost

CLAIM = "When time is short, each of these choices of the fast recipe raises a ViT's accuracy at equal compute."
SOURCE = "Our own."
RECIPE_CELL = "recipe"
_IMAGES, _QUICK_IMAGES = 45_000, 2_500
"""How many the recipe sees: the first is about two minutes on two cores."""
_LARGER = 4
CHOICES = {
    "xavier": "random attention at the start",
    "learned": "learned positions",
    "random-stem": "a random patch embedding at the start",
    "adamw": "AdamW",
    "no-qk-norm": "queries and keys as they are",
    "cls": "a class token's readout",
    "full-size": "images at full size throughout",
    "large-batch": f"batches {_LARGER} times as large",
    "constant": "a constant rate",
    "no-warmup": "no warm-up",
    "dropout": "dropout 0.1",
    "hard-labels": "hard labels",
    "no-augmentation": "no augmentation",
}
"""What stands in the place of a choice that is said to pay."""
ADDITIONS = {
    "trivialaugment": "TrivialAugment as well",
    "conv": "a stem of strided convolutions",
    "pooled": "a stem of pooled convolutions",
}
"""Changes that no claim is made of: what longer trainings have, and what the recipe does without."""
_QUICK = (RECIPE_CELL, "xavier", "adamw", "large-batch", "constant", "pooled")


def plan(setting: Setting) -> list[Cell]:
    """The recipe, and the recipe with one thing changed, on as many images as cost as many multiply-adds.

    Raises InputError for data of so few images that larger batches of them make no sense.
    """
    model, train = _adapted(setting)
    most, _ = training_set_size(setting)
    batch = train.batch_size or 1
    if most < 2 * _LARGER * batch:
        raise InputError(
            f"{setting.data} has {most:,} training images: this study needs at least {2 * _LARGER * batch:,}"
        )
    # Whole batches of either size: what does not fill one is not trained on.
    budget, most = (count - count % (_LARGER * batch) for count in (_QUICK_IMAGES if setting.quick else _IMAGES, most))
    train = dataclasses.replace(train, epochs=max(1, round(budget / most)))
    unwhitened = {"whiten_patches": False}
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        RECIPE_CELL: ({}, {}),
        "random-stem": ({}, unwhitened),
        "adamw": ({}, {"optimizer": "adamw", "lr": (train.lr or 0) / 3}),
        "full-size": ({}, {"small_side": None}),
        "large-batch": ({}, {"batch_size": _LARGER * batch}),
        "constant": ({}, {"schedule": "constant"}),
        "no-warmup": ({}, {"warmup": 0.0}),
        "hard-labels": ({}, {"objective": ClassificationConfig(label_smoothing=0.0)}),
        "no-augmentation": ({}, {"augment": NO_AUGMENTATION}),
        "trivialaugment": ({}, {"augment": dataclasses.replace(train.augment, policy="trivialaugment")}),
        "xavier": ({"attention_init": "xavier"}, {}),
        # As large as the patches' own tokens: smaller ones are drowned by them.
        "learned": ({"pos_embed": "learned", "pos_init_std": 0.5}, {}),
        "no-qk-norm": ({"qk_norm": False}, {}),
        "cls": ({"readout": ("cls",)}, {}),
        "dropout": ({"dropout": 0.1}, {}),
        "conv": ({"stem": "conv"}, unwhitened),
        "pooled": ({"stem": "pooled"}, unwhitened),
    }
    affordable = min(budget, most) * cumulative_cost(1.0, model, train)
    cells = []
    for name in _QUICK if setting.quick else changes:
        of_model, of_training = changes[name]
        changed, trained = dataclasses.replace(model, **of_model), dataclasses.replace(train, **of_training)
        unit = trained.batch_size or 1
        count = min(most, round(affordable / cumulative_cost(1.0, changed, trained) / unit) * unit)
        cells.append(Cell(name, setting.images(image_size=model.size, train_subset=count), changed, trained))
    return cells


def _adapted(setting: Setting) -> tuple[ViTConfig, TrainConfig]:
    """The recipe for these images: smaller for those of 8 x 8 pixels, and mirrored only where that changes no class."""
    model, train = MODEL, TRAIN
    if setting.data == "digits":
        model = dataclasses.replace(
            model, image_size=8, patch_size=2, in_channels=1, embed_dim=64, depth=2, num_heads=2, mlp_dim=128
        )
        train = dataclasses.replace(train, batch_size=32, lr=1e-2, small_side=4, augment=AugmentConfig(crop=1))
    return model, dataclasses.replace(train, augment=dataclasses.replace(train.augment, flip=mirrored(setting)))


def conclude(results: Results) -> Finding:
    accuracy, seconds = results.values("val_accuracy"), results.values("seconds")
    worth = {name: estimate(accuracy[RECIPE_CELL] - of) for name, of in accuracy.items() if name != RECIPE_CELL}
    titles = {RECIPE_CELL: "nothing", **CHOICES, **ADDITIONS}
    order = sorted(worth, key=lambda name: -worth[name].mean)
    known = [name for name in order if worth[name].half is not None]
    paying = [f"{titles[name]} ({points(worth[name])})" for name in known if worth[name].low > 0]
    better = [
        f"{titles[name]} ({points(accuracy[name] - accuracy[RECIPE_CELL])})"
        for name in reversed(known)
        if worth[name].high < 0
    ]
    if paying:
        paid = f"By more than the spread of seeds, it is better than with {'; '.join(paying)}"
    elif known:
        paid = "No change makes it worse by more than the spread of seeds"
    else:
        paid = "One seed has no spread to compare a change with"

    def thousands(cell: Cell) -> str:
        return f"{(cell.data.train_subset or 0) * (cell.train.epochs or 0) / 1000:.0f}"

    return Finding(
        verdict=verdict(*(worth[name] for name in CHOICES if name in worth)),
        sentence=(
            f"The recipe has {percent(accuracy[RECIPE_CELL])} validation accuracy after "
            f"{number(seconds[RECIPE_CELL], 0)} seconds of training. {paid}"
            + (f". Better than the recipe is {'; '.join(better)}" if better else "")
            + ". Each change was tried at one setting."
        ),
        head=("changed to", "validation accuracy", "the recipe is better by", "seconds", "thousand images"),
        rows=[
            [
                titles[name],
                percent(accuracy[name]),
                points(worth[name]) if name in worth else "",
                number(seconds[name], 0),
                thousands(results.cells[name]),
            ]
            for name in (RECIPE_CELL, *order)
        ],
        figure=plots.interval_dots(
            {"validation accuracy, %": {titles[name]: 100 * accuracy[name] for name in (RECIPE_CELL, *order)}}
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude)
