"""How far heads look, by depth, before and after training."""

from __future__ import annotations

from typing import Any

import numpy as np

from vitrail import plots
from vitrail.data.splits import spread_over
from vitrail.experiments.finding import Finding, Measured, number
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.capture import inspect
from vitrail.models.build import Model
from vitrail.recipes.figures import near_and_far
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, training_set_size, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Heads of shallow layers look both near and far, those of deep layers far."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5 and figure 7; Raghu et al. 2021, arXiv:2108.08810."
_IMAGES = 64
_SHARES = (10, 100)


def plan(setting: Setting) -> list[Cell]:
    """A tenth and all of the training images."""
    whole, _ = training_set_size(setting)
    counts = {share: whole * share // 100 for share in _SHARES}
    # Small data sets have fewer images in a tenth than a batch.
    return [
        cell(setting, f"data{share}", vit(setting), None if share == 100 else count, batch_size=min(64, count))
        for share, count in counts.items()
    ]


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    """Mean attention distance in pixels by layer and head, over validation images."""
    images = prepared.inputs(spread_over(prepared.splits.val, _IMAGES))
    return {"distance": inspect(model, images).attention_distance().tolist()}


def measure(run: Run, prepared: Prepared) -> Measured:
    rows = run.observations
    return {"before": rows[0]["distance"], "after": rows[-1]["distance"]}


def conclude(results: Results) -> Finding:
    trained = results.values("after")
    before, after = results.values("before")[f"data{_SHARES[-1]}"], trained[f"data{_SHARES[-1]}"]
    verdict, sentence = near_and_far(after)
    spread, at_first = np.ptp(after, axis=2), np.ptp(before, axis=2)
    means = {
        "before training": before.mean(axis=2),
        **{f"after, {share} % of the images": trained[f"data{share}"].mean(axis=2) for share in _SHARES},
    }
    layers = range(after.shape[1])
    return Finding(
        verdict=verdict if results.learned else "undecided",
        sentence=(
            f"After training on all images {sentence}; before training it was {number(at_first[:, 0], 1)} and "
            f"{number(at_first[:, -1], 1)}." + results.caveat
        ),
        head=("layer", *means, "nearest to farthest head, after"),
        rows=[
            [str(layer), *(number(of[:, layer], 1) for of in means.values()), number(spread[:, layer], 1)]
            for layer in layers
        ],
        figure=plots.interval_lines(
            {name: (layers, of) for name, of in means.items()}, "layer", "attention distance, pixels"
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure, observe)
