"""Whether attention concentrates on the object as training goes on."""

from __future__ import annotations

from typing import Any

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from vitrail import plots
from vitrail.data import shapes
from vitrail.data.splits import spread_over
from vitrail.experiments.finding import Finding, Measured, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.attribution import METHODS, apply
from vitrail.inspection.capture import inspect
from vitrail.models.build import Model
from vitrail.runs.directory import Run
from vitrail.studies.setups import shapes_cells
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Attention concentrates on the object as training goes on."
SOURCE = "After Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5; as training goes on: our own."
_IMAGES = 64


def plan(setting: Setting) -> list[Cell]:
    return [shapes_cells(setting)["vit"]]


def on_object(maps: Float[Tensor, "batch ... row column"], masks: Float[Tensor, "batch row column"]) -> Tensor:
    """The share of each map that lies on the object, mean over images."""
    spread = masks.view(len(masks), *(1,) * (maps.ndim - 3), *masks.shape[1:])
    return ((maps * spread).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))).mean(dim=0)


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    """The share of the class token's attention on the object by layer, of a centred Gaussian, and of the area."""
    chosen = spread_over(prepared.splits.val, _IMAGES)
    inputs = prepared.inputs(chosen)
    maps = inspect(model, inputs).class_attention().mean(dim=2)
    full = torch.from_numpy(shapes.masks(chosen, prepared.preprocessing.framing)).float()
    rows, columns = maps.shape[-2:]
    masks = reduce(full, "b (h y) (w x) -> b h w", "mean", h=rows, w=columns)
    centred = apply(METHODS["centre"], model, inputs, torch.zeros(len(inputs), dtype=torch.long))
    return {
        "layers": on_object(maps, masks).tolist(),
        "centre": float(on_object(centred, full)),
        "area": float(full.mean()),
    }


def measure(run: Run, prepared: Prepared) -> Measured:
    rows = run.observations
    return {"layers": [row["layers"] for row in rows], "centre": rows[0]["centre"], "area": rows[0]["area"]}


def conclude(results: Results) -> Finding:
    layers, centre, area, accuracy = (results.values(of)["vit"] for of in ("layers", "centre", "area", "test_accuracy"))
    start, end = layers[:, 0], layers[:, -1]
    gained, beyond = end[:, -1] - start[:, -1], end[:, -1] - centre
    rows, depth = layers.shape[1:]
    return Finding(
        verdict=verdict(gained, beyond) if results.learned else "undecided",
        sentence=(
            f"After {rows - 1} epochs (test accuracy {percent(accuracy)}) the last layer's class token has "
            f"{percent(end[:, -1])} of its attention on the object, {points(gained)} more than before training, and "
            f"{points(beyond)} more than a centred Gaussian ({percent(centre)}); the object covers {percent(area)} of "
            "the area." + results.caveat
        ),
        head=("layer", "before training", "after"),
        rows=[[str(layer), percent(start[:, layer]), percent(end[:, layer])] for layer in range(depth)],
        figure=plots.interval_lines(
            {f"layer {layer}": (range(rows), 100 * layers[:, :, layer]) for layer in range(depth)},
            "epochs",
            "attention on the object, %",
            reference={"centred Gaussian": 100 * float(centre.mean()), "share of the area": 100 * float(area.mean())},
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure, observe, needs="shapes")
