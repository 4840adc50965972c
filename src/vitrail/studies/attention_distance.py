"""How far heads look, by depth, before and after training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vitrail import plots
from vitrail.data.splits import spread_over
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.capture import inspect
from vitrail.models.build import Model
from vitrail.runs.directory import Run
from vitrail.studies.setups import images, training, training_set_size, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, number, verdict

_IMAGES = 64
_SHARES = (10, 100)


def plan(setting: Setting) -> list[Cell]:
    """A tenth and all of the training images."""
    whole, _ = training_set_size(setting)
    cells = []
    for share in _SHARES:
        count = whole * share // 100
        data = images(setting, train_subset=None if share == 100 else count)
        # Small data sets have fewer images in a tenth than a batch.
        cells.append(Cell(f"data{share}", data, vit(setting), training(setting, batch_size=min(64, count))))
    return cells


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    """Mean attention distance in pixels by layer and head, over validation images."""
    some = torch.from_numpy(prepared.dataset.read(spread_over(prepared.splits.val, _IMAGES)))
    return {"distance": inspect(model, prepared.preprocessing.normalize(some)).attention_distance().tolist()}


def measure(run: Run, prepared: Prepared) -> Measured:
    rows = run.observations
    return {"before": rows[0]["distance"], "after": rows[-1]["distance"]}


def conclude(results: Results) -> Finding:
    before, after = (results.values(f"data{_SHARES[-1]}", when) for when in ("before", "after"))
    spread, at_first = (np.ptp(of, axis=2) for of in (after, before))
    mean = after.mean(axis=2)
    farther, narrower = estimate(mean[:, -1] - mean[:, 0]), estimate(spread[:, 0] - spread[:, -1])
    curves = {
        "before training": before,
        **{f"after, {share} % of the images": results.values(f"data{share}", "after") for share in _SHARES},
    }
    return Finding(
        verdict=verdict(farther, narrower) if results.learned else "undecided",
        sentence=(
            f"After training on all images the last layer looks {number(farther, 1)} pixels farther than the first "
            f"(mean over heads). The heads of the first layer lie {number(estimate(spread[:, 0]), 1)} pixels apart and "
            f"those of the last {number(estimate(spread[:, -1]), 1)}; before training it was "
            f"{number(estimate(at_first[:, 0]), 1)} and {number(estimate(at_first[:, -1]), 1)}." + results.caveat
        ),
        head=("layer", *curves, "nearest to farthest head, after"),
        rows=[
            [
                str(layer),
                *(number(estimate(of.mean(axis=2)[:, layer]), 1) for of in curves.values()),
                number(estimate(spread[:, layer]), 1),
            ]
            for layer in range(after.shape[1])
        ],
        figure=plots.interval_lines(
            {name: curve(range(of.shape[1]), of.mean(axis=2)) for name, of in curves.items()},
            "layer",
            "attention distance, pixels",
        ),
    )


STUDY = Study(
    claim="Heads of shallow layers look both near and far, those of deep layers far.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5 and figure 7; Raghu et al. 2021, arXiv:2108.08810.",
    plan=plan,
    conclude=conclude,
    measure=measure,
    observe=observe,
)
