"""What regularisation is worth on small data."""

from __future__ import annotations

from typing import Any

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION, AugmentConfig
from vitrail.experiments.finding import Finding, percent, points, verdict
from vitrail.studies.setups import cell, mirrored, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "On small data dropout, weight decay, stochastic depth and augmentation each help a ViT."
SOURCE = "Touvron et al. 2021, arXiv:2012.12877, section 6; Steiner et al. 2022, arXiv:2106.10270."
_IMAGES, _QUICK_IMAGES = 1000, 300
_NONE = "none"
_TITLES = {
    _NONE: "nothing",
    "dropout": "dropout 0.1",
    "decay": "weight decay 0.3",
    "drop-path": "stochastic depth 0.1",
    "augment": "random crops",
}


def plan(setting: Setting) -> list[Cell]:
    """One thing at a time, against nothing, on few images."""
    subset = _QUICK_IMAGES if setting.quick else _IMAGES
    crops = AugmentConfig(crop=max(1, vit(setting).size[0] // 8), flip=mirrored(setting))
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        _NONE: ({}, {}),
        "dropout": ({"dropout": 0.1}, {}),
        "decay": ({}, {"weight_decay": 0.3}),
        "drop-path": ({"drop_path": 0.1}, {}),
        "augment": ({}, {"augment": crops}),
    }
    plain: dict[str, Any] = {"weight_decay": 0.0, "augment": NO_AUGMENTATION}
    return [
        cell(setting, name, vit(setting, **of_model), subset, **{**plain, **of_training})
        for name, (of_model, of_training) in changes.items()
    ]


def conclude(results: Results) -> Finding:
    accuracy, training = results.values("test_accuracy"), results.values("train_accuracy")
    mirroring = " and mirroring" if results.cells["augment"].train.augment.flip else ""
    titles = {**_TITLES, "augment": _TITLES["augment"] + mirroring}
    gains = {name: of - accuracy[_NONE] for name, of in accuracy.items() if name != _NONE}
    return Finding(
        verdict=verdict(*gains.values()),
        sentence=(
            f"On {results.cells[_NONE].data.train_subset:,} training images test accuracy is "
            f"{percent(accuracy[_NONE])} without any of it. The change with each: "
            + "; ".join(f"{titles[name]}: {points(gain)}" for name, gain in gains.items())
            + "."
        ),
        head=("regularisation", "test accuracy", "training accuracy", "gain"),
        rows=[
            [titles[name], percent(of), percent(training[name]), points(gains[name]) if name in gains else ""]
            for name, of in accuracy.items()
        ],
        figure=plots.interval_dots(
            {
                "test accuracy, %": {titles[name]: 100 * of for name, of in accuracy.items()},
                "training accuracy, %": {titles[name]: 100 * of for name, of in training.items()},
            }
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude)
