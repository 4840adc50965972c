"""Figures of the literature, drawn from a recipe's own trained models, with the numbers that say whether they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vitrail import files, plots
from vitrail.classifier import load
from vitrail.data.argument import data_option, shown_source
from vitrail.data.splits import spread_over
from vitrail.errors import InputError
from vitrail.estimate import MEAN_AND_HALF, over_seeds
from vitrail.experiments.comparison import provenance
from vitrail.experiments.finding import Finding, Measured, Seeds, Verdict, number, percent, points, verdict
from vitrail.experiments.resolve import Loader, Prepared
from vitrail.experiments.run import reopen
from vitrail.inspection.capture import inspect
from vitrail.inspection.positions import accuracy_by_moved, position_similarity, position_structure
from vitrail.models.build import Model
from vitrail.recipes import recipe
from vitrail.recipes.published import REPRODUCTIONS
from vitrail.runs.directory import Run
from vitrail.runs.layout import record_file
from vitrail.training.initial import initial_model

PAIRS = {"same_row": "in the same row", "same_column": "in the same column", "apart": "in neither"}
STRUCTURE = (*PAIRS, "correlation")
"""What `structure` measures."""
_IMAGES = 256
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Drawing:
    """How one figure comes about."""

    measure: Callable[[Run, Prepared], Measured]
    conclude: Callable[[Mapping[str, Seeds]], Finding]
    """Of the measurements by name."""


def _models(run: Run, prepared: Prepared) -> dict[str, Model]:
    """The run's model before its first step, and after its last."""
    return {
        "before": initial_model(prepared.config, prepared.training_data).eval(),
        "after": load(run.directory).model,
    }


def _similarity(run: Run, prepared: Prepared) -> Measured:
    of = {when: position_similarity(model) for when, model in _models(run, prepared).items()}
    found = {f"{when}_{name}": value for when in of for name, value in structure(of[when]).items()}
    return {**found, "similarity": of["after"].double().round(decimals=4).tolist()}


def _similar_positions(of: Mapping[str, Seeds]) -> Finding:
    before, after = ({name: of[f"{when}_{name}"] for name in STRUCTURE} for when in ("before", "after"))
    return structure_finding(before, after, "training", plots.position_similarity(of["similarity"].mean(axis=0)))


def structure(similarity: Float[Tensor, "height width height width"]) -> dict[str, float]:
    """Mean similarity of position embeddings by kind of pair, and its correlation with nearness."""
    found = position_structure(similarity)
    return {**{name: getattr(found, name) for name in PAIRS}, "correlation": grid_correlation(similarity)}


def grid_correlation(similarity: Float[Tensor, "height width height width"]) -> float:
    """Pearson's correlation, over pairs of different patches, of similarity with nearness (minus the distance)."""
    height, width = similarity.shape[:2]
    places = torch.tensor(list(product(range(height), range(width))), dtype=torch.float64)
    near, alike = -torch.cdist(places, places), similarity.reshape(height * width, -1).double()
    pairs = ~torch.eye(height * width, dtype=torch.bool)
    return float(torch.corrcoef(torch.stack([near[pairs], alike[pairs]]))[0, 1])


def structure_finding(before: Mapping[str, Seeds], after: Mapping[str, Seeds], when: str, figure: Figure) -> Finding:
    """Whether a model's positions form a grid after `when`: `structure` by name, each over (seed,)."""
    row, column = (after[name] - after["apart"] for name in ("same_row", "same_column"))
    start, end = before["correlation"], after["correlation"]
    return Finding(
        verdict=verdict(row, column, end),
        sentence=(
            f"After {when} the embeddings of patches in one row are more alike than those in neither row nor "
            f"column by {number(row)}, in one column by {number(column)} (cosine); similarity correlates with "
            f"nearness on the grid at {number(end)}, before training at {number(start)}."
        ),
        head=("pairs of patches", "before training", "after"),
        rows=[
            [title, number(before[name]), number(after[name])]
            for name, title in {**PAIRS, "correlation": "correlation with nearness"}.items()
        ],
        figure=figure,
    )


def _distances(run: Run, prepared: Prepared) -> Measured:
    images = prepared.inputs(spread_over(prepared.splits.test, _IMAGES))
    models = _models(run, prepared)
    return {when: inspect(model, images).attention_distance().tolist() for when, model in models.items()}


def near_and_far(after: Float[np.ndarray, "seed layer head"]) -> tuple[Verdict, str]:
    """Whether heads of shallow layers look both near and far and deep ones far, from attention distances in pixels.

    And what was found, as a sentence without its end.
    """
    mean, spread = after.mean(axis=2), np.ptp(after, axis=2)
    farther, narrower = mean[:, -1] - mean[:, 0], spread[:, 0] - spread[:, -1]
    return verdict(farther, narrower), (
        f"the last layer looks {number(farther, 1)} pixels farther than the first (mean over heads). The heads of the "
        f"first layer lie {number(spread[:, 0], 1)} pixels apart and those of the last {number(spread[:, -1], 1)}"
    )


def _near_and_far(of: Mapping[str, Seeds]) -> Finding:
    before, after = of["before"], of["after"]
    found, sentence = near_and_far(after)
    columns = (before.mean(axis=2), after.mean(axis=2), after.min(axis=2), after.max(axis=2))
    return Finding(
        verdict=found,
        sentence=f"{sentence}.",
        head=("layer", "before training, pixels", "after", "nearest head", "farthest head"),
        rows=[[str(i), *(number(column[:, i], 1) for column in columns)] for i in range(after.shape[1])],
        figure=plots.attention_distance(np.concatenate(list(after), axis=1)),
    )


def accuracy_when_moved(run: Run, prepared: Prepared, shares: Sequence[float]) -> list[float]:
    """Test accuracy of a run's model with these shares of the patches in other places."""
    test = prepared.splits.test
    labels = prepared.dataset.labels[test]
    return accuracy_by_moved(load(run.directory), prepared.inputs(test), labels, shares).accuracy.tolist()


def _order_matters(of: Mapping[str, Seeds]) -> Finding:
    accuracy = of["accuracy"]
    lost = accuracy[:, 0] - accuracy[:, -1]
    return Finding(
        verdict=verdict(lost),
        sentence=f"with all patches in other places, test accuracy falls by {points(lost)}.",
        head=("patches moved", "test accuracy"),
        rows=[[f"{share:.0%}", percent(accuracy[:, i])] for i, share in enumerate(_SHARES)],
        figure=plots.accuracy_by_moved(np.array(_SHARES), accuracy.mean(axis=0)),
    )


DRAWINGS: dict[str, Drawing] = {
    "position-similarity": Drawing(_similarity, _similar_positions),
    "attention-distance": Drawing(_distances, _near_and_far),
    "positions-shuffled": Drawing(
        lambda run, prepared: {"accuracy": accuracy_when_moved(run, prepared, _SHARES)}, _order_matters
    ),
}


def draw(name: str, runs: Sequence[Run], directory: Path) -> None:
    """Measure a recipe's runs and write `<name>.json`, `.png` and `.svg`.

    Raises InputError where the model is not a ViT.
    """
    known, drawing = REPRODUCTIONS[name], DRAWINGS[name]
    (made,) = known.recipes
    if "attention" not in load(runs[0].directory).model.config.has:
        raise InputError(f"{name} is a figure of a ViT, which {runs[0].directory} is not")
    loader = Loader()
    measured = [drawing.measure(run, reopen(run.directory, to_train=False, loader=loader)) for run in runs]
    finding = drawing.conclude({key: np.array([of[key] for of in measured], dtype=np.float64) for key in measured[0]})
    source = runs[0].data["source"]
    data, given = shown_source(source), data_option(source, recipe(made).data.source)
    record: dict[str, Any] = {
        "figure": name,
        "claim": known.claim,
        "recipe": made,
        "command": f"vitrail reproduce {name} --seeds {len(runs)}{given}",
        **finding.on(f"by {made} on {data}", over_seeds(len(runs), MEAN_AND_HALF)).as_json(),
        "data": data,
        **provenance(runs),
        "measured": measured,
    }
    files.write_json(record_file(directory, name), record)
    finding.save_figure(directory / name, name)
