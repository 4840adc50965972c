"""Whether predictions stay when images are shifted."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from vitrail import plots
from vitrail.classifier import Classifier, load
from vitrail.configs import AugmentConfig
from vitrail.data.splits import spread_over
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, vit
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, percent, points, verdict

_IMAGES = 400
_SHIFTS = (0, 1, 2, 3, 4)
_TITLES = {"vit": "ViT", "cnn": "CNN", "vit-crops": "ViT, random crops", "cnn-crops": "CNN, random crops"}


def plan(setting: Setting) -> list[Cell]:
    """Both models, without augmentation and with crops of an eighth of the side."""
    cells = []
    for name, model in (("vit", vit(setting)), ("cnn", cnn(setting))):
        crop = max(1, model.size[0] // 8)
        for suffix, pad in (("", 0), ("-crops", crop)):
            cells.append(cell(setting, name + suffix, model, augment=AugmentConfig(crop=pad, flip=False), **ALIKE))
    return cells


def shifted(images: UInt8[ndarray, "n c h w"], down: int, right: int) -> UInt8[ndarray, "n c h w"]:
    """Moved by so many pixels; what comes in mirrors what is at the edge."""
    pad = max(abs(down), abs(right))
    wide = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="reflect")
    height, width = images.shape[2:]
    return wide[:, :, pad - down : pad - down + height, pad - right : pad - right + width]


def measure(run: Run, prepared: Prepared) -> Measured:
    """The share of test images whose predicted class stays, by shift; mean over the four directions."""
    classifier, images = load(run.directory), prepared.dataset.read(spread_over(prepared.splits.test, _IMAGES))
    before = _predicted(classifier, images)
    shares = []
    for shift in _SHIFTS:
        moves = ((shift, 0), (-shift, 0), (0, shift), (0, -shift))
        shares.append(float(np.mean([_predicted(classifier, shifted(images, *move)) == before for move in moves])))
    return {"stable": shares}


def _predicted(classifier: Classifier, images: UInt8[ndarray, "n c h w"]) -> np.ndarray:
    inputs = classifier.preprocessing.normalize(torch.from_numpy(np.ascontiguousarray(images)))
    return classifier.logits(inputs).argmax(dim=1).numpy()


def conclude(results: Results) -> Finding:
    stable = {name: results.values(name, "stable") for name in results.cells}
    at = _SHIFTS.index(2)
    built_in = estimate(stable["cnn"][:, at] - stable["vit"][:, at])
    learned, also = (estimate(stable[f"{name}-crops"][:, at] - stable[name][:, at]) for name in ("vit", "cnn"))
    return Finding(
        verdict=verdict(built_in, learned),
        sentence=(
            f"When images shift by 2 pixels, {percent(estimate(stable['cnn'][:, at]))} of the CNN's predictions stay "
            f"and {percent(estimate(stable['vit'][:, at]))} of the ViT's, a difference of {points(built_in)}; training "
            f"on random crops changes the ViT's share by {points(learned)}, the CNN's by {points(also)}."
        ),
        head=("shift, pixels", *(_TITLES[name] for name in stable)),
        rows=[
            [str(shift), *(percent(estimate(of[:, i])) for of in stable.values())] for i, shift in enumerate(_SHIFTS)
        ],
        figure=plots.interval_lines(
            {_TITLES[name]: curve(_SHIFTS, 100 * of) for name, of in stable.items()},
            "shift, pixels",
            "predictions that stay, %",
        ),
    )


STUDY = Study(
    claim="CNNs bear shifts of the image better than ViTs, which learn it from shifted images.",
    source="Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1, on the bias of CNNs and what ViTs must learn.",
    plan=plan,
    conclude=conclude,
    measure=measure,
)
