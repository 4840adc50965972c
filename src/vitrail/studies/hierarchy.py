"""What can be read linearly from the features at every depth of a ViT and a CNN."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vitrail import plots
from vitrail.classifier import load
from vitrail.data import shapes
from vitrail.data.splits import spread_over
from vitrail.experiments.finding import Finding, Measured, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.features import feature_maps
from vitrail.runs.directory import Run
from vitrail.studies.setups import shapes_cells
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Features go from simple to complex: shape is read better with depth, edges and colours are not."
SOURCE = "After Zeiler & Fergus 2014, arXiv:1311.2901, section 4, of CNNs."
_MARGIN = 0.05
"""By so much, a target "is not read better" with depth."""
TARGETS = ("orientation", "colour", "shape")
_TITLES = {"vit": "ViT", "cnn": "CNN"}
_ORIENTATIONS, _HUES = 4, 6
_PROBED = 900
"""Test images: two thirds train a probe, the rest test it."""


def plan(setting: Setting) -> list[Cell]:
    return list(shapes_cells(setting).values())


def measure(run: Run, prepared: Prepared) -> Measured:
    """Accuracy of a linear probe for every target, from the mean feature over places at every depth."""
    chosen = spread_over(prepared.splits.test, _PROBED)
    pixels = prepared.dataset.read(chosen)
    maps = feature_maps(load(run.directory), prepared.preprocessing.normalize(torch.from_numpy(pixels)))
    targets = {
        "orientation": edge_orientation(pixels),
        "colour": hue(shapes.scenes(chosen).colours[:, 0]),
        "shape": prepared.dataset.labels[chosen],
    }
    found: Measured = {
        name: [probe(depth.mean(dim=(2, 3)).numpy(), target) for depth in maps.values()]
        for name, target in targets.items()
    }
    return {**found, "guessed": [guessed(target) for target in targets.values()]}


def edge_orientation(images: Float[ndarray, "n c h w"]) -> Int[ndarray, " n"]:
    """Which of four directions the edges of an image mostly have, by its structure tensor."""
    down, right = np.gradient(images.astype(np.float64).mean(axis=1), axis=(1, 2))
    xx, yy, xy = ((a * b).sum(axis=(1, 2)) for a, b in ((right, right), (down, down), (right, down)))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi
    return np.rint(angle / np.pi * _ORIENTATIONS).astype(np.int64) % _ORIENTATIONS


def hue(colours: Float[ndarray, "n 3"]) -> Int[ndarray, " n"]:
    """Which sixth of the colour circle, red in the middle of the first."""
    r, g, b = colours.T
    angle = np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b) % (2 * np.pi)
    return np.rint(angle / (2 * np.pi) * _HUES).astype(np.int64) % _HUES


def probe(features: Float[ndarray, "n dim"], target: Int[ndarray, " n"]) -> float:
    """Test accuracy of ridge regression on standardised features: linear, and solved in one step."""
    edge = _trained(target)
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0))
    model.fit(features[:edge], target[:edge])
    return float(model.score(features[edge:], target[edge:]))


def _trained(target: Int[ndarray, " n"]) -> int:
    """How many of them, the first ones, train the probe."""
    return 2 * len(target) // 3


def guessed(target: Int[ndarray, " n"]) -> float:
    """Test accuracy of always saying what is most frequent."""
    tested = target[_trained(target) :]
    return float(np.bincount(tested).max() / len(tested))


def conclude(results: Results) -> Finding:
    found = {target: results.values(target) for target in TARGETS}
    gained = {target: {name: of[:, -1] - of[:, 0] for name, of in models.items()} for target, models in found.items()}
    not_better = (_MARGIN - of for target in ("orientation", "colour") for of in gained[target].values())
    by_guessing = [f"{100 * share:.1f} %" for share in next(iter(results.values("guessed").values())).mean(axis=0)]
    told = (
        f"in the {_TITLES[name]} " + ", ".join(f"{target} by {points(gained[target][name])}" for target in TARGETS)
        for name in results.cells
    )
    return Finding(
        verdict=verdict(*gained["shape"].values(), *not_better) if results.learned else "undecided",
        sentence=(
            "From the first features to the input of the logits, the accuracy of linear probes changes: "
            f"{'; '.join(told)}. Always guessing the most frequent value is right in "
            + ", ".join(f"{share} ({target})" for share, target in zip(by_guessing, TARGETS, strict=True))
            + "; what is read hardly better than that can hardly get worse."
            + results.caveat
        ),
        head=("model and depth", *TARGETS),
        rows=[
            *(
                [f"{_TITLES[name]}, {i} of {depths - 1}", *(percent(found[target][name][:, i]) for target in TARGETS)]
                for name, depths in ((name, of.shape[1]) for name, of in found["shape"].items())
                for i in range(depths)
            ),
            ["guessing the most frequent", *by_guessing],
        ],
        figure=plots.interval_lines(
            {
                f"{_TITLES[name]}: {target}": (np.linspace(0, 1, of[name].shape[1]), 100 * of[name])
                for name in results.cells
                for target, of in found.items()
            },
            "depth, share of the model",
            "probe accuracy, %",
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure, needs="shapes")
