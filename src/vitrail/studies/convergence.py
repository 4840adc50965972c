"""In how many steps a ViT and a CNN fit their training data."""

from __future__ import annotations

import numpy as np

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION, ModelConfig
from vitrail.experiments.finding import Finding, Measured, Seeds, number, percent, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, vit
from vitrail.studies.study import Cell, Results, Setting, Study
from vitrail.text import plural

CLAIM = "A CNN fits its training data in fewer steps than a ViT, and both fit all of it."
SOURCE = "Xiao et al. 2021, arXiv:2106.14881, of ViTs with and without early convolutions; both fit: our own."
_TITLES = {"vit": "ViT", "cnn": "CNN"}
_LEVELS = (50, 80, 95)
_FITTED = 0.99
"""Training accuracy, in training mode, that counts as 100 %."""


def plan(setting: Setting) -> list[Cell]:
    """Both models without augmentation, so that they can learn their images by heart."""
    models: dict[str, ModelConfig] = {"vit": vit(setting), "cnn": cnn(setting)}
    return [cell(setting, name, model, augment=NO_AUGMENTATION, **ALIKE) for name, model in models.items()]


def measure(run: Run, prepared: Prepared) -> Measured:
    """Steps and seconds to each level of training accuracy, between epochs linearly; null where it is not reached."""
    rows = run.metrics
    steps = np.array([0, *(row["step"] for row in rows)], dtype=np.float64)
    seconds = np.cumsum([0, *(row["seconds"] for row in rows)])
    accuracy = np.array([1 / len(prepared.class_names), *(row["train_accuracy"] for row in rows)])
    best = np.maximum.accumulate(accuracy)
    found: Measured = {"steps": steps.tolist(), "curve": accuracy.tolist(), "best": float(best[-1])}
    for level in _LEVELS:
        reached = bool(best[-1] >= level / 100)
        for name, cost in (("steps", steps), ("seconds", seconds)):
            found[f"{name}_to_{level}"] = float(np.interp(level / 100, best, cost)) if reached else None
    return found


def conclude(results: Results) -> Finding:
    best, at, curve = (results.values(name) for name in ("best", "steps", "curve"))
    steps, seconds = ({n: results.values(f"{unit}_to_{n}") for n in _LEVELS} for unit in ("steps", "seconds"))
    reached_by_all = (n for n in _LEVELS if all(np.isfinite(of).all() for of in steps[n].values()))
    level = max(reached_by_all, default=_LEVELS[0])
    taken = {
        name: f"{number(steps[level][name], 0)} steps and {number(seconds[level][name], 1)} s" for name in results.cells
    }
    return Finding(
        verdict=verdict(steps[level]["vit"] - steps[level]["cnn"], *(of - _FITTED for of in best.values())),
        sentence=(
            f"To {level} % training accuracy the CNN takes {taken['cnn']}, the ViT {taken['vit']}. Their best training "
            f"accuracies are {percent(best['cnn'])} and {percent(best['vit'])}."
        ),
        head=("model", *(f"steps to {n} %" for n in _LEVELS), *(f"seconds to {n} %" for n in _LEVELS), "best"),
        rows=[
            [
                _TITLES[name],
                *(_reached(steps[n][name], 0) for n in _LEVELS),
                *(_reached(seconds[n][name], 1) for n in _LEVELS),
                percent(best[name]),
            ]
            for name in results.cells
        ],
        figure=plots.interval_lines(
            {_TITLES[name]: (at[name][0], 100 * curve[name]) for name in results.cells}, "steps", "training accuracy, %"
        ),
    )


def _reached(cost: Seeds, digits: int) -> str:
    """The mean over those that reach the level would flatter where some do not."""
    reached = int(np.isfinite(cost).sum())
    return number(cost, digits) if reached == len(cost) else f"{reached} of {plural(len(cost), 'seed')}"


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
