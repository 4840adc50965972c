"""In how many steps a ViT and a CNN fit their training data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitrail import plots
from vitrail.configs import NO_AUGMENTATION
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, number, percent, verdict
from vitrail.text import plural

_TITLES = {"vit": "ViT", "cnn": "CNN"}
_LEVELS = (50, 80, 95)
_FITTED = 0.99
"""Training accuracy, in training mode, that counts as 100 %."""


def plan(setting: Setting) -> list[Cell]:
    """Both models without augmentation, so that they can learn their images by heart."""
    plain = {"augment": NO_AUGMENTATION, **ALIKE}
    return [cell(setting, "vit", vit(setting), **plain), cell(setting, "cnn", cnn(setting), **plain)]


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
    level = max(
        (n for n in _LEVELS if all(np.isfinite(results.values(name, f"steps_to_{n}")).all() for name in results.cells)),
        default=_LEVELS[0],
    )
    fewer = results.difference("vit", "cnn", f"steps_to_{level}")
    best = {name: results.values(name, "best") for name in results.cells}
    steps, seconds = (
        {name: number(results.estimate(name, f"{unit}_to_{level}"), digits) for name in results.cells}
        for unit, digits in (("steps", 0), ("seconds", 1))
    )
    return Finding(
        verdict=verdict(fewer, *(estimate(of - _FITTED) for of in best.values())),
        sentence=(
            f"To {level} % training accuracy the CNN takes {steps['cnn']} steps and {seconds['cnn']} s, the ViT "
            f"{steps['vit']} steps and {seconds['vit']} s. Their best training accuracies are "
            f"{percent(estimate(best['cnn']))} and {percent(estimate(best['vit']))}."
        ),
        head=("model", *(f"steps to {n} %" for n in _LEVELS), *(f"seconds to {n} %" for n in _LEVELS), "best"),
        rows=[
            [
                _TITLES[name],
                *(_reached(results.values(name, f"steps_to_{n}"), 0) for n in _LEVELS),
                *(_reached(results.values(name, f"seconds_to_{n}"), 1) for n in _LEVELS),
                percent(estimate(best[name])),
            ]
            for name in results.cells
        ],
        figure=plots.interval_lines(
            {
                _TITLES[name]: curve(results.values(name, "steps")[0], 100 * results.values(name, "curve"))
                for name in results.cells
            },
            "steps",
            "training accuracy, %",
        ),
    )


def _reached(cost: NDArray[np.float64], digits: int) -> str:
    """The mean over those that reach the level would flatter where some do not."""
    reached = int(np.isfinite(cost).sum())
    return number(estimate(cost), digits) if reached == len(cost) else f"{reached} of {plural(len(cost), 'seed')}"


STUDY = Study(
    claim="A CNN fits its training data in fewer steps than a ViT, and both fit all of it.",
    source="Xiao et al. 2021, arXiv:2106.14881, of ViTs with and without early convolutions; both fit: our own.",
    plan=plan,
    conclude=conclude,
    measure=measure,
)
