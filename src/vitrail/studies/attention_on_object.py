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
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.attribution import METHODS, apply
from vitrail.inspection.capture import inspect
from vitrail.models.build import Model
from vitrail.runs.directory import Run
from vitrail.studies.setups import shapes_cells
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, percent, points, verdict

_IMAGES = 64


def plan(setting: Setting) -> list[Cell]:
    return [shapes_cells(setting)["vit"]]


def inside(maps: Float[Tensor, "batch ... row column"], masks: Float[Tensor, "batch row column"]) -> Tensor:
    """The share of each map that lies on the object, mean over images."""
    spread = masks.view(len(masks), *(1,) * (maps.ndim - 3), *masks.shape[1:])
    return ((maps * spread).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))).mean(dim=0)


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    """The share of the class token's attention on the object by layer, of a centred Gaussian, and of the area."""
    chosen = spread_over(prepared.splits.val, _IMAGES)
    inputs = prepared.preprocessing.normalize(torch.from_numpy(prepared.dataset.read(chosen)))
    looks = inspect(model, inputs).class_attention().mean(dim=2)
    full = torch.from_numpy(shapes.masks(chosen, prepared.preprocessing.framing)).float()
    rows, columns = looks.shape[-2:]
    masks = reduce(full, "b (h y) (w x) -> b h w", "mean", h=rows, w=columns)
    centred = apply(METHODS["centre"], model, inputs, torch.zeros(len(inputs), dtype=torch.long))
    return {
        "layers": inside(looks, masks).tolist(),
        "centre": float(inside(centred, full)),
        "area": float(full.mean()),
    }


def measure(run: Run, prepared: Prepared) -> Measured:
    rows = run.observations
    return {"layers": [row["layers"] for row in rows], "centre": rows[0]["centre"], "area": rows[0]["area"]}


def conclude(results: Results) -> Finding:
    layers = results.values("vit", "layers")
    centre, area = results.values("vit", "centre"), results.values("vit", "area")
    start, end = layers[:, 0, -1], layers[:, -1, -1]
    gained, beyond = estimate(end - start), estimate(end - centre)
    last = layers.shape[1] - 1
    return Finding(
        verdict=verdict(gained, beyond) if results.learned else "undecided",
        sentence=(
            f"After {last} epochs (test accuracy {percent(results.estimate('vit', 'test_accuracy'))}) the last layer's "
            f"class token has {percent(estimate(end))} of its attention on the object, {points(gained)} more than "
            f"before training, and {points(beyond)} more than a centred Gaussian ({percent(estimate(centre))}); the "
            f"object covers {percent(estimate(area))} of the area." + results.caveat
        ),
        head=("layer", "before training", "after"),
        rows=[
            [str(i), percent(estimate(layers[:, 0, i])), percent(estimate(layers[:, -1, i]))]
            for i in range(layers.shape[2])
        ],
        figure=plots.interval_lines(
            {f"layer {i}": curve(range(layers.shape[1]), 100 * layers[:, :, i]) for i in range(layers.shape[2])},
            "epochs",
            "attention on the object, %",
            reference={"centred Gaussian": 100 * float(centre.mean()), "share of the area": 100 * float(area.mean())},
        ),
    )


STUDY = Study(
    claim="Attention concentrates on the object as training goes on.",
    source="After Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5; as training goes on: our own.",
    plan=plan,
    conclude=conclude,
    measure=measure,
    observe=observe,
    data="shapes",
    quick_data="shapes",
    only_data=("shapes",),
)
