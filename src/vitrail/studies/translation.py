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
from vitrail.experiments.finding import Finding, Measured, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.runs.directory import Run
from vitrail.studies.setups import ALIKE, cell, cnn, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "CNNs bear shifts of the image better than ViTs, which learn it from shifted images."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1, on the bias of CNNs and what ViTs must learn."
_IMAGES = 400
_SHIFTS = (0, 1, 2, 3, 4)
_TITLES = {"vit": "ViT", "cnn": "CNN", "vit-crops": "ViT, random crops", "cnn-crops": "CNN, random crops"}


def plan(setting: Setting) -> list[Cell]:
    """Both models, without augmentation and with crops of an eighth of the side."""
    return [
        cell(setting, name + suffix, model, augment=AugmentConfig(crop=crop, flip=False), **ALIKE)
        for name, model in (("vit", vit(setting)), ("cnn", cnn(setting)))
        for suffix, crop in (("", 0), ("-crops", max(1, model.size[0] // 8)))
    ]


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
    stable = results.values("stable")
    by_two = {name: of[:, _SHIFTS.index(2)] for name, of in stable.items()}
    built_in = by_two["cnn"] - by_two["vit"]
    learned, also = (by_two[f"{name}-crops"] - by_two[name] for name in ("vit", "cnn"))
    return Finding(
        verdict=verdict(built_in, learned),
        sentence=(
            f"When images shift by 2 pixels, {percent(by_two['cnn'])} of the CNN's predictions stay and "
            f"{percent(by_two['vit'])} of the ViT's, a difference of {points(built_in)}; training on random crops "
            f"changes the ViT's share by {points(learned)}, the CNN's by {points(also)}."
        ),
        head=("shift, pixels", *(_TITLES[name] for name in stable)),
        rows=[[str(shift), *(percent(of[:, i]) for of in stable.values())] for i, shift in enumerate(_SHIFTS)],
        figure=plots.interval_lines(
            {_TITLES[name]: (_SHIFTS, 100 * of) for name, of in stable.items()},
            "shift, pixels",
            "predictions that stay, %",
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
