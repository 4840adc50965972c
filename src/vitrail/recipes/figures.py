"""Figures of the literature, drawn from a recipe's own trained models, with the numbers that say whether they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitrail import files, plots
from vitrail.classifier import load
from vitrail.data.argument import data_option, shown_source
from vitrail.data.splits import spread_over
from vitrail.errors import InputError
from vitrail.estimate import estimate
from vitrail.experiments.comparison import provenance
from vitrail.experiments.resolve import Loader, Prepared
from vitrail.experiments.run import reopen
from vitrail.inspection.capture import inspect
from vitrail.inspection.positions import accuracy_by_moved, position_similarity
from vitrail.models.build import Model
from vitrail.recipes import recipe
from vitrail.recipes.published import REPRODUCTIONS
from vitrail.runs.directory import Run
from vitrail.runs.layout import record_file
from vitrail.studies.position_similarity import structure_finding, structure_measures
from vitrail.studies.study import Finding, Measured, number, over_seeds, percent, points, verdict
from vitrail.training.initial import initial_model

_IMAGES = 256
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Drawing:
    """How one figure comes about."""

    measure: Callable[[Run, Prepared], Measured]
    """Of one trained model, as plain JSON."""
    conclude: Callable[[Mapping[str, NDArray[np.float64]]], Finding]
    """Of the measurements, (seed, ...) each."""


def _untrained(prepared: Prepared) -> Model:
    """The run's model before its first step."""
    return initial_model(prepared.config, prepared.training_data).eval()


def _test_images(prepared: Prepared) -> torch.Tensor:
    some = spread_over(prepared.splits.test, _IMAGES)
    return prepared.preprocessing.normalize(torch.from_numpy(prepared.dataset.read(some)))


def _similarity(run: Run, prepared: Prepared) -> Measured:
    found: Measured = {}
    for when, model in (("before", _untrained(prepared)), ("after", load(run.directory).model)):
        similarity = position_similarity(model)
        found |= {f"{when}_{name}": value for name, value in structure_measures(similarity).items()}
    return {**found, "similarity": similarity.double().round(decimals=4).tolist()}


def _similar_positions(of: Mapping[str, NDArray[np.float64]]) -> Finding:
    before, after = (
        {name.removeprefix(when): values for name, values in of.items() if name.startswith(when)}
        for when in ("before_", "after_")
    )
    return structure_finding(before, after, "training", plots.position_similarity(of["similarity"].mean(axis=0)))


def _distances(run: Run, prepared: Prepared) -> Measured:
    images = _test_images(prepared)
    models = {"before": _untrained(prepared), "after": load(run.directory).model}
    return {when: inspect(model, images).attention_distance().tolist() for when, model in models.items()}


def _near_and_far(of: Mapping[str, NDArray[np.float64]]) -> Finding:
    before, after = of["before"], of["after"]
    spread = np.ptp(after, axis=2)
    farther = estimate(after[:, -1].mean(axis=1) - after[:, 0].mean(axis=1))
    narrower = estimate(spread[:, 0] - spread[:, -1])
    return Finding(
        verdict=verdict(farther, narrower),
        sentence=(
            f"the last layer looks {number(farther, 1)} pixels farther than the first (mean over heads). The heads "
            f"of the first layer lie {number(estimate(spread[:, 0]), 1)} pixels apart and those of the last "
            f"{number(estimate(spread[:, -1]), 1)}."
        ),
        head=("layer", "before training, pixels", "after", "nearest head", "farthest head"),
        rows=[
            [
                str(layer),
                *(number(estimate(d[:, layer].mean(axis=1)), 1) for d in (before, after)),
                number(estimate(after[:, layer].min(axis=1)), 1),
                number(estimate(after[:, layer].max(axis=1)), 1),
            ]
            for layer in range(after.shape[1])
        ],
        figure=plots.attention_distance(np.concatenate(list(after), axis=1)),
    )


def _shuffled(run: Run, prepared: Prepared) -> Measured:
    test = prepared.splits.test
    images = prepared.preprocessing.normalize(torch.from_numpy(prepared.dataset.read(test)))
    moved = accuracy_by_moved(load(run.directory), images, prepared.dataset.labels[test], _SHARES)
    return {"accuracy": moved.accuracy.tolist()}


def _order_matters(of: Mapping[str, NDArray[np.float64]]) -> Finding:
    accuracy = of["accuracy"]
    lost = estimate(accuracy[:, 0] - accuracy[:, -1])
    return Finding(
        verdict=verdict(lost),
        sentence=f"with all patches in other places, test accuracy falls by {points(lost)}.",
        head=("patches moved", "test accuracy"),
        rows=[[f"{share:.0%}", percent(estimate(accuracy[:, i]))] for i, share in enumerate(_SHARES)],
        figure=plots.accuracy_by_moved(np.array(_SHARES), accuracy.mean(axis=0)),
    )


DRAWINGS: dict[str, Drawing] = {
    "position-similarity": Drawing(_similarity, _similar_positions),
    "attention-distance": Drawing(_distances, _near_and_far),
    "positions-shuffled": Drawing(_shuffled, _order_matters),
}


def draw(name: str, runs: Sequence[Run], directory: Path) -> dict[str, Any]:
    """Measure a recipe's runs and write `<name>.json`, `.png` and `.svg`; the record.

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
    record = {
        "figure": name,
        "claim": known.claim,
        "recipe": made,
        "command": f"vitrail reproduce {name} --seeds {len(runs)}{given}",
        "verdict": finding.verdict,
        "sentence": f"{finding.verdict.capitalize()} by {made} on {data} ({over_seeds(len(runs))}): {finding.sentence}",
        "head": list(finding.head),
        "rows": [list(row) for row in finding.rows],
        "data": data,
        **provenance(runs),
        "measured": measured,
    }
    files.write_json(record_file(directory, name), record)
    finding.save_figure(directory / name, name)
    return record
