"""Whether deeper, longer and more data is better."""

from __future__ import annotations

import re

import numpy as np

from vitrail import plots
from vitrail.experiments.finding import Finding, percent, points, verdict
from vitrail.studies.setups import cell, training_set_size, usual_epochs, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "A ViT is better deeper, trained longer, and with more data."
SOURCE = "Zhai et al. 2022, arXiv:2106.04560."
_DEPTHS, _QUICK_DEPTHS = (1, 3, 6), (1, 4)
_SHARES, _QUICK_SHARES = (25, 100), (30, 100)


def plan(setting: Setting) -> list[Cell]:
    """Every depth with every share of the training images for two numbers of epochs."""
    whole, _ = training_set_size(setting)
    usual = usual_epochs(setting)
    depths, shares = (_QUICK_DEPTHS, _QUICK_SHARES) if setting.quick else (_DEPTHS, _SHARES)
    return [
        cell(
            setting,
            f"depth{depth}-data{share}-epochs{epochs}",
            vit(setting, depth=depth),
            None if share == 100 else whole * share // 100,
            epochs=epochs,
        )
        for depth in depths
        for share in shares
        for epochs in (usual // 3, usual)
    ]


def conclude(results: Results) -> Finding:
    accuracy = {tuple(map(int, re.findall(r"\d+", name))): of for name, of in results.values("test_accuracy").items()}
    depths, shares, epochs = (sorted(set(levels)) for levels in zip(*accuracy, strict=True))
    depth, share, longest = depths[-1], shares[-1], epochs[-1]
    best = accuracy[depth, share, longest]
    gains = {
        f"depth {depths[0]} to {depth}": best - accuracy[depths[0], share, longest],
        f"{shares[0]} to {share} % of the training images": best - accuracy[depth, shares[0], longest],
        f"{epochs[0]} to {longest} epochs": best - accuracy[depth, share, epochs[0]],
    }
    return Finding(
        verdict=verdict(*gains.values()),
        sentence=(
            "With the other two factors at their largest, test accuracy changes by "
            + "; ".join(f"{points(gain)} from {what}" for what, gain in gains.items())
            + "."
        ),
        head=("depth", "% of the data", "epochs", "test accuracy"),
        rows=[[*map(str, levels), percent(of)] for levels, of in accuracy.items()],
        figure=plots.interval_lines(
            {
                f"{s} % of the data, {e} epochs": (depths, 100 * np.stack([accuracy[d, s, e] for d in depths], axis=1))
                for s in shares
                for e in epochs
            },
            "depth, blocks",
            "test accuracy, %",
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude)
