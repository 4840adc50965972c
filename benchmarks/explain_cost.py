"""Time and peak memory of `vitrail explain` for one photograph and ViT-B/16 at 224, all methods.

    python benchmarks/explain_cost.py [--out benchmarks/results/explain-cost.json]

The weights are random: they cost what trained ones do. The command runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from vitrail import hardware
from vitrail.classifier import Classifier
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.build import build_model
from vitrail.models.presets import preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit-b16")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = build_model(preset(options.model)).eval()
        names = tuple(f"class {k}" for k in range(model.config.num_classes))
        Classifier(model, Preprocessing(model.config.size, 3, (0.5,) * 3, (0.5,) * 3), names).save(place / "model")
        Image.fromarray(load_sample_image("china.jpg")).save(place / "photo.png")
        command = [sys.executable, "-m", "vitrail", "explain", str(place / "model"), str(place / "photo.png")]
        started = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{options.model}: {seconds:.0f} s, peak memory {peak:,.0f} MB")
    if options.out:
        machine = {"machine": hardware.describe(torch.device("cpu")), "torch": torch.__version__}
        result = {**machine, "model": options.model, "seconds": seconds, "peak_megabytes": peak}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
