"""Cost against size: seconds and peak memory of a training step by tokens, depth, width and batch.

Each size runs in a process of its own, whose peak memory is then that size's. At 4,096 tokens a CPU takes the fused
attention, below it the explicit one.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks.speed import timing
from benchmarks.speed.timing import Row
from vitrail.configs import TrainConfig, ViTConfig
from vitrail.experiments.automatic import resolve_training

_BASE = ViTConfig(image_size=32, patch_size=4, num_classes=10, embed_dim=192, depth=4, num_heads=6, mlp_dim=384)
_BATCH = 16


def _sweeps() -> dict[str, list[tuple[int, ViTConfig, int]]]:
    """By what varies: (size, model, batch)."""
    change = dataclasses.replace
    return {
        "tokens": [((s // 4) ** 2, change(_BASE, image_size=s, depth=2), 4) for s in (32, 64, 128, 256)],
        "depth": [(d, change(_BASE, depth=d), _BATCH) for d in (2, 4, 8, 16)],
        "width": [(w, _of_width(w), _BATCH) for w in (64, 128, 256, 512)],
        "batch": [(b, _BASE, b) for b in (4, 16, 64, 256)],
    }


def _of_width(width: int) -> ViTConfig:
    return dataclasses.replace(_BASE, embed_dim=width, mlp_dim=2 * width, num_heads=width // 32)


def measure(everything: bool) -> Iterator[list[Row]]:
    for what, sizes in _sweeps().items():
        found = [(size, *_in_a_process(what, i)) for i, (size, _, _) in enumerate(sizes)]
        values, seconds, megabytes = zip(*found, strict=True)
        for kind, costs, unit in (("time", [1e3 * s for s in seconds], "ms"), ("memory", megabytes, "MB")):
            group = f"{kind} of a training step by {what}"
            rows = [Row(group, f"{size:,}", cost, unit) for size, cost in zip(values, costs, strict=True)]
            # The smallest sizes cost what a process and its calls cost.
            fitted = timing.exponent(list(values[-2:]), list(costs[-2:]))
            yield [*rows, Row(group, "exponent between the last two", fitted, "")]


def _in_a_process(what: str, place: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.speed.scaling", what, str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def _megabytes(what: str) -> float:
    """`VmRSS`, or `VmHWM`: the peak of this process, where getrusage's would include its parent's."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def main(what: str, place: int) -> None:
    _, config, batch = _sweeps()[what][place]
    resolved, _ = resolve_training(
        TrainConfig(epochs=1, batch_size=batch, optimizer="adamw", compile="off"), config, batch
    )
    device = timing.device()
    before = _megabytes("VmRSS")
    images = torch.randn(batch, 3, *config.size, device=device)
    labels = torch.arange(batch, device=device) % 10
    step = timing.our_step(config, resolved, images, labels)
    seconds = timing.alternate({"": step}, warm=2)[""]
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _megabytes("VmHWM") - before
    print(json.dumps([statistics.median(seconds), peak]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
