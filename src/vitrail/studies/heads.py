"""What heads do, and how many of them matter."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vitrail import plots
from vitrail.classifier import load
from vitrail.data.splits import spread_over
from vitrail.experiments.finding import Finding, Measured, number, percent, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.inspection.heads import UNNAMED, name_heads, profile_heads
from vitrail.models.build import Model, evaluating
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Few heads matter: half of them can go at the cost of a point of accuracy."
SOURCE = "After Michel et al. 2019, arXiv:1905.10650, of language models, where 20 to 40 % can go."
Head = tuple[int, int]
_IMAGES = 400
_TOLERATED = 0.01
"""Accuracy that may be lost before heads count as mattering."""


def plan(setting: Setting) -> list[Cell]:
    return [cell(setting, "vit", vit(setting))]


def logits_without(model: Model, inputs: Float[Tensor, "n c h w"], removed: Collection[Head]) -> Tensor:
    """With the output of some heads set to zero."""
    by_layer: dict[str, list[int]] = {}
    for layer, head in removed:
        by_layer.setdefault(f"blocks.{layer}.attn.z", []).append(head)

    def tap(name: str, tensor: Tensor) -> Tensor:
        if name not in by_layer:
            return tensor
        kept = torch.ones(tensor.shape[1])
        kept[by_layer[name]] = 0
        return tensor * kept[:, None, None].to(tensor)

    with evaluating(model), torch.inference_mode():
        return model(inputs, tap)


def accuracy_without(
    model: Model, inputs: Float[Tensor, "n c h w"], labels: torch.Tensor, removed: Collection[Head]
) -> float:
    return float((logits_without(model, inputs, removed).argmax(dim=1) == labels).float().mean())


def loss_without(
    model: Model, inputs: Float[Tensor, "n c h w"], labels: torch.Tensor, removed: Collection[Head]
) -> float:
    """Finer than accuracy, by which many heads of a good model are alike."""
    return float(F.cross_entropy(logits_without(model, inputs, removed), labels))


def spared(accuracy: Sequence[float]) -> int:
    """How many can go before accuracy falls by more than a point, from the accuracy without the first 0, 1, 2, ..."""
    fallen = np.flatnonzero(np.array(accuracy) < accuracy[0] - _TOLERATED)
    return int(fallen[0]) - 1 if len(fallen) else len(accuracy) - 1


def measure(run: Run, prepared: Prepared) -> Measured:
    """Test accuracy as heads go, in the order of validation's loss without each alone, and its reverse."""
    classifier, config = load(run.directory), prepared.config.model
    depth, heads = config.depth, config.num_heads  # type: ignore[union-attr]
    every = [(layer, head) for layer in range(depth) for head in range(heads)]

    def some(indices: np.ndarray) -> tuple[Tensor, Tensor]:
        chosen = spread_over(indices, _IMAGES)
        return prepared.inputs(chosen), torch.from_numpy(prepared.dataset.labels[chosen])

    val, test = some(prepared.splits.val), some(prepared.splits.test)
    least_first = sorted(every, key=lambda head: loss_without(classifier.model, *val, [head]))
    curves = {
        name: [accuracy_without(classifier.model, *test, order[:count]) for count in range(len(every) + 1)]
        for name, order in (("least_first", least_first), ("most_first", least_first[::-1]))
    }
    names = [name for layer in name_heads(profile_heads(classifier, val[0])) for name in layer]
    return {**curves, "removable": spared(curves["least_first"]) / len(every), "names": names}


def conclude(results: Results) -> Finding:
    least, most, removable = (results.values(of)["vit"] for of in ("least_first", "most_first", "removable"))
    count = least.shape[1] - 1
    half = count // 2
    named = np.array([sum(name != UNNAMED for name in of["names"]) for of in results.measured["vit"]], dtype=np.float64)
    return Finding(
        verdict=verdict(removable - 0.5) if results.learned else "undecided",
        sentence=(
            f"{percent(removable)} of the {count} heads can be removed, the least important first, before test "
            f"accuracy falls by more than a point from {percent(least[:, 0])}; without the {half} most important ones "
            f"it is {percent(most[:, half])}. {number(named, 1)} of the {count} can be named by what they mainly do."
            + results.caveat
        ),
        head=("heads removed", "least important first", "most important first"),
        rows=[
            [str(n), percent(least[:, n]), percent(most[:, n])]
            for n in sorted({0, count // 4, half, 3 * count // 4, count})
        ],
        figure=plots.interval_lines(
            {
                title: (np.linspace(0, 100, count + 1), 100 * of)
                for title, of in (("least important first", least), ("most important first", most))
            },
            "heads removed, %",
            "test accuracy, %",
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
