"""Whether a convolutional stem helps on small data."""

from __future__ import annotations

import dataclasses

from vitrail import plots
from vitrail.configs import ViTConfig
from vitrail.experiments.finding import Finding, percent, points, verdict
from vitrail.models.summary import summarize
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "A convolutional stem helps a ViT on small data, at equal compute."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.4; Hassani et al. 2021, arXiv:2104.05704."
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
    accuracy = results.values("test_accuracy")
    gain = accuracy[CONV] - accuracy[LINEAR]
    costs = {name: f"{of.mean() / 1e6:.2f}" for name, of in results.values("multiply_adds").items()}
    return Finding(
        verdict=verdict(gain),
        sentence=(
            f"A convolutional stem changes test accuracy by {points(gain)}, to {percent(accuracy[CONV])}, with "
            f"{costs[CONV]}M multiply-adds for an image, against {costs[LINEAR]}M for the linear one."
        ),
        head=("stem", "test accuracy", "million multiply-adds", "MLP width"),
        rows=[
            [name, percent(accuracy[name]), costs[name], str(getattr(results.cells[name].model, "mlp_dim", ""))]
            for name in (LINEAR, CONV)
        ],
        figure=plots.interval_dots({"test accuracy, %": {name: 100 * of for name, of in accuracy.items()}}),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude)
