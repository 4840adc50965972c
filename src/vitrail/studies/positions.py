"""What a ViT knows of order with and without position embeddings of several kinds."""

from __future__ import annotations

from vitrail import plots
from vitrail.experiments.finding import Finding, Measured, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.recipes.figures import accuracy_when_moved
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Without position embeddings a ViT is blind to order; learned 1-D ones suffice (to within a point)."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, appendix D.4."
_KINDS = {"none": "none", "learned": "learned, 1-D", "learned2d": "learned, 2-D", "sincos": "sine and cosine, 2-D"}
_MARGIN = 0.01
"""Learned 1-D positions "suffice" where those that know rows and columns are not better by more."""


def plan(setting: Setting) -> list[Cell]:
    return [cell(setting, kind, vit(setting, pos_embed=kind)) for kind in _KINDS]


def measure(run: Run, prepared: Prepared) -> Measured:
    """Accuracy on the test images, and on the same with all of their patches in other places."""
    whole, shuffled = accuracy_when_moved(run, prepared, (0.0, 1.0))
    return {"whole": whole, "shuffled": shuffled}


def conclude(results: Results) -> Finding:
    whole, shuffled = results.values("whole"), results.values("shuffled")
    lost = {kind: of - shuffled[kind] for kind, of in whole.items()}
    needed = whole["learned"] - whole["none"]
    behind = {kind: whole[kind] - whole["learned"] for kind in ("learned2d", "sincos")}
    return Finding(
        verdict=verdict(needed, _MARGIN - lost["none"], *(_MARGIN - of for of in behind.values())),
        sentence=(
            f"Without position embeddings, shuffling all patches costs {points(lost['none'])} of test accuracy, with "
            f"learned ones {points(lost['learned'])}. On whole images learned 1-D positions gain {points(needed)} "
            f"over none; {_KINDS['learned2d']} ones gain {points(behind['learned2d'])} over these, and "
            f"{_KINDS['sincos']} ones {points(behind['sincos'])}."
        ),
        head=("position embeddings", "whole images", "patches shuffled", "lost"),
        rows=[
            [name, percent(whole[kind]), percent(shuffled[kind]), points(lost[kind])] for kind, name in _KINDS.items()
        ],
        figure=plots.interval_dots(
            {
                "accuracy on whole images, %": {name: 100 * whole[kind] for kind, name in _KINDS.items()},
                "on shuffled patches, %": {name: 100 * shuffled[kind] for kind, name in _KINDS.items()},
            }
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
