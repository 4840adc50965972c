"""How much data a ViT and a CNN need."""

from __future__ import annotations

import numpy as np

from vitrail import plots
from vitrail.experiments.finding import Finding, percent, points, verdict
from vitrail.studies.setups import ALIKE, cell, cnn, training_set_size, usual_batch, usual_epochs, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "CNNs beat ViTs on small data, and the gap closes as data grows."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.3."
_SHARES = (1, 3, 10, 30, 100)
_QUICK_SHARES, _QUICK_EPOCHS = (20, 100), 3
_FEWEST_PER_CLASS = 5


def plan(setting: Setting) -> list[Cell]:
    """Both models on shares of the training images, all for as many steps; smaller batches where images are few."""
    whole, num_classes = training_set_size(setting)
    shares, epochs = (_QUICK_SHARES, _QUICK_EPOCHS) if setting.quick else (_SHARES, usual_epochs(setting))
    steps = epochs * (whole // usual_batch(setting))
    cells = []
    for count in sorted({max(_FEWEST_PER_CLASS * num_classes, whole * share // 100) for share in shares}):
        batch = min(usual_batch(setting), count)
        train = {"epochs": max(1, round(steps / (count // batch))), "batch_size": batch, **ALIKE}
        for kind, model in (("vit", vit(setting)), ("cnn", cnn(setting))):
            cells.append(cell(setting, f"{kind}-{count}", model, None if count == whole else count, **train))
    return cells


def conclude(results: Results) -> Finding:
    accuracy = results.values("test_accuracy")
    counts = sorted({int(name.split("-")[1]) for name in accuracy})
    vits, cnns = (np.stack([accuracy[f"{kind}-{n}"] for n in counts], axis=1) for kind in ("vit", "cnn"))
    gaps = cnns - vits
    ahead, closes = gaps[:, 0], gaps[:, 0] - gaps[:, -1]
    return Finding(
        verdict=verdict(ahead, closes),
        sentence=(
            f"With {counts[0]:,} training images the CNN is {points(ahead)} ahead of the ViT in test accuracy, with "
            f"{counts[-1]:,} it is {points(gaps[:, -1])}; the gap shrinks by {points(closes)}."
        ),
        head=("training images", "ViT", "CNN", "CNN − ViT"),
        rows=[[f"{n:,}", percent(vits[:, i]), percent(cnns[:, i]), points(gaps[:, i])] for i, n in enumerate(counts)],
        figure=plots.interval_lines(
            {"ViT": (counts, 100 * vits), "CNN": (counts, 100 * cnns)}, "training images", "test accuracy, %", log=True
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude)
