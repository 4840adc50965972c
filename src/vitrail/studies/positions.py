"""What a ViT knows of order with and without position embeddings of several kinds."""

from __future__ import annotations

import torch

from vitrail import plots
from vitrail.classifier import load
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.positions import accuracy_by_moved
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, percent, points, verdict

_KINDS = {"none": "none", "learned": "learned, 1-D", "learned2d": "learned, 2-D", "sincos": "sine and cosine, 2-D"}
_MARGIN = 0.01
"""Learned 1-D positions "suffice" where those that know rows and columns are not better by more."""


def plan(setting: Setting) -> list[Cell]:
    return [cell(setting, kind, vit(setting, pos_embed=kind)) for kind in _KINDS]


def measure(run: Run, prepared: Prepared) -> Measured:
    """Accuracy on the test images, and on the same with all of their patches in other places."""
    classifier, test = load(run.directory), prepared.splits.test
    images = prepared.preprocessing.normalize(torch.from_numpy(prepared.dataset.read(test)))
    whole, shuffled = accuracy_by_moved(classifier, images, prepared.dataset.labels[test], (0.0, 1.0)).accuracy.tolist()
    return {"whole": whole, "shuffled": shuffled}


def conclude(results: Results) -> Finding:
    whole, shuffled = ({kind: results.values(kind, name) for kind in results.cells} for name in ("whole", "shuffled"))
    needed = estimate(whole["learned"] - whole["none"])
    rivals = ("learned2d", "sincos")
    behind = {kind: whole[kind] - whole["learned"] for kind in rivals}
    lost = {kind: estimate(whole[kind] - shuffled[kind]) for kind in results.cells}
    return Finding(
        verdict=verdict(
            needed,
            estimate(_MARGIN - (whole["none"] - shuffled["none"])),
            *(estimate(_MARGIN - of) for of in behind.values()),
        ),
        sentence=(
            f"Without position embeddings, shuffling all patches costs {points(lost['none'])} of test accuracy, with "
            f"learned ones {points(lost['learned'])}. On whole images learned 1-D positions gain {points(needed)} "
            f"over none; {_KINDS['learned2d']} ones gain {points(estimate(behind['learned2d']))} over these, and "
            f"{_KINDS['sincos']} ones {points(estimate(behind['sincos']))}."
        ),
        head=("position embeddings", "whole images", "patches shuffled", "lost"),
        rows=[
            [name, percent(estimate(whole[kind])), percent(estimate(shuffled[kind])), points(lost[kind])]
            for kind, name in _KINDS.items()
        ],
        figure=plots.interval_dots(
            {
                title: {name: estimate(100 * of[kind]) for kind, name in _KINDS.items()}
                for title, of in (("accuracy on whole images, %", whole), ("on shuffled patches, %", shuffled))
            }
        ),
    )


STUDY = Study(
    claim="Without position embeddings a ViT is blind to order; learned 1-D ones suffice (to within a point).",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, appendix D.4.",
    plan=plan,
    conclude=conclude,
    measure=measure,
)
