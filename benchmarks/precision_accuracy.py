"""Whether speed costs accuracy: the fast path against float32 eager, over seeds of a short run.

    python benchmarks/precision_accuracy.py DATA [--seeds 5] [--out benchmarks/results/precision-accuracy.json]

The two see the same images in the same order; what differs is rounding. How much that is in the logits of untrained
models of 6 and 12 layers is measured as well, with the tokens in bf16 between blocks, as they are, and in float32.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from vitrail import hardware, numbers
from vitrail.configs import DataConfig, RunConfig, TrainConfig
from vitrail.estimate import MEAN_AND_HALF, estimate
from vitrail.experiments.plan import carry_out, over_seeds
from vitrail.experiments.resolve import resolve
from vitrail.models.build import build_model
from vitrail.models.presets import preset
from vitrail.runs.layout import PLAN
from vitrail.runs.plan import Plan

EPOCHS, IMAGES, TEST_IMAGES = 3, 10_000, 5_000
PATHS = {"fast": {}, "fp32": {"precision": "fp32", "compile": "off"}}


def rounding(name: str) -> dict[str, float]:
    """RMS of what bf16 changes in the logits, as a share of their standard deviation over images."""
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(preset(name), dropout=0.0)).eval()
    images = torch.randn(32, model.config.in_channels, *model.config.size)

    def in_float32(tap_name: str, value: torch.Tensor) -> torch.Tensor:
        return value.float() if tap_name == "embed" else value

    with torch.no_grad():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = {"tokens in bf16": model(images), "tokens in float32": model(images, in_float32)}
    spread = (exact - exact.mean(dim=0)).std()
    return {kind: float((logits.float() - exact).square().mean().sqrt() / spread) for kind, logits in rounded.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, help="keep the runs here, and go on with those that are there")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = DataConfig(options.data, train_subset=IMAGES, test_subset=TEST_IMAGES)
    planned: dict[str, RunConfig] = {}
    for path, choices in PATHS.items():
        config = resolve(data, "vit-compare", TrainConfig(epochs=EPOCHS, **choices)).config
        planned |= over_seeds(path, config, options.seeds)
    directory = options.runs or Path(tempfile.mkdtemp())
    directory.mkdir(parents=True, exist_ok=True)
    plan = Plan(directory / PLAN, "comparison", planned)
    plan.write()
    runs = carry_out(plan, report=False)
    measured = {
        path: {name: [runs[run].evaluation[name] for run in of_path] for name in ("accuracy", "loss")}
        for path, of_path in plan.groups.items()
    }
    for name in ("accuracy", "loss"):
        found = estimate(np.subtract(measured["fast"][name], measured["fp32"][name]))
        shown = numbers.number(found.mean, found.half, digits=4)
        print(f"{name}, fast minus fp32: {shown} ({MEAN_AND_HALF} over {options.seeds} seeds)")
        for path in PATHS:
            print(f"  {path}: {', '.join(f'{value:.4f}' for value in measured[path][name])}")
    rounded = {name: rounding(name) for name in ("vit-compare", "vit-annotated-listed")}
    print("share of the logits' spread that rounding changes:", rounded)
    if options.out:
        record = {
            "data": Path(options.data).name,
            "train_images": IMAGES,
            "epochs": EPOCHS,
            "machine": hardware.describe(hardware.choose_device("auto")),
            "torch": torch.__version__,
            "test": measured,
            "rounding of logits": rounded,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
