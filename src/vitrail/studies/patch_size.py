"""What smaller patches cost, and what they see."""

from __future__ import annotations

import math

import torch

from vitrail import plots
from vitrail.classifier import load
from vitrail.configs import ModelConfig
from vitrail.estimate import Estimate
from vitrail.experiments.finding import Finding, Measured, number, percent, points, verdict
from vitrail.experiments.resolve import Prepared
from vitrail.hardware import available_cores
from vitrail.models.build import build_model
from vitrail.runs.directory import Run
from vitrail.studies.setups import cell, vit
from vitrail.studies.study import Cell, Results, Setting, Study

CLAIM = "Smaller patches see more, and cost more than in proportion to the number of tokens."
SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.1; Beyer et al. 2023, arXiv:2212.08013."
_BATCH = 8


def plan(setting: Setting) -> list[Cell]:
    """Half of the usual patch size, the usual one, and twice that."""
    usual = vit(setting).patch_size
    # As many threads for all: small steps would otherwise get one, large ones more.
    threads = available_cores()
    return [
        cell(setting, f"patch{p}", vit(setting, patch_size=p), threads=threads) for p in (2 * usual, usual, usual // 2)
    ]


def kept_bytes(config: ModelConfig) -> int:
    """What a forward pass keeps in memory for the backward pass, for one image, without the weights."""
    model, kept = build_model(config), {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(torch.zeros(_BATCH, config.in_channels, *config.size))
    assert logits.requires_grad
    return sum(kept.values()) // _BATCH


def measure(run: Run, prepared: Prepared) -> Measured:
    config = prepared.config.model
    images = sum(row["images_per_second"] * row["seconds"] for row in run.metrics if row["seconds"])
    seconds = sum(row["seconds"] for row in run.metrics)
    return {
        "milliseconds": 1000 * seconds / images,
        "bytes": kept_bytes(config),
        "tokens": load(run.directory).model.token_grid().num_tokens,
    }


def conclude(results: Results) -> Finding:
    accuracy = results.values("test_accuracy")
    measures = ("tokens", "multiply_adds", "milliseconds", "bytes")
    costs = {measure: {name: of.mean() for name, of in results.values(measure).items()} for measure in measures}
    coarse, *_, fine = results.cells
    gain = accuracy[fine] - accuracy[coarse]
    grown = {measure: math.log(of[fine] / of[coarse]) for measure, of in costs.items()}
    exponents = {measure: by / grown["tokens"] for measure, by in grown.items()}
    beyond = Estimate(exponents["multiply_adds"] - 1, half=0.0)
    milliseconds = results.values("milliseconds")
    return Finding(
        verdict=verdict(gain, beyond),
        sentence=(
            f"From {costs['tokens'][coarse]:.0f} to {costs['tokens'][fine]:.0f} tokens test accuracy changes by "
            f"{points(gain)}; multiply-adds grow as the number of tokens to the power "
            f"{exponents['multiply_adds']:.2f}, training time as {exponents['milliseconds']:.2f}, memory for the "
            f"backward pass as {exponents['bytes']:.2f}."
        ),
        head=("patch size", "tokens", "test accuracy", "million multiply-adds", "training ms per image", "kB kept"),
        rows=[
            [
                name.removeprefix("patch"),
                f"{costs['tokens'][name]:.0f}",
                percent(accuracy[name]),
                f"{costs['multiply_adds'][name] / 1e6:.2f}",
                number(milliseconds[name]),
                f"{costs['bytes'][name] / 1e3:,.0f}",
            ]
            for name in results.cells
        ],
        figure=plots.interval_dots(
            {
                "test accuracy, %": {name: 100 * of for name, of in accuracy.items()},
                "training ms per image": milliseconds,
            }
        ),
    )


STUDY = Study(CLAIM, SOURCE, plan, conclude, measure)
