"""Whether speed costs accuracy: the fast path against float32 eager, over seeds of a short run.

    python benchmarks/precision_accuracy.py DATA [--seeds 5] [--out benchmarks/results/precision-accuracy.json]

The two see the same images in the same order; what differs is rounding.
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

from vitrail import hardware
from vitrail.configs import DataConfig, TrainConfig
from vitrail.experiments import run_grid
from vitrail.inspection.measures import mean_interval
from vitrail.runs import prepare

EPOCHS, IMAGES, TEST_IMAGES = 3, 10_000, 5_000
PATHS = {"fast": {}, "fp32": {"precision": "fp32", "compile": "off"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, help="keep the runs here, and go on with those that are there")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = DataConfig(options.data, train_subset=IMAGES, test_subset=TEST_IMAGES)
    resolved = {
        path: prepare(data, "vit-compare", TrainConfig(epochs=EPOCHS, **choices)).config
        for path, choices in PATHS.items()
    }
    plan = {
        f"{path}-seed{seed}": dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
        for seed in range(options.seeds)
        for path, config in resolved.items()
    }
    directory = options.runs or Path(tempfile.mkdtemp())
    directory.mkdir(parents=True, exist_ok=True)
    runs = run_grid(plan, directory, None, report=False)
    measured = {
        path: {
            name: [runs[f"{path}-seed{seed}"].evaluation[name] for seed in range(options.seeds)]
            for name in ("accuracy", "loss")
        }
        for path in PATHS
    }
    for name in ("accuracy", "loss"):
        found = mean_interval(np.subtract(measured["fast"][name], measured["fp32"][name]))
        assert found is not None
        print(f"{name}, fast minus fp32: {found.mean:+.4f} ± {found.half or 0:.4f} over {options.seeds} seeds")
        for path in PATHS:
            print(f"  {path}: {', '.join(f'{value:.4f}' for value in measured[path][name])}")
    if options.out:
        record = {
            "data": Path(options.data).name,
            "train_images": IMAGES,
            "epochs": EPOCHS,
            "machine": hardware.describe(hardware.choose_device("auto")),
            "torch": torch.__version__,
            "test": measured,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
