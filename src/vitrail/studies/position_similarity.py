"""Whether learned position embeddings recover the grid of patches."""

from __future__ import annotations

from typing import Any

from vitrail import plots
from vitrail.experiments.finding import Finding, Measured
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.positions import position_similarity
from vitrail.models.build import Model
from vitrail.recipes.figures import PAIRS, STRUCTURE, structure, structure_finding
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Learned position embeddings recover the grid of patches."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5 and figure 7."


def plan(setting: Setting) -> list[Cell]:
    """Positions start small, as in the literature: a large random start would hide what is learned."""
    longer = {"epochs": 12} if setting.quick else {}
    return [cell(setting, "learned", vit(setting, pos_init_std=0.02), **longer)]


def observe(prepared: Prepared, model: Model) -> dict[str, Any]:
    return structure(position_similarity(model))


def measure(run: Run, prepared: Prepared) -> Measured:
    """Every observation as a curve over epochs, from before training on."""
    return {name: [row[name] for row in run.observations] for name in STRUCTURE}


def conclude(results: Results) -> Finding:
    curves = {name: results.values(name)["learned"] for name in STRUCTURE}
    before, after = ({name: of[:, i] for name, of in curves.items()} for i in (0, -1))
    rows = curves["apart"].shape[1]
    figure = plots.interval_lines(
        {title: (range(rows), curves[name]) for name, title in PAIRS.items()}, "epochs", "mean similarity (cosine)"
    )
    return structure_finding(before, after, f"{rows - 1} epochs", figure)


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure, observe)
