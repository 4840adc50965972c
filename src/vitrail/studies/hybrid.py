"""Whether a convolutional stem helps on small data."""

from __future__ import annotations

import dataclasses

from vitrail import plots
from vitrail.configs import ViTConfig
from vitrail.models.summary import summarize
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Finding, Results, Setting, Study, percent, points, verdict

LINEAR, CONV = "linear-stem", "conv-stem"


def plan(setting: Setting) -> list[Cell]:
    """A linear stem against a convolutional one in front of as narrow MLPs as give the same multiply-adds."""
    linear = vit(setting, stem="linear")
    return [cell(setting, LINEAR, linear), cell(setting, CONV, _at_equal_cost(vit(setting, stem="conv"), linear))]


def _at_equal_cost(hybrid: ViTConfig, of: ViTConfig) -> ViTConfig:
    """`hybrid` with the width of its MLPs changed so that it takes as many multiply-adds as `of`."""

    def cost(mlp_dim: int) -> int:
        return summarize(dataclasses.replace(hybrid, mlp_dim=mlp_dim)).multiply_adds

    base = cost(hybrid.mlp_dim)
    per_unit = (base - cost(hybrid.mlp_dim - 8)) / 8
    width = hybrid.mlp_dim - round((base - summarize(of).multiply_adds) / per_unit)
    return dataclasses.replace(hybrid, mlp_dim=max(8, width))


def conclude(results: Results) -> Finding:
    gain = results.difference(CONV, LINEAR, "test_accuracy")
    costs = {name: results.estimate(name, "multiply_adds").mean / 1e6 for name in (LINEAR, CONV)}
    found = {name: results.estimate(name, "test_accuracy") for name in (LINEAR, CONV)}
    return Finding(
        verdict=verdict(gain),
        sentence=(
            f"A convolutional stem changes test accuracy by {points(gain)}, to {percent(found[CONV])}, with "
            f"{costs[CONV]:.2f}M multiply-adds for an image, against {costs[LINEAR]:.2f}M for the linear one."
        ),
        head=("stem", "test accuracy", "million multiply-adds", "MLP width"),
        rows=[
            [name, percent(found[name]), f"{costs[name]:.2f}", str(getattr(results.cells[name].model, "mlp_dim", ""))]
            for name in (LINEAR, CONV)
        ],
        figure=plots.interval_dots(
            {"test accuracy, %": {name: results.in_percent(name, "test_accuracy") for name in found}}
        ),
    )


STUDY = Study(
    claim="A convolutional stem helps a ViT on small data, at equal compute.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.4; Hassani et al. 2021, arXiv:2104.05704.",
    plan=plan,
    conclude=conclude,
)
