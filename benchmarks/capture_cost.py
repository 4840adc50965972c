"""What looking inside costs: the time of a capture as a multiple of a plain eager forward pass, and its memory.

    python -m benchmarks.capture_cost [--out benchmarks/results/capture-cost.json]

Both sides run in turn, in one process, at the same precision and on the same attention path; medians of `--repeats`.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
from pathlib import Path

import torch

import vitrail
from benchmarks.speed.timing import alternate
from vitrail import hardware
from vitrail.models.build import build_model
from vitrail.models.presets import preset

CASES = (("vit-compare", 64), ("vit-b16", 4))
LIMITS = {"all, fp32": 1.5, "all, bf16": 2.0, "one layer, fp32": 1.15, "one layer, bf16": 1.15}


def growth_over_images(count: int = 1000) -> float:
    """Megabytes that the process grows by while `count` more images are captured."""
    model = build_model(preset("vit-compare")).eval()
    images = torch.randn(20, 3, 32, 32)

    def resident() -> float:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    for _ in range(10):
        vitrail.inspect(model, images).attention()
    before = resident()
    for _ in range(count // len(images)):
        vitrail.inspect(model, images).attention()
    return resident() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for name, batch in CASES:
        model = build_model(preset(name)).eval()
        images = torch.randn(batch, 3, *model.config.size)
        for precision in ("fp32", "bf16"):

            def plain(model=model, images=images, precision=precision) -> None:
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    model(images)

            def capture(layers=None, model=model, images=images, precision=precision) -> None:
                vitrail.inspect(model, images, precision=precision).attention(layers)

            actions = {"plain": plain, "all": capture, "one layer": lambda: capture(-1)}
            found = {name: statistics.median(s) for name, s in alternate(actions, options.repeats).items()}
            for what in ("all", "one layer"):
                ratio = found[what] / found["plain"]
                limit = LIMITS[f"{what}, {precision}"]
                rows.append(
                    {"model": name, "batch": batch, "precision": precision, "captured": what, "ratio": ratio}
                    | {"limit": limit, "seconds": found[what], "plain_seconds": found["plain"]}
                )
                print(f"{name:12} batch {batch:3} {precision}  {what:10} {ratio:5.2f}  (at most {limit})", flush=True)
    grown = growth_over_images()
    print(f"memory over 1,000 images: {grown:+.1f} MB (less than 20)")
    if options.out:
        machine = {"machine": hardware.describe(torch.device("cpu")), "torch": torch.__version__}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**machine, "rows": rows, "grown_megabytes": grown}, indent=2) + "\n")


if __name__ == "__main__":
    main()
