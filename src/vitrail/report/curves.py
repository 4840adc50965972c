"""Curves of a run and of a comparison, each with words and numbers for those who do not see it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vitrail import numbers, plots
from vitrail.metrics import EPOCH_METRICS, METRICS
from vitrail.report.elements import Drawing
from vitrail.report.embedding import draw
from vitrail.runs.comparison import ModelResults
from vitrail.runs.directory import Run
from vitrail.tables import Table
from vitrail.text import plural

_TABLE_ROWS = 40


def epoch_drawings(run: Run, validation: str) -> list[Drawing]:
    """Training and validation of every metric that is defined in at least one epoch."""
    epochs = _epochs(run)
    drawings = []
    for metric in EPOCH_METRICS:
        curves = {"training": run.curve(f"train_{metric}"), validation: run.curve(f"val_{metric}")}
        curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
        if curves:
            figure = plots.metric_curves(
                epochs, {k: METRICS[metric].scale * v for k, v in curves.items()}, METRICS[metric].label
            )
            alt = f"{METRICS[metric].title} over {plural(len(epochs), 'epoch')}. " + " ".join(
                _in_words(name, metric, epochs, values) for name, values in curves.items()
            )
            drawings.append(draw(figure, f"epoch-{metric}", alt))
    return drawings


def undefined_metrics(run: Run) -> list[str]:
    """Names of the metrics that no epoch could define."""
    keys = [(metric, f"{split}_{metric}") for metric in EPOCH_METRICS for split in ("train", "val")]
    defined = {metric for metric, key in keys if np.isfinite(run.curve(key)).any()}
    return [METRICS[metric].title for metric in EPOCH_METRICS if metric not in defined]


def epoch_table(run: Run, validation: str) -> Table:
    keys = [(split, metric) for metric in EPOCH_METRICS for split in ("train", "val")]
    names = {"train": "training", "val": validation}
    head = ["epoch", *(f"{names[split]} {METRICS[metric].heading}" for split, metric in keys), "training time"]
    rows = []
    columns = [(metric, run.curve(f"{split}_{metric}")) for split, metric in keys]
    for i, (number, seconds) in enumerate(zip(_epochs(run), run.curve("seconds"), strict=True)):
        cells = [numbers.metric(metric, float(values[i])) for metric, values in columns]
        rows.append([f"{number:.0f}", *cells, numbers.duration(float(seconds))])
    return Table("Every metric after every epoch", head, rows)


def step_drawings(run: Run) -> list[Drawing]:
    """The loss, the accuracy and the learning rate of every training step."""
    steps = run.steps
    drawings = []
    many = f"over {numbers.count(len(steps.step))} training steps"
    for metric, values in (("loss", steps.loss), ("accuracy", steps.accuracy)):
        if np.isfinite(values).any():
            known = METRICS[metric]
            first, last = known.scale * plots.smooth(values, max(1, len(values) // 50))[[0, -1]]
            ends = f"from {first:.{known.digits}f} to {last:.{known.digits}f} {known.unit}"
            figure = plots.loss_over_steps(steps.step, known.scale * values, f"training {known.label}")
            alt = f"Training {known.title} {many}: smoothed, it goes {ends}."
            drawings.append(draw(figure, f"step-{metric}", alt))
    if np.isfinite(steps.lr).any():
        alt = f"Learning rate {many}: highest {np.nanmax(steps.lr):.3g}."
        drawings.append(draw(plots.learning_rate(steps.step, steps.lr), "step-lr", alt))
    return drawings


def step_table(run: Run) -> Table:
    """At most 40 stretches of steps and their means."""
    steps = run.steps
    stretches = np.array_split(np.arange(len(steps.step)), min(_TABLE_ROWS, len(steps.step)))
    rows = [
        [
            f"{steps.step[stretch[0]]:,.0f} to {steps.step[stretch[-1]]:,.0f}",
            numbers.metric("loss", _mean(steps.loss[stretch])),
            numbers.metric("accuracy", _mean(steps.accuracy[stretch])),
            f"{_mean(steps.lr[stretch]):.3g}",
        ]
        for stretch in stretches
    ]
    return Table("Means over stretches of steps", ["steps", "loss (nats)", "accuracy", "learning rate"], rows)


def comparison_drawings(models: tuple[ModelResults, ...], metric: str) -> list[Drawing]:
    """Training and validation curves of one metric, all models in each."""
    drawings = []
    for split, name in (("train", "training"), ("val", "validation")):
        curves = {model.name: _over_seeds(model, f"{split}_{metric}") for model in models}
        curves = {model: curve for model, curve in curves.items() if np.isfinite(curve[1]).any()}
        if curves:
            scaled = {model: (epochs, METRICS[metric].scale * values) for model, (epochs, values) in curves.items()}
            title = f"{name} {METRICS[metric].label}"
            alt = f"{name} {METRICS[metric].title} over epochs, mean over seeds. " + " ".join(
                _in_words(model, metric, epochs, plots.mean_and_std(values)[0])
                for model, (epochs, values) in curves.items()
            )
            figure = plots.comparison_curves(scaled, title)
            drawings.append(draw(figure, f"compare-{split}-{metric}", alt))
    return drawings


def comparison_table(models: tuple[ModelResults, ...], metrics: tuple[str, ...]) -> Table:
    """Mean over seeds of training and validation metrics after every epoch."""
    columns, head = [], ["epoch"]
    for model in models:
        for metric in metrics:
            for split, name in (("train", "training"), ("val", "validation")):
                epochs, values = _over_seeds(model, f"{split}_{metric}")
                means = plots.mean_and_std(values)[0]
                columns.append((metric, dict(zip(epochs.tolist(), means.tolist(), strict=True))))
                head.append(f"{model.name}, {name} {METRICS[metric].heading}")
    every = sorted({epoch for _, column in columns for epoch in column})
    rows = [[f"{e:.0f}", *(numbers.metric(metric, column.get(e)) for metric, column in columns)] for e in every]
    return Table("Mean over seeds after every epoch", head, rows)


def _over_seeds(model: ModelResults, key: str) -> tuple[Float[ndarray, " e"], Float[ndarray, "seed e"]]:
    length = max((len(run.metrics) for run in model.runs), default=0)
    values = np.full((max(1, len(model.runs)), length), np.nan)
    epochs = np.arange(1, length + 1, dtype=np.float64)
    for seed, run in enumerate(model.runs):
        values[seed, : len(run.metrics)] = run.curve(key)
        if len(run.metrics) == length:
            epochs = _epochs(run)
    return epochs, values


def _epochs(run: Run) -> Float[ndarray, " e"]:
    recorded = run.curve("epoch")
    return recorded if np.isfinite(recorded).all() else np.arange(1, len(recorded) + 1, dtype=np.float64)


def _in_words(name: str, metric: str, epochs: Float[ndarray, " e"], values: Float[ndarray, " e"]) -> str:
    known = np.flatnonzero(np.isfinite(values))
    first, last = (numbers.metric(metric, float(values[at])) for at in (known[0], known[-1]))
    if len(known) == 1:
        return f"{name}: {last}."
    best = int(known[(np.argmin if METRICS[metric].lower_is_better else np.argmax)(values[known])])
    peak = numbers.metric(metric, float(values[best]))
    return f"{name}: from {first} to {last}, best {peak} in epoch {epochs[best]:.0f}."


def _mean(values: Float[ndarray, " n"]) -> float:
    return float(plots.smooth(values, 2 * len(values) + 1)[0])
