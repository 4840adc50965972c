"""What regularisation is worth on small data."""

from __future__ import annotations

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION, AugmentConfig
from vitrail.studies.setups import images, mirrored, training, vit
from vitrail.studies.study import Cell, Finding, Results, Setting, Study, percent, points, verdict

_IMAGES, _QUICK_IMAGES = 1000, 300
_NONE = "none"
_TITLES = {
    _NONE: "nothing",
    "dropout": "dropout 0.1",
    "decay": "weight decay 0.3",
    "drop-path": "stochastic depth 0.1",
    "augment": "random crops",
    "mirrored": "random crops and mirroring",
}


def plan(setting: Setting) -> list[Cell]:
    """One thing at a time, against nothing, on few images."""
    side = vit(setting).size[0]
    changes = {
        _NONE: (vit(setting), training(setting, weight_decay=0.0, augment=NO_AUGMENTATION)),
        "dropout": (vit(setting, dropout=0.1), training(setting, weight_decay=0.0, augment=NO_AUGMENTATION)),
        "decay": (vit(setting), training(setting, weight_decay=0.3, augment=NO_AUGMENTATION)),
        "drop-path": (vit(setting, drop_path=0.1), training(setting, weight_decay=0.0, augment=NO_AUGMENTATION)),
        "augment": (
            vit(setting),
            training(setting, weight_decay=0.0, augment=AugmentConfig(crop=max(1, side // 8), flip=mirrored(setting))),
        ),
    }
    data = images(setting, train_subset=_QUICK_IMAGES if setting.quick else _IMAGES)
    return [Cell(name, data, model, train) for name, (model, train) in changes.items()]


def conclude(results: Results) -> Finding:
    found = {name: results.estimate(name, "test_accuracy") for name in results.cells}
    titles = {**_TITLES, "augment": _TITLES["mirrored" if results.cells["augment"].train.augment.flip else "augment"]}
    gains = {name: results.difference(name, _NONE, "test_accuracy") for name in results.cells if name != _NONE}
    count = results.cells[_NONE].data.train_subset
    return Finding(
        verdict=verdict(*gains.values()),
        sentence=(
            f"On {count:,} training images test accuracy is {percent(found[_NONE])} without any of it. The change with "
            "each: " + "; ".join(f"{titles[name]}: {points(gain)}" for name, gain in gains.items()) + "."
        ),
        head=("regularisation", "test accuracy", "training accuracy", "gain"),
        rows=[
            [
                titles[name],
                percent(found[name]),
                percent(results.estimate(name, "train_accuracy")),
                points(gains[name]) if name in gains else "",
            ]
            for name in results.cells
        ],
        figure=plots.interval_dots(
            {
                title: {titles[name]: results.in_percent(name, measure) for name in results.cells}
                for title, measure in (
                    ("test accuracy, %", "test_accuracy"),
                    ("training accuracy, %", "train_accuracy"),
                )
            }
        ),
    )


STUDY = Study(
    claim="On small data dropout, weight decay, stochastic depth and augmentation each help a ViT.",
    source="Touvron et al. 2021, arXiv:2012.12877, section 6; Steiner et al. 2022, arXiv:2106.10270.",
    plan=plan,
    conclude=conclude,
)
