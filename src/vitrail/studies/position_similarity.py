"""Whether learned position embeddings recover the grid of patches."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vitrail import plots
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.inspection import positions
from vitrail.models.build import Model
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, number, verdict

_PAIRS = {"same_row": "in the same row", "same_column": "in the same column", "apart": "in neither"}


def plan(setting: Setting) -> list[Cell]:
    """Positions start small, as in the literature: a large random start would hide what is learned."""
    longer = {"epochs": 12} if setting.quick else {}
    return [cell(setting, "learned", vit(setting, pos_init_std=0.02), **longer)]


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    return structure_measures(positions.position_similarity(model))


def structure_measures(similarity: Float[Tensor, "height width height width"]) -> dict[str, float]:
    """Mean similarity by kind of pair, and its correlation with nearness."""
    found = positions.position_structure(similarity)
    return {**{name: getattr(found, name) for name in _PAIRS}, "correlation": grid_correlation(similarity)}


def grid_correlation(similarity: Float[Tensor, "height width height width"]) -> float:
    """Pearson's correlation, over pairs of different patches, of similarity with nearness (minus the distance)."""
    height, width = similarity.shape[:2]
    places = torch.tensor(list(product(range(height), range(width))), dtype=torch.float64)
    near, alike = -torch.cdist(places, places), similarity.reshape(height * width, -1).double()
    pairs = ~torch.eye(height * width, dtype=torch.bool)
    return float(torch.corrcoef(torch.stack([near[pairs], alike[pairs]]))[0, 1])


def measure(run: Run, prepared: Prepared) -> Measured:
    """Every observation as a curve over epochs, from before training on."""
    return {name: [row[name] for row in run.observations] for name in (*_PAIRS, "correlation")}


def conclude(results: Results) -> Finding:
    curves = {name: results.values("learned", name) for name in (*_PAIRS, "correlation")}
    before, after = ({name: curve[:, i] for name, curve in curves.items()} for i in (0, -1))
    figure = plots.interval_lines(
        {title: curve(range(curves[name].shape[1]), curves[name]) for name, title in _PAIRS.items()},
        "epochs",
        "mean similarity (cosine)",
    )
    return structure_finding(before, after, f"{curves['apart'].shape[1] - 1} epochs", figure)


def structure_finding(
    before: Mapping[str, NDArray[np.float64]], after: Mapping[str, NDArray[np.float64]], when: str, figure: Figure
) -> Finding:
    """What a model's positions were like before training and after: `structure_measures`, each over (seed,)."""
    gained = [estimate(after[name] - after["apart"]) for name in ("same_row", "same_column")]
    start, end = estimate(before["correlation"]), estimate(after["correlation"])
    return Finding(
        verdict=verdict(*gained, end),
        sentence=(
            f"After {when} the embeddings of patches in one row are more alike than those in neither row nor "
            f"column by {number(gained[0])}, in one column by {number(gained[1])} (cosine); similarity correlates with "
            f"nearness on the grid at {number(end)}, before training at {number(start)}."
        ),
        head=("pairs of patches", "before training", "after"),
        rows=[
            [title, number(estimate(before[name])), number(estimate(after[name]))]
            for name, title in {**_PAIRS, "correlation": "correlation with nearness"}.items()
        ],
        figure=figure,
    )


STUDY = Study(
    claim="Learned position embeddings recover the grid of patches.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5 and figure 7.",
    plan=plan,
    conclude=conclude,
    measure=measure,
    observe=observe,
)
