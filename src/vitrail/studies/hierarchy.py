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
from vitrail.estimate import estimate
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.features import feature_maps
from vitrail.runs.directory import Run
from vitrail.studies.setups import shapes_cells
from vitrail.studies.study import Cell, Finding, Measured, Results, Setting, Study, curve, percent, points, verdict

_MARGIN = 0.05
"""By so much, a target "is not read better" with depth."""
TARGETS = ("orientation", "colour", "shape")
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
    found = {(name, target): results.values(name, target) for name in results.cells for target in TARGETS}
    gained = {key: of[:, -1] - of[:, 0] for key, of in found.items()}
    later = [estimate(gained[name, "shape"]) for name in results.cells]
    not_later = [estimate(_MARGIN - gained[name, of]) for name in results.cells for of in ("orientation", "colour")]
    titles = {"vit": "ViT", "cnn": "CNN"}
    by_guessing = results.values(next(iter(results.cells)), "guessed").mean(axis=0)

    def told(name: str) -> str:
        parts = (f"{target} by {points(estimate(gained[name, target]))}" for target in TARGETS)
        return f"in the {titles[name]} {', '.join(parts)}"

    return Finding(
        verdict=verdict(*later, *not_later) if results.learned else "undecided",
        sentence=(
            "From the first features to the input of the logits, the accuracy of linear probes changes: "
            f"{'; '.join(told(name) for name in results.cells)}. Always guessing the most frequent value is right in "
            + ", ".join(f"{100 * share:.1f} % ({of})" for share, of in zip(by_guessing, TARGETS, strict=True))
            + "; what is read hardly better than that can hardly get worse."
            + results.caveat
        ),
        head=("model and depth", *TARGETS),
        rows=[
            [
                f"{titles[name]}, {depth} of {found[name, 'shape'].shape[1] - 1}",
                *(percent(estimate(found[name, target][:, depth])) for target in TARGETS),
            ]
            for name in results.cells
            for depth in range(found[name, "shape"].shape[1])
        ]
        + [["guessing the most frequent", *(f"{100 * share:.1f} %" for share in by_guessing)]],
        figure=plots.interval_lines(
            {
                f"{titles[name]}: {target}": curve(np.linspace(0, 1, of.shape[1]), 100 * of)
                for (name, target), of in found.items()
            },
            "depth, share of the model",
            "probe accuracy, %",
        ),
    )


STUDY = Study(
    claim="Features go from simple to complex: shape is read better with depth, edges and colours are not.",
    source="After Zeiler & Fergus 2014, arXiv:1311.2901, section 4, of CNNs.",
    plan=plan,
    conclude=conclude,
    measure=measure,
    data="shapes",
    quick_data="shapes",
    only_data=("shapes",),
)
