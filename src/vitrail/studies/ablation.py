"""What each choice of the fast recipe is worth when time is short."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION, AugmentConfig, ClassificationConfig, TrainConfig, ViTConfig
from vitrail.errors import InputError
from vitrail.estimate import Estimate
from vitrail.recipes.cifar10_fast import MODEL, TRAIN
from vitrail.studies.setups import images, mirrored, training_set_size
from vitrail.studies.study import Cell, Finding, Results, Setting, Study, number, percent, points, verdict
from vitrail.training.cost import cumulative_cost

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
    trained: dict[str, dict[str, Any]] = {
        RECIPE_CELL: {},
        "random-stem": {"whiten_patches": False},
        "adamw": {"optimizer": "adamw", "lr": (train.lr or 0) / 3},
        "full-size": {"small_side": None},
        "large-batch": {"batch_size": _LARGER * batch},
        "constant": {"schedule": "constant"},
        "no-warmup": {"warmup": 0.0},
        "hard-labels": {"objective": ClassificationConfig(label_smoothing=0.0)},
        "no-augmentation": {"augment": NO_AUGMENTATION},
        "trivialaugment": {"augment": dataclasses.replace(train.augment, policy="trivialaugment")},
    }
    built: dict[str, dict[str, Any]] = {
        "xavier": {"attention_init": "xavier"},
        # As large as the patches' own tokens: smaller ones are drowned by them.
        "learned": {"pos_embed": "learned", "pos_init_std": 0.5},
        "no-qk-norm": {"qk_norm": False},
        "cls": {"readout": ("cls",)},
        "dropout": {"dropout": 0.1},
    }
    cells = {name: (model, dataclasses.replace(train, **changes)) for name, changes in trained.items()}
    cells |= {name: (dataclasses.replace(model, **changes), train) for name, changes in built.items()}
    for stem in ("conv", "pooled"):
        cells[stem] = (dataclasses.replace(model, stem=stem), dataclasses.replace(train, whiten_patches=False))
    if setting.quick:
        cells = {name: cells[name] for name in _QUICK}
    affordable = min(budget, most) * cumulative_cost(1.0, model, train)
    counts = {}
    for name, (of, trained_by) in cells.items():
        unit = trained_by.batch_size or 1
        counts[name] = min(most, round(affordable / cumulative_cost(1.0, of, trained_by) / unit) * unit)
    return [
        Cell(name, images(setting, image_size=model.size, train_subset=counts[name]), *of) for name, of in cells.items()
    ]


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
    found = {name: results.estimate(name, "val_accuracy") for name in results.cells}
    worth = {name: results.difference(RECIPE_CELL, name, "val_accuracy") for name in found if name != RECIPE_CELL}
    order = [RECIPE_CELL, *sorted(worth, key=lambda name: -worth[name].mean)]
    titles = {RECIPE_CELL: "nothing", **CHOICES, **ADDITIONS}
    known = [name for name in order[1:] if worth[name].half is not None]
    paying = [name for name in known if worth[name].low > 0]
    better = [name for name in reversed(known) if worth[name].high < 0]
    gained = {name: results.difference(name, RECIPE_CELL, "val_accuracy") for name in better}

    def told(differences: Mapping[str, Estimate]) -> str:
        return "; ".join(f"{titles[name]} ({points(by)})" for name, by in differences.items())

    return Finding(
        verdict=verdict(*(worth[name] for name in CHOICES if name in worth)),
        sentence=(
            f"The recipe has {percent(found[RECIPE_CELL])} validation accuracy after "
            f"{number(results.estimate(RECIPE_CELL, 'seconds'), 0)} seconds of training. "
            + (
                "By more than the spread of seeds, it is better than with "
                + told({name: worth[name] for name in paying})
                if paying
                else "No change makes it worse by more than the spread of seeds"
                if known
                else "One seed has no spread to compare a change with"
            )
            + (f". Better than the recipe is {told(gained)}" if better else "")
            + ". Each change was tried at one setting."
        ),
        head=("changed to", "validation accuracy", "the recipe is better by", "seconds", "thousand images"),
        rows=[
            [
                titles[name],
                percent(found[name]),
                points(worth[name]) if name in worth else "",
                number(results.estimate(name, "seconds"), 0),
                f"{(results.cells[name].data.train_subset or 0) * (results.cells[name].train.epochs or 0) / 1000:.0f}",
            ]
            for name in order
        ],
        figure=plots.interval_dots(
            {"validation accuracy, %": {titles[name]: results.in_percent(name, "val_accuracy") for name in order}}
        ),
    )


STUDY = Study(
    claim="When time is short, each of these choices of the fast recipe raises a ViT's accuracy at equal compute.",
    source="Our own.",
    plan=plan,
    conclude=conclude,
)
